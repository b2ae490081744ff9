/**
 * deploy/manifests: what probe and agent may do and see, and who may reach them. On a real kube-apiserver they are accepted
 * as they are, and grant exactly what the agent asks for. containers.test.ts runs both containers.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { readConfigFile } from "../../agent/config/file.ts";
import { loadSchemaCheck } from "../../agent/config/load.ts";
import { USER_AGENT, USER_DIRECTORY, USER_PROBE } from "../../agent/generated/layout.ts";
import { resourceOf } from "../../agent/kubernetes/reads.ts";
import { FEEDS } from "../../agent/model/cluster-objects.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import {
  adminToken,
  apply,
  MANIFESTS,
  manifest,
  manifests,
  podOf,
  resourceFiles,
  send,
  serviceAccountToken,
} from "./manifests.ts";

const agent = podOf("flowspan");
const probe = podOf("flowspan-probe");

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
    "otlp.protocol": "grpc",
    "otlp.endpoint": endpoint,
    "otlp.compression": "gzip",
  });
});

test("the agent has no capability, no process of the host, and of its files the probe's socket alone, read only", () => {
  const ofTheHost = agent.spec.volumes.flatMap(({ name, hostPath }) => (hostPath ? [[name, hostPath.path]] : []));

  expect(agent.container.securityContext).toEqual({
    runAsNonRoot: true,
    runAsUser: USER_AGENT,
    runAsGroup: USER_AGENT,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  expect([agent.spec.hostPID, agent.spec.securityContext.fsGroup]).toEqual([undefined, USER_AGENT]);
  expect(ofTheHost).toEqual([["probe", "/run/flowspan-kubernetes"]]);
  const mounts = agent.container.volumeMounts.filter(({ name }) => name === "probe");
  expect(mounts).toEqual([{ name: "probe", mountPath: "/run/flowspan-probe", readOnly: true }]);
});

test("probe and agent meet at one socket, which the agent's group may use", () => {
  const socketOf = (path: string, { spec, container }: typeof agent) => {
    const mount = container.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
    const volume = spec.volumes.find(({ name }) => name === mount?.name);
    return path.replace(mount?.mountPath ?? "", volume?.hostPath?.path ?? "");
  };
  const argument = (name: string) => probe.container.args?.find((each) => each.startsWith(name))?.slice(name.length);
  const asked = agent.container.env?.find(({ name }) => name === "FLOWSPAN_PROBE_SOCKET")?.value;

  expect(socketOf(asked ?? "", agent)).toBe("/run/flowspan-kubernetes/probe.sock");
  expect(socketOf(argument("--socket=") ?? "", probe)).toBe("/run/flowspan-kubernetes/probe.sock");
  expect(argument("--socket-gid=")).toBe(String(USER_AGENT));
  expect(probe.spec.securityContext.supplementalGroups).toEqual([USER_AGENT]);
});

test("no two of flowspan's processes are one user, and none is a user of other images", () => {
  const image = readFileSync(join(MANIFESTS, "../Dockerfile"), "utf8");
  const deployment = readFileSync(join(MANIFESTS, "directory/deployment.yaml"), "utf8");
  const users = [USER_PROBE, USER_AGENT, USER_DIRECTORY];

  expect(new Set(users).size).toBe(3);
  // Above what OpenShift, SSSD, kubelets and systemd give away, and what Kubernetes takes.
  expect(users.filter((user) => user <= 2_000_200_000 || user >= 2_147_352_576)).toEqual([]);
  expect(/^USER (.+)$/m.exec(image)?.[1]).toBe(`${USER_AGENT}:${USER_AGENT}`);
  const ids = [...deployment.matchAll(/(?:runAsUser|runAsGroup|fsGroup): (\d+)/g)].map(([, id]) => Number(id));
  expect(ids).toEqual([USER_DIRECTORY, USER_DIRECTORY, USER_DIRECTORY]);
});

interface Policy {
  readonly spec: { readonly podSelector: { readonly matchLabels: Record<string, string> } };
}

test("into the agents' pods the network lets health alone, and with the probes' it lets nothing in or out", () => {
  const { spec } = manifest<Policy>("NetworkPolicy", "flowspan");
  const { spec: ofProbes } = manifest<Policy>("NetworkPolicy", "flowspan-probe");

  expect(spec).toEqual({
    podSelector: { matchLabels: agent.labels },
    policyTypes: ["Ingress"],
    ingress: [{ ports: [{ port: "health" }] }],
  });
  expect(ofProbes).toEqual({ podSelector: { matchLabels: probe.labels }, policyTypes: ["Ingress", "Egress"] });
  // A rule by a name that no port has lets nothing in, or with some network plugins everything.
  expect(agent.container.ports).toEqual([{ name: "health", containerPort: 9480 }]);
  expect(probe.container.ports).toBeUndefined();
});

test("the API's token goes to the agent, and to no probe", () => {
  const tokens = ({ spec }: typeof agent) => JSON.stringify(spec).includes("serviceAccountToken");
  const accounts = manifests().filter(({ kind }) => kind === "ServiceAccount");

  expect([tokens(agent), tokens(probe)]).toEqual([true, false]);
  expect(accounts.map((account) => account.automountServiceAccountToken)).toEqual([false, false]);
  expect(JSON.stringify(manifest("ClusterRoleBinding").subjects)).not.toContain("flowspan-probe");
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
