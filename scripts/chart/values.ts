/**
 * The values of deploy/helm/flowspan, one row each. values.yaml, values.schema.json and the chart's README are made of
 * them by generate.ts; test/e2e/helm-values.ts has for each row what it changes.
 */
import { anyObject, choice, count, flag, named, objects, text, texts, type Value } from "./value.ts";
import { imageValues, workloadValues } from "./workload-values.ts";

const EVERYWHERE = [{ operator: "Exists" }];
const NODE_UPDATE = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "10%" } };

const NAMES: readonly Value[] = [
  {
    path: "nameOverride",
    schema: text,
    default: "",
    description: "In place of the chart's name, in names and in the label app.kubernetes.io/name.",
  },
  {
    path: "fullnameOverride",
    schema: text,
    default: "",
    description: "In place of release and chart name, as the beginning of every object's name.",
  },
  { path: "commonLabels", schema: texts, default: {}, description: "More labels of every object." },
  {
    path: "imageRegistry",
    schema: text,
    default: "",
    description: "Registry, with a path where it has one, in front of every image's repository.",
  },
  {
    path: "imagePullSecrets",
    schema: named,
    default: [],
    description: "Secrets with which images are pulled: a list of {name: …}.",
  },
  {
    path: "clusterName",
    schema: text,
    default: "",
    description: "Name of the cluster; becomes k8s.cluster.name on every Resource.",
  },
  {
    path: "appLabels",
    schema: flag,
    default: false,
    description: "Name services by app.kubernetes.io/name and its like. Agents and directory get the same.",
  },
];

const OTLP: readonly Value[] = [
  {
    path: "otlp.endpoint",
    schema: text,
    default: `http://\${HOST_IP}:4317`,
    description:
      "Where the Collector takes OTLP. The default is port 4317 of each node's own address, over HTTP 4318. One behind a Service: http://otel-collector.observability:4317. Over HTTP a base: /v1/metrics and its like are appended.",
  },
  {
    path: "otlp.protocol",
    schema: choice("grpc", "http/protobuf"),
    default: "grpc",
    description: "OTLP over gRPC, or as protobuf over HTTP.",
  },
  {
    path: "otlp.compression",
    schema: choice("none", "gzip"),
    default: "gzip",
    description: "Compression of the requests.",
  },
  {
    path: "otlp.exporter",
    schema: anyObject,
    default: {},
    description:
      "More fields of the exporter, otlp_grpc or otlp_http: timeout, temporality_preference, … (docs/configuration.md).",
  },
  {
    path: "otlp.headers.secret",
    schema: text,
    default: "",
    description:
      "A Secret with headers for every request, as `NAME=VALUE,NAME=VALUE`. Empty: no headers. A changed Secret counts from the pods' next start.",
  },
  { path: "otlp.headers.key", schema: text, default: "headers", description: "The key of that Secret." },
  {
    path: "otlp.tls.secret",
    schema: text,
    default: "",
    description:
      "A Secret with ca.crt, which signs the Collector's certificate. Empty: the system's certificates count. The endpoint must not begin with http://. Each new connection reads it anew.",
  },
  {
    path: "otlp.tls.clientCertificate",
    schema: flag,
    default: false,
    description: "Mutual TLS: show the certificate tls.crt with the key tls.key of that Secret.",
  },
  {
    path: "traceKey.secret",
    schema: text,
    default: "flowspan-trace-key",
    description:
      "A Secret with the key of trace ids, the same on all nodes and in all clusters whose spans shall meet. It may be missing: then the key is one that everybody knows.",
  },
  { path: "traceKey.key", schema: text, default: "key", description: "The key of that Secret." },
];

const CLUSTER: readonly Value[] = [
  { path: "rbac.create", schema: flag, default: true, description: "Make ClusterRoles and their bindings." },
  {
    path: "priorityClass.create",
    schema: flag,
    default: true,
    description: "Make a PriorityClass above ordinary workloads, so that a full node keeps its agent.",
  },
  {
    path: "priorityClass.name",
    schema: text,
    default: "",
    description:
      "Name of the pods' PriorityClass. Empty: the one that is made, or none where `priorityClass.create` is false.",
  },
  { path: "priorityClass.value", schema: count, default: 1_000_000, description: "Its value." },
  {
    path: "networkPolicy.enabled",
    schema: flag,
    default: true,
    description:
      "Let health alone into agents' pods, nothing into or out of probes', and agents alone into the directory's.",
  },
];

const AGENT: readonly Value[] = [
  {
    path: "agent.config",
    schema: anyObject,
    default: {},
    description:
      "More fields of the agents' flowspan.yaml, merged over what the chart writes (docs/configuration.md): {distribution: {flowspan: {interval: 30000}}}. The exporter of metrics is set by `otlp`.",
  },
  ...imageValues("agent", "flowspan-agent"),
  ...workloadValues("agent", {
    resources: { requests: { cpu: "50m", memory: "96Mi" }, limits: { memory: "256Mi" } },
    tolerations: EVERYWHERE,
    updateStrategy: NODE_UPDATE,
  }),
];

const PROBE: readonly Value[] = [
  ...imageValues("probe", "flowspan-probe"),
  {
    path: "probe.extraArgs",
    schema: { type: "array", items: text },
    default: [],
    description:
      "More arguments of flowspan-probe, as --edges=131072. `flowspan doctor` names the memory limit for it, and `probe.edges` of the agents must be as many.",
  },
  {
    path: "probe.socketDirectory",
    schema: { type: "string", pattern: "^/" },
    default: "/run/flowspan-kubernetes",
    description: "Directory of the node in which probe and agent meet. The kubelet makes it.",
  },
  {
    path: "probe.pins",
    schema: { type: "string", pattern: "^[A-Za-z0-9_-]+$" },
    default: "flowspan",
    description: "Directory below the node's bpffs in which the kernel's tables are kept while no probe runs.",
  },
  ...workloadValues("probe", {
    resources: { requests: { cpu: "20m", memory: "64Mi" }, limits: { memory: "256Mi" } },
    tolerations: EVERYWHERE,
    updateStrategy: NODE_UPDATE,
  }),
];

const DIRECTORY: readonly Value[] = [
  {
    path: "directory.enabled",
    schema: flag,
    default: false,
    description: "Run `flowspan directory`, for clusters of some hundred nodes and more (docs/directory.md).",
  },
  { path: "directory.replicas", schema: count, default: 2, description: "Replicas of the directory." },
  {
    path: "directory.authentication",
    schema: choice("token", "serviceAccount"),
    default: "token",
    description:
      "How agents show who they are: one `token` for all, of the two Secrets, or each by a token of its pod's `serviceAccount`.",
  },
  {
    path: "directory.secret",
    schema: text,
    default: "",
    description:
      "The directory's Secret with tls.crt, tls.key and, for `token`, tokens. Empty: the directory's own name.",
  },
  {
    path: "directory.agentSecret",
    schema: text,
    default: "",
    description: "The agents' Secret with ca.crt and, for `token`, token. Empty: the directory's name and -agent.",
  },
  {
    path: "directory.config",
    schema: anyObject,
    default: {},
    description: "More fields of the directory's flowspan.yaml, merged over what the chart writes.",
  },
  {
    path: "directory.podDisruptionBudget.enabled",
    schema: flag,
    default: true,
    description: "Make a PodDisruptionBudget. DaemonSets need none: draining a node passes over their pods.",
  },
  {
    path: "directory.podDisruptionBudget.maxUnavailable",
    schema: count,
    default: 1,
    description: "Replicas that may be evicted at once.",
  },
  {
    path: "directory.topologySpreadConstraints",
    schema: objects,
    default: [{ maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway" }],
    description: "How replicas spread. Where an entry has no labelSelector, it selects the directory's pods.",
  },
  ...workloadValues("directory", {
    resources: { requests: { cpu: "100m", memory: "192Mi" }, limits: { memory: "512Mi" } },
    tolerations: [],
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
  }),
];

const MONITORING: readonly Value[] = [
  {
    path: "prometheusRule.enabled",
    schema: flag,
    default: false,
    description: "Make a PrometheusRule with the alerts. It needs the Prometheus Operator's CRD.",
  },
  {
    path: "prometheusRule.labels",
    schema: texts,
    default: {},
    description: "Labels by which your Prometheus selects rules.",
  },
  {
    path: "prometheusRule.runbookBase",
    schema: text,
    default: "docs/runbooks/",
    description: "Where your team reads the runbooks, in front of their file names, with a slash at its end.",
  },
  {
    path: "dashboards.enabled",
    schema: flag,
    default: false,
    description: "Make a ConfigMap for each Grafana dashboard, for Grafana's sidecar.",
  },
  {
    path: "dashboards.labels",
    schema: texts,
    default: { grafana_dashboard: "1" },
    description: "Labels by which the sidecar finds them.",
  },
  {
    path: "dashboards.annotations",
    schema: texts,
    default: {},
    description: "Their annotations, as a folder for the sidecar.",
  },
];

const REST: readonly Value[] = [
  {
    path: "uninstall.enabled",
    schema: flag,
    default: false,
    description:
      "In place of everything else, a DaemonSet that removes the kernel programs and tables from each node, with what was not exported yet. A pod is ready when its node is clean; `helm uninstall` comes after that.",
  },
  {
    path: "extraObjects",
    schema: objects,
    default: [],
    description: "More objects. Templates in them are rendered.",
  },
];

export const VALUES: readonly Value[] = [
  ...NAMES,
  ...OTLP,
  ...CLUSTER,
  ...AGENT,
  ...PROBE,
  ...DIRECTORY,
  ...MONITORING,
  ...REST,
];
