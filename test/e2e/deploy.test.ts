/**
 * deploy/manifests on a real kube-apiserver: accepted as they are, granting exactly what the agent asks for;
 * and the probe, started with the capabilities that they give it and no others.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { readConfigFile } from "../../agent/config/file.ts";
import { loadSchemaCheck } from "../../agent/config/load.ts";
import { resourceOf } from "../../agent/kubernetes/reads.ts";
import { FEEDS } from "../../agent/model/cluster-objects.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { holds } from "../components/running.ts";
import { needs } from "../machine/needs.ts";
import {
  adminToken,
  apply,
  MANIFESTS,
  manifest,
  manifests,
  resourceFiles,
  send,
  serviceAccountToken,
} from "./manifests.ts";

const PROBE = join(import.meta.dirname, "../../build/flowspan-probe");
const AGENT_USER = 65532;
const CAP_BPF = 1n << 39n;

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly securityContext: {
    readonly capabilities: { readonly add: readonly string[]; readonly drop: readonly string[] };
  };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
}

interface DaemonSet {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly Container[];
        readonly securityContext: { readonly fsGroup: number };
        readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
      };
    };
  };
}

const podSpec = manifest<DaemonSet>("DaemonSet").spec.template.spec;

function container(name: string): Container {
  const found = podSpec.containers.find((each) => each.name === name);
  if (found === undefined) throw new Error(`the DaemonSet has no container ${name}`);
  return found;
}

test("kustomization.yaml names every manifest", () => {
  const files = readdirSync(MANIFESTS).filter((file) => file.endsWith(".yaml") && file !== "kustomization.yaml");

  expect([...resourceFiles()].sort()).toEqual(files.sort());
});

test.each([
  ["192.0.2.1", "http://192.0.2.1:4317"],
  ["fd00:10::5", "http://[fd00:10::5]:4317"],
])("the shipped configuration is one that the agent and OTel's schema take, on a node at %s", async (ip, endpoint) => {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-deploy-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "flowspan.yaml");
  writeFileSync(file, manifest<{ data: Record<string, string> }>("ConfigMap").data["flowspan.yaml"] ?? "");

  const { problems, values, warnings } = readConfigFile(file, { HOST_IP: ip }, await loadSchemaCheck());

  expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
  expect(Object.fromEntries(values)).toEqual({
    logLevel: "info",
    interval: 15_000,
    "otlp.endpoint": endpoint,
    "otlp.compression": "gzip",
  });
});

test("the agent's container has no capability and no part of the host", () => {
  const { securityContext, volumeMounts } = container("agent");
  const ofTheHost = podSpec.volumes.filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);

  expect(securityContext).toEqual({
    runAsNonRoot: true,
    runAsUser: AGENT_USER,
    runAsGroup: AGENT_USER,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  expect(volumeMounts.filter(({ name }) => ofTheHost.includes(name))).toEqual([]);
});

test("into the agents' pods the network lets health alone", () => {
  interface Policy {
    readonly spec: { readonly podSelector: { readonly matchLabels: Record<string, string> } };
  }
  interface Labelled {
    readonly spec: { readonly template: { readonly metadata: { readonly labels: Record<string, string> } } };
  }
  const { spec } = manifest<Policy>("NetworkPolicy");
  const ports = podSpec.containers.flatMap((each) => each.ports ?? []);

  expect(spec.podSelector.matchLabels).toEqual(manifest<Labelled>("DaemonSet").spec.template.metadata.labels);
  expect(spec).toMatchObject({ policyTypes: ["Ingress"], ingress: [{ ports: [{ port: "health" }] }] });
  // A rule by a name that no port has lets nothing in, or with some network plugins everything.
  expect(ports).toEqual([{ name: "health", containerPort: 9480 }]);
});

describe("on a real API server", () => {
  let kube: Kube;

  beforeAll(async () => {
    kube = await startKube();
    for (const object of manifests()) {
      for (const dryRun of [true, false]) applied.push([object.kind, dryRun, await apply(kube, object, { dryRun })]);
    }
  });
  afterAll(() => kube?.stop());
  const applied: [kind: string, dryRun: boolean, answer: { status: number; body: string }][] = [];

  test("every object is created, after a server-side dry run that says the same", () => {
    const refused = applied.filter(([, , { status }]) => status !== 201);

    expect(refused).toEqual([]);
    expect(applied.map(([kind]) => kind)).toEqual(manifests().flatMap(({ kind }) => [kind, kind]));
  });

  test("every list and watch of the agent is allowed", async () => {
    const token = await serviceAccountToken(kube);
    const trim = { wellKnownLabels: false, podLabels: [], podAnnotations: [] };
    const resources = FEEDS.map((feed) => resourceOf(feed, "node-1", trim));

    const answers: [string, number][] = [];
    for (const { path, query } of resources) {
      for (const verb of [{}, { watch: "1", timeoutSeconds: "1" }]) {
        const full = `${path}?${new URLSearchParams({ ...query, ...verb })}`;
        answers.push([full, (await send(kube, token, "GET", full)).status]);
      }
    }

    expect(answers.length).toBe(12);
    expect(answers.filter(([, status]) => status !== 200)).toEqual([]);
  });

  test("nothing else is granted than what every user has and the ClusterRole says", async () => {
    const ours = await grants(await serviceAccountToken(kube));
    const anyone = await grants(await otherToken());

    const extra = ours.filter((rule) => !anyone.some((each) => JSON.stringify(each) === JSON.stringify(rule)));

    expect(extra).toEqual(manifest<{ rules: object[] }>("ClusterRole").rules.map(ordered));
  });

  test.each([
    ["get", "", "secrets", undefined],
    ["list", "", "secrets", undefined],
    ["list", "", "configmaps", undefined],
    ["get", "", "pods", undefined],
    ["create", "", "pods", undefined],
    ["delete", "", "pods", undefined],
    ["create", "", "pods", "exec"],
    ["get", "", "pods", "log"],
    ["list", "", "namespaces", undefined],
    ["update", "", "nodes", undefined],
    ["get", "", "nodes", "proxy"],
    ["list", "apps", "daemonsets", undefined],
    ["impersonate", "", "users", undefined],
  ])("%s of %s/%s %s is refused", async (verb, group, resource, subresource) => {
    const user = "system:serviceaccount:flowspan:flowspan";
    const resourceAttributes = { verb, group, resource, namespace: "flowspan", subresource };
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: { user, groups: ["system:serviceaccounts", "system:authenticated"], resourceAttributes },
    };

    const answer = await send(
      kube,
      adminToken(kube),
      "POST",
      "/apis/authorization.k8s.io/v1/subjectaccessreviews",
      review,
    );

    expect((JSON.parse(answer.body) as { status: { allowed: boolean } }).status.allowed).toBe(false);
  });

  /** Of a service account that nobody granted anything. */
  async function otherToken(): Promise<string> {
    const accounts = "/api/v1/namespaces/flowspan/serviceaccounts";
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "other" } };
    await send(kube, adminToken(kube), "POST", accounts, account);
    const wanted = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
    const { body } = await send(kube, adminToken(kube), "POST", `${accounts}/other/token`, wanted);
    return (JSON.parse(body) as { status: { token: string } }).status.token;
  }

  async function grants(token: string): Promise<object[]> {
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectRulesReview",
      spec: { namespace: "flowspan" },
    };
    const { body } = await send(kube, token, "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review);
    const { status } = JSON.parse(body) as { status: { resourceRules: object[]; incomplete: boolean } };
    return status.resourceRules.map(ordered);
  }

  function ordered(rule: object): object {
    return Object.fromEntries(Object.entries(rule).sort(([a], [b]) => (a < b ? -1 : 1)));
  }
});

describe("the probe's container", () => {
  const withProbe = needs("root", "btf", "build");
  const capabilities = container("probe").securityContext.capabilities;

  withProbe("starts with its capabilities, and keeps CAP_BPF alone as user 65532", async () => {
    expect(capabilities.drop).toEqual(["ALL"]);
    const probe = startProbe(capabilities.add);

    const isUp = await holds(
      async () => probe.hasSocket(),
      20_000,
      () => probe.hasEnded(),
    );
    expect(isUp, probe.words()).toBe(true);
    const privileges = () => probe.privileges();
    await holds(async () => privileges().effective === CAP_BPF, 5_000);

    expect(privileges()).toEqual({ uid: AGENT_USER, effective: CAP_BPF, permitted: CAP_BPF, noNewPrivileges: true });
    expect(probe.socketMode()).toEqual({ gid: podSpec.securityContext.fsGroup, mode: 0o660 });
  });

  for (const capability of capabilities.add) {
    withProbe(`does not start without ${capability}`, async () => {
      const probe = startProbe(capabilities.add.filter((each) => each !== capability));

      await probe.end;

      expect(probe.exitCode(), probe.words()).not.toBe(0);
    });
  }

  withProbe("says of itself that it can run, asked as README.md says", async () => {
    const check = startProbe(capabilities.add, ["--check"]);

    await check.end;

    const { can_run, bpffs, capabilities: held } = JSON.parse(check.words());
    expect({ can_run, bpffs: bpffs.mounted, sys_admin: held.sys_admin, code: check.exitCode() }).toEqual({
      can_run: true,
      bpffs: true,
      sys_admin: false,
      code: 0,
    });
    const pins = container("probe").args.find((argument) => argument.startsWith("--pins="));
    const asked = `-c probe -- flowspan-probe --check ${pins?.replace("=", " ")}`;
    expect(readFileSync(join(MANIFESTS, "README.md"), "utf8")).toContain(asked);
  });

  interface Privileges {
    readonly uid: number;
    readonly effective: bigint;
    readonly permitted: bigint;
    readonly noNewPrivileges: boolean;
  }

  interface StartedProbe {
    readonly end: Promise<unknown>;
    exitCode(): number | null;
    hasEnded(): boolean;
    hasSocket(): boolean;
    socketMode(): { gid: number; mode: number };
    privileges(): Privileges;
    words(): string;
  }

  /**
   * As a container runtime would: the manifest's arguments, volumes at other places, the bounding set cut to
   * these capabilities, no new privileges. Its bpffs belongs to a mount namespace of its own and goes with it.
   */
  function startProbe(added: readonly string[], more: readonly string[] = []): StartedProbe {
    const directory = mkdtempSync(join(tmpdir(), "flowspan-deploy-"));
    const places = { run: join(directory, "run"), bpf: join(directory, "bpf") };
    mkdirSync(places.run);
    mkdirSync(places.bpf);
    // What the kubelet makes of an emptyDir with a fsGroup.
    chownSync(places.run, 0, podSpec.securityContext.fsGroup);
    chmodSync(places.run, 0o2777);
    const argv = container("probe").args.map((argument) => placed(argument, places));
    const socket = argv.find((argument) => argument.startsWith("--socket="))?.slice("--socket=".length) ?? "";

    const bounding = ["-all", ...added.map((name) => `+${name.toLowerCase()}`)].join(",");
    const child = spawn("unshare", [
      ...["--mount", "--propagation", "private", "--", "sh", "-c"],
      ...[`mount -t bpf bpf "$0" && exec "$@"`, places.bpf],
      ...["setpriv", `--bounding-set=${bounding}`, "--inh-caps=-all", "--no-new-privs", "--clear-groups"],
      ...["--", PROBE, ...argv, ...more],
    ]);
    const words: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => words.push(chunk.toString()));
    const end = once(child, "exit");
    const kill = () => child.kill("SIGKILL");
    process.on("exit", kill);
    onTestFinished(async () => {
      child.kill("SIGTERM");
      await end;
      process.off("exit", kill);
      rmSync(directory, { recursive: true, force: true });
    });
    return {
      end,
      exitCode: () => child.exitCode,
      hasEnded: () => child.exitCode !== null || child.signalCode !== null,
      hasSocket: () => statSync(socket, { throwIfNoEntry: false }) !== undefined,
      socketMode: () => ({ gid: statSync(socket).gid, mode: statSync(socket).mode & 0o777 }),
      privileges: () => privilegesOf(child),
      words: () => words.join(""),
    };
  }

  /** The argument with the mount paths of the manifest replaced by where their volumes are here. */
  function placed(argument: string, places: Readonly<Record<string, string>>): string {
    const mount = container("probe").volumeMounts.find(({ mountPath }) => argument.includes(`=${mountPath}/`));
    const place = mount && places[mount.name];
    return place === undefined ? argument : argument.replace(mount?.mountPath ?? "", place);
  }

  function privilegesOf({ pid }: ChildProcess): Privileges {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "";
    return {
      uid: Number(field("Uid")),
      effective: BigInt(`0x${field("CapEff")}`),
      permitted: BigInt(`0x${field("CapPrm")}`),
      noNewPrivileges: field("NoNewPrivs") === "1",
    };
  }
});
