/**
 * Tokens of service accounts, as kubelets mount them, before a directory that asks a real kube-apiserver about them with
 * what deploy/manifests/directory-identity grants it: the right one is let in, each wrong one is refused with its reason.
 */
import { createSign } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { parse } from "yaml";
import { readConfigFile } from "../../agent/config/file.ts";
import { loadSchemaCheck } from "../../agent/config/load.ts";
import { kubeconfigConnection } from "../../agent/kubernetes/kubeconfig-connection.ts";
import { reviewToken } from "../../agent/kubernetes/token-review.ts";
import { type DirectoryProcess, startDirectory, untilReady } from "../components/directory.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { nodeObject, podObject } from "../kubernetes/kubernetes-objects.ts";
import { missing, needs } from "../machine/needs.ts";
import { type Asking, eventually, nowMs, startAsking, startServing } from "../unit/directory/serving.ts";
import { adminToken, apply, MANIFESTS, type Manifest, manifests, send } from "./manifests.ts";

const NEEDS = ["build", "kube-apiserver", "etcd"] as const;
const test = needs(...NEEDS);
const IDENTITY = join(MANIFESTS, "directory-identity");
const AUDIENCE = "flowspan-directory";
const ACCOUNT = "flowspan/flowspan";
const WAIT_MS = 20_000;

/** Kubernetes reads YAML 1.1: a mode of 0440 is octal. */
const read = <T>(directory: string, file: string) =>
  parse(readFileSync(join(MANIFESTS, directory, file), "utf8"), { version: "1.1" }) as Manifest & T;
const component = read<{ resources: string[]; patches: { path: string }[] }>(
  "directory-identity",
  "kustomization.yaml",
);

let kube: Kube;
const files = mkdtempSync(join(tmpdir(), "flowspan-e2e-"));

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  kube = await startKube();
  const ofDirectory = ["service-account", "cluster-role", "cluster-role-binding", "deployment"];
  const objects = [...manifests(), ...ofDirectory.map((name) => read("directory", `${name}.yaml`))];
  for (const object of [...objects, read("directory", "config-map.yaml")]) await applied(object);
  await applied({ ...read("directory", "service-account.yaml"), metadata: { name: "other", namespace: "flowspan" } });
  for (const name of ["node-1", "node-2"]) await kube.admin.create(nodeObject({ name, ips: [] }));
}, 120_000);

afterAll(async () => {
  await kube?.stop();
  rmSync(files, { recursive: true });
});

async function applied(object: Manifest): Promise<void> {
  const { status, body } = await apply(kube, object, { dryRun: false });
  if (status > 201) throw new Error(`${object.kind} ${object.metadata.name}: ${status} ${body}`);
}

interface Wanted {
  readonly audiences?: readonly string[];
  readonly account?: string;
  readonly boundObjectRef?: object;
}

/** As a kubelet asks. */
async function tokenOf({ account = "flowspan", ...wanted }: Wanted): Promise<string> {
  const path = `/api/v1/namespaces/flowspan/serviceaccounts/${account}/token`;
  const spec = { audiences: [AUDIENCE], expirationSeconds: 3607, ...wanted };
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec };
  const answer = await send(kube, adminToken(kube), "POST", path, body);
  if (answer.status !== 201) throw new Error(`no token: ${answer.status} ${answer.body}`);
  return (JSON.parse(answer.body) as { status: { token: string } }).status.token;
}

let agents = 0;

/** A token of an agent's pod on that node, and its pod. */
async function ofPod(node: string, wanted: Wanted = {}) {
  agents++;
  const object = podObject({ name: `agent-${agents}`, namespace: "flowspan", node, owner: "DaemonSet/flowspan" });
  const spec = { ...(object.spec as object), serviceAccountName: "flowspan" };
  const pod = await kube.admin.create({ ...object, spec });
  const { name, uid } = pod.metadata;
  const boundObjectRef = { apiVersion: "v1", kind: "Pod", name, uid };
  return { pod, token: await tokenOf({ ...wanted, boundObjectRef }) };
}

/** Signed by the cluster's key, as if the time of a token had gone by. */
function expired(token: string): string {
  const [head = "", claims = ""] = token.split(".");
  const past = { ...JSON.parse(Buffer.from(claims, "base64url").toString()), exp: Math.floor(Date.now() / 1000) - 60 };
  const content = `${head}.${Buffer.from(JSON.stringify(past)).toString("base64url")}`;
  const signature = createSign("sha256").update(content).sign(readFileSync(kube.signingKeyFile));
  return `${content}.${signature.toString("base64url")}`;
}

function kubeconfigOf(token: string, name: string): string {
  const ca = readFileSync(kube.caFile).toString("base64");
  const file = join(files, `${name}.kubeconfig`);
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [{ name: "c", cluster: { server: kube.server, "certificate-authority-data": ca } }],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

async function grant(): Promise<void> {
  for (const file of component.resources) await applied(read("directory-identity", file));
}

/** A replica with the shipped account's rights, and short times. */
async function serving(limits = {}) {
  const token = await tokenOf({ account: "flowspan-directory", audiences: [] });
  const connection = kubeconfigConnection(kubeconfigOf(token, "directory"));
  const review = (shown: string, audience: string) => reviewToken(connection, shown, audience);
  return startServing({ reviews: { audience: AUDIENCE, accounts: [ACCOUNT], review, nowMs, limits } });
}

function agentWith(address: string, token: string): Asking {
  const tokenFile = join(files, `token-${agents++}`);
  writeFileSync(tokenFile, token);
  const asking = startAsking([address], { tokenFile, firstWordMs: WAIT_MS });
  asking.ask("10.1.0.2");
  return asking;
}

const isAnswered = (asking: Asking) => eventually(() => expect(asking.ask("10.1.0.2")).toBe(true), WAIT_MS);
const isTold = (asking: Asking, words: string) =>
  eventually(() => expect(JSON.stringify(asking.logged)).toContain(words), WAIT_MS);

test("without the component a directory may not ask, lets nobody in, and each agent is told to come again", async () => {
  const { address } = await serving();

  const asking = agentWith(address, (await ofPod("node-1")).token);

  await isTold(asking, "cannot be asked about this token");
});

describe("with what the component grants", () => {
  beforeAll(async () => {
    if (missing(...NEEDS) === undefined) await grant();
  });

  test("the token of an agent's pod is let in", async () => {
    const { address } = await serving();

    await isAnswered(agentWith(address, (await ofPod("node-1")).token));
  });

  const wrong: [what: string, token: () => Promise<string>, reason: string, counted: string][] = [
    [
      "for another audience",
      async () => (await ofPod("node-1", { audiences: ["vault"] })).token,
      "audience",
      "UNAUTHENTICATED",
    ],
    [
      "for the API server itself",
      async () => (await ofPod("node-1", { audiences: [] })).token,
      "audience",
      "UNAUTHENTICATED",
    ],
    ["that has expired", async () => expired((await ofPod("node-1")).token), "expired", "UNAUTHENTICATED"],
    [
      "whose signature was changed",
      async () => `${(await ofPod("node-1")).token.slice(0, -8)}AAAAAAAA`,
      "does not accept",
      "UNAUTHENTICATED",
    ],
    ["of a deleted pod", deleted, "does not accept", "UNAUTHENTICATED"],
    ["of another account", () => tokenOf({ account: "other" }), "flowspan/other is none of", "PERMISSION_DENIED"],
    ["of another node's pod", async () => (await ofPod("node-2")).token, "of a pod on node-2", "PERMISSION_DENIED"],
  ];
  for (const [what, token, reason, counted] of wrong) {
    test(`a token ${what} is refused with its reason, and counted`, async () => {
      const { address, server } = await serving();

      const asking = agentWith(address, await token());

      await isTold(asking, reason);
      expect(server.stats().refusals[counted]).toBeGreaterThan(0);
      expect(asking.ask("10.1.0.2")).toBe(false);
    });
  }

  async function deleted(): Promise<string> {
    const { pod, token } = await ofPod("node-1");
    await kube.admin.delete(pod);
    return token;
  }

  test("when its pod is deleted, an agent's stream ends once the answer's time is over", async () => {
    const { address, server } = await serving({ acceptedMs: 100, refusedMs: 100 });
    const { pod, token } = await ofPod("node-1");
    const asking = agentWith(address, token);
    await isAnswered(asking);

    await kube.admin.delete(pod);

    await isTold(asking, "counts no more");
    expect(server.stats().streams).toBe(0);
  });

  test("the process takes the setting, and lets in and refuses likewise", async () => {
    const kubeconfig = kubeconfigOf(await tokenOf({ account: "flowspan-directory", audiences: [] }), "process");
    const directory = { insecure: true, token_audience: AUDIENCE };
    const replica: DirectoryProcess = await startDirectory({ settings: { directory, kubernetes: { kubeconfig } } });
    try {
      await untilReady(replica);

      await isAnswered(agentWith(replica.address, (await ofPod("node-1")).token));
      await isTold(
        agentWith(replica.address, await tokenOf({ account: "other" })),
        "none of directory.service_accounts",
      );
    } finally {
      await replica.kill("SIGKILL");
    }
  }, 60_000);

  // The last one: it takes the API server away.
  test("while the API server is away, who was let in stays and comes again within the answer's time; nobody new does", async () => {
    const { address, server } = await serving();
    const { token } = await ofPod("node-1");
    const { token: other } = await ofPod("node-1");
    await isAnswered(agentWith(address, token));

    await kube.killServer();
    const again = agentWith(address, token);
    const fresh = agentWith(address, other);

    await isAnswered(again);
    await isTold(fresh, "cannot be asked about this token");
    expect(server.stats().refusals.UNAVAILABLE).toBeGreaterThan(0);
    await kube.startServer();
    await isAnswered(fresh);
  }, 120_000);
});

describe("the manifests", () => {
  const anywhere = needs();

  anywhere("the component names every one of its files", () => {
    const present = readdirSync(IDENTITY).filter((file) => file !== "kustomization.yaml");

    expect([...component.resources, ...component.patches.map(({ path }) => path)].sort()).toEqual(present.sort());
  });

  anywhere("the right to ask about tokens is in this component, and in no other manifest", () => {
    const all = readdirSync(MANIFESTS, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".yaml"));
    const naming = all.filter((file) => /resources:.*tokenreviews/.test(readFileSync(join(MANIFESTS, file), "utf8")));

    expect(naming).toEqual(["directory-identity/cluster-role.yaml"]);
    expect(read<{ rules: object }>("directory-identity", "cluster-role.yaml").rules).toEqual([
      { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
    ]);
  });

  anywhere(
    "the directory's configuration is the component's, but for who is let in, and one that it takes",
    async () => {
      const text = (directory: string, file: string) =>
        read<{ data: Record<string, string> }>(directory, file).data["flowspan.yaml"] ?? "";
      const changed = text("directory-identity", "directory-config-map.patch.yaml");
      const file = join(files, "directory.yaml");
      writeFileSync(file, changed);

      const { problems, warnings } = readConfigFile(file, { HOST_IP: "192.0.2.1" }, await loadSchemaCheck());

      const { token_audience, service_accounts, ...rest } = parse(changed).distribution.flowspan.directory;
      const { token_file: _, ...before } = parse(text("directory", "config-map.yaml")).distribution.flowspan.directory;
      expect({ problems, warnings, rest }).toEqual({ problems: [], warnings: [], rest: before });
      expect({ token_audience, service_accounts }).toEqual({ token_audience: AUDIENCE, service_accounts: [ACCOUNT] });
    },
  );

  test("the agents' pods take the change: their token is for the directory alone, where the Secret's was", async () => {
    const query = "?fieldManager=flowspan-test&fieldValidation=Strict";
    const change = async (directory: string) => {
      const path = `/apis/apps/v1/namespaces/flowspan/daemonsets/flowspan${query}`;
      const body = read(directory, "agent-daemon-set.patch.yaml");
      return send(kube, adminToken(kube), "PATCH", path, body, "application/strategic-merge-patch+json");
    };

    await change("directory");
    const { status, body } = await change("directory-identity");

    expect([status, status === 200 ? "" : body]).toEqual([200, ""]);
    const { volumes, containers } = JSON.parse(body).spec.template.spec;
    const found = volumes.find((volume: { name: string }) => volume.name === "directory");
    expect(found).toEqual({
      name: "directory",
      projected: {
        defaultMode: 0o440,
        sources: [
          { secret: { name: "flowspan-directory-agent", items: [{ key: "ca.crt", path: "ca.crt" }] } },
          { serviceAccountToken: { path: "token", audience: AUDIENCE, expirationSeconds: 3607 } },
        ],
      },
    });
    expect(containers[0].volumeMounts).toContainEqual({
      ...{ name: "directory", mountPath: "/etc/flowspan-directory", readOnly: true },
    });
  });
});
