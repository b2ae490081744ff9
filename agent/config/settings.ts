/**
 * The one table of settings: what can be set, where, what is allowed, what it is without being set, and
 * whether a changed file takes effect at once.
 *
 * Reading, `--help`, error texts and docs/configuration.md are all made from it. Keys become the file's
 * names in snake case below `distribution.flowspan`, unless `standard` names OTel's own place.
 */
import { USER_AGENT } from "../generated/layout.ts";
import { PRIVATE_PREFIXES } from "../shared/prefix.ts";
import { DIRECTORY_SETTINGS } from "./directory-settings.ts";
import type { Field } from "./field.ts";
import {
  absolutePath,
  boolean,
  choice,
  integer,
  listenAddress,
  milliseconds,
  namedPrefixes,
  optional,
  prefixes,
  socketPath,
  text,
  words,
} from "./fields.ts";
import { FINDING_SETTINGS, LOG_SETTINGS } from "./finding-settings.ts";
import { SPAN_SETTINGS, TRACE_SETTINGS } from "./span-settings.ts";
import { STANDARD_SETTINGS } from "./standard-settings.ts";

/** Addresses that stay apart where clients are collapsed. */
const KEPT_PREFIXES = [...PRIVATE_PREFIXES, "127.0.0.0/8", "::1/128"] as const;

const optionalText = { summary: "", default: "", live: false } as const;

export const SETTINGS = {
  cluster: optional(
    {
      summary: "Name of the cluster; becomes k8s.cluster.name on every Resource.",
      default: undefined,
      defaultText: "not set",
      live: false,
      flag: "cluster",
      env: ["FLOWSPAN_CLUSTER"],
    },
    text(optionalText),
  ),
  interval: milliseconds(
    {
      summary:
        "Time between two exchanges with the kernel, each followed by an export; of `flowspan directory`, between exports.",
      default: 15_000,
      live: true,
      flag: "interval",
    },
    { min: 100, max: 3_600_000 },
  ),
  coverage: boolean({
    summary: "Compare what was counted with each net namespace's own SNMP counters, and export the ratio.",
    default: true,
    live: false,
  }),
  user: integer(
    {
      summary: "User and group id that the agent takes when it is started as root.",
      default: USER_AGENT,
      live: false,
      flag: "user",
    },
    { min: 1, max: 4_294_967_294 },
  ),
  probe: {
    socket: socketPath({
      summary:
        "Unix socket of the probe. Started as root where nothing listens on it, the agent starts the probe itself.",
      default: "/run/flowspan/probe.sock",
      live: false,
      flag: "probe-socket",
      env: ["FLOWSPAN_PROBE_SOCKET"],
    }),
    path: optional(
      {
        summary: "The probe's program, for an agent that starts it.",
        default: undefined,
        defaultText: "`build/flowspan-probe` beside the launcher",
        live: false,
        flag: "probe",
      },
      absolutePath(optionalText),
    ),
    pins: optional(
      {
        summary: "Directory in bpffs for maps and links, for an agent that starts the probe.",
        default: undefined,
        defaultText: "the probe's own: `/sys/fs/bpf/flowspan`",
        live: false,
        flag: "pins",
      },
      absolutePath(optionalText),
    ),
    cgroup: optional(
      {
        summary: "Count only sockets of this cgroup directory and those below it, for an agent that starts the probe.",
        default: undefined,
        defaultText: "all cgroups",
        live: false,
        flag: "cgroup",
      },
      absolutePath(optionalText),
    ),
    edges: integer(
      {
        summary:
          "Room in the kernel's edge table, for an agent that starts the probe; what finds none is counted without detail. Also how many edges of one exchange an agent takes from any probe: where it does not start the probe, set it to the probe's own.",
        default: 65_536,
        live: false,
        flag: "edges",
      },
      { min: 16, max: 1_000_000 },
    ),
    share: integer(
      {
        summary:
          "In percent: a pod, else a user, container or unit, may hold as many edges as the kernel's table has free, times this; what it has beyond is counted without detail, as its own.",
        default: 100,
        live: true,
      },
      { min: 1, max: 10_000 },
    ),
    idle: milliseconds(
      {
        summary: "An edge with no growth and nothing open for this long is removed from the kernel's table.",
        default: 300_000,
        live: true,
      },
      { min: 1_000, max: 86_400_000 },
    ),
  },
  budget: {
    flows: integer(
      {
        summary:
          "At most this many flows (attribute sets) are exported; the lightest share an overflow series, totals stay exact.",
        default: 10_000,
        live: false,
        flag: "flows",
      },
      { min: 1, max: 1_000_000 },
    ),
    idle: milliseconds(
      {
        summary: "A flow without growth for this long ends its series.",
        default: 900_000,
        live: false,
      },
      { min: 1_000, max: 86_400_000 },
    ),
  },
  peer: {
    zone: boolean({
      summary: "Name the peer's availability zone on each point, so that traffic between zones can be told apart.",
      default: true,
      live: false,
    }),
    pod: boolean({
      summary: "Name the peer's pod on each point too: many more series.",
      default: false,
      live: false,
      flag: "peer-pod",
    }),
    address: boolean({
      summary: "Put the peer's address on each point too: many more series.",
      default: false,
      live: false,
      flag: "peer-address",
    }),
  },
  kubernetes: {
    enabled: choice(
      {
        summary:
          "Take names from a Kubernetes API. `auto`: inside a pod, or where a kubeconfig is named; `on`: also by KUBECONFIG.",
        default: "auto",
        live: false,
        flag: "kubernetes",
      },
      ["auto", "on", "off"],
    ),
    kubeconfig: optional(
      {
        summary:
          "Kubeconfig file, or several with colons between them, for an agent outside of the cluster; `user` must be able to read them.",
        default: undefined,
        defaultText: "the pod's service account",
        live: false,
        flag: "kubeconfig",
      },
      absolutePath(optionalText),
    ),
    node: optional(
      {
        summary: "Name of this node, as the downward API gives it.",
        default: undefined,
        defaultText: "the host's name",
        live: false,
        flag: "node",
        env: ["FLOWSPAN_NODE_NAME"],
      },
      text(optionalText),
    ),
    scope: choice(
      {
        summary: "Which pods to watch: `all` names peers on other nodes too, `own-node` only this node's.",
        default: "all",
        live: false,
        flag: "scope",
      },
      ["own-node", "all"],
    ),
    metadata: choice(
      {
        summary:
          "Where names of peers come from: a `watch` of the whole cluster by each agent, or `directory`, which few replicas of `flowspan directory` answer.",
        default: "watch",
        live: false,
        flag: "metadata",
      },
      ["watch", "directory"],
    ),
    podLabels: words({
      summary: "Pod labels to take over as k8s.pod.label.NAME.",
      default: [],
      defaultText: "none",
      live: false,
    }),
    podAnnotations: words({
      summary: "Pod annotations to take over as k8s.pod.annotation.NAME.",
      default: [],
      defaultText: "none",
      live: false,
    }),
    appLabels: boolean({
      summary:
        "Let the labels app.kubernetes.io/instance, /name and /version decide service names and versions, as OTel's rule allows.",
      default: false,
      live: false,
    }),
  },
  directory: DIRECTORY_SETTINGS,
  cidrs: namedPrefixes({
    summary: "Names for address ranges: a peer inside one is called by it where nothing better is known.",
    default: {},
    defaultText: "none",
    live: false,
  }),
  scopes: {
    collapse: prefixes({
      summary: "Clients from these prefixes share one edge of the server they call; the longest prefix wins.",
      default: ["0.0.0.0/0", "::/0"],
      live: true,
    }),
    keep: prefixes({
      summary: "Clients from these prefixes keep their address.",
      default: KEPT_PREFIXES,
      defaultText: "private, shared, link-local, reserved and loopback ranges",
      live: true,
    }),
  },
  spans: SPAN_SETTINGS,
  findings: FINDING_SETTINGS,
  admin: {
    socket: socketPath({
      summary: "Unix socket on which the agent answers `flowspan top` and `flowspan doctor`.",
      default: "/run/flowspan/agent/admin.sock",
      live: false,
      flag: "admin-socket",
    }),
    address: optional(
      {
        summary:
          "Answer /healthz and /readyz over TCP too, for a kubelet's probes. The rest is shown on the Unix socket only.",
        default: undefined,
        defaultText: "no TCP",
        live: false,
        flag: "admin-address",
        env: ["FLOWSPAN_ADMIN_ADDRESS"],
      },
      listenAddress(optionalText),
    ),
  },
  ...STANDARD_SETTINGS,
  traces: TRACE_SETTINGS,
  logs: LOG_SETTINGS,
} as const;

type ValuesOf<G> = { readonly [K in keyof G]: G[K] extends Field<infer T> ? T : ValuesOf<G[K]> };

/** All settings with their values, in the table's shape: `settings.probe.socket`. */
export type Settings = ValuesOf<typeof SETTINGS>;
