/**
 * `flowspan directory` on a real kube-apiserver: two replicas with the shipped RBAC, and agents' clients over
 * real gRPC streams, up to a thousand of them.
 */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, vi } from "vitest";
import { parseAllDocuments } from "yaml";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { FEEDS_OF } from "../../agent/kubernetes/reads.ts";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import { cpuSeconds, type DirectoryProcess, startDirectory, untilReady } from "../components/directory.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { namespaceObject, nodeObject, podObject } from "../kubernetes/kubernetes-objects.ts";
import { missing, needs } from "../machine/needs.ts";
import { Receiver } from "../otlp/receiver.ts";
import { AskingAgent } from "./asking-agent.ts";
import { adminToken, apply, MANIFESTS, type Manifest, send } from "./manifests.ts";

const test = needs("build", "kube-apiserver", "etcd");
const BUNDLE = join(import.meta.dirname, "../../build/agent.mjs");
const STARTUP_MS = 120_000;
const WAIT = { timeout: 20_000, interval: 5 };
/** Enough for every agent to know several; a prime. */
const PODS = 97;
const podAddress = (index: number) => `10.1.0.${index + 1}`;

let kube: Kube;
let receiver: Receiver;
const replicas: DirectoryProcess[] = [];
const files = mkdtempSync(join(tmpdir(), "flowspan-e2e-"));

beforeAll(async () => {
  if (missing("build", "kube-apiserver", "etcd") !== undefined) return;
  [kube, receiver] = await Promise.all([startKube(), Receiver.start()]);
  await kube.admin.create(namespaceObject("shop"));
  await kube.admin.create(nodeObject({ name: "node-1", ips: ["192.0.2.1"], zone: "north-1", region: "north" }));
  for (let i = 0; i < PODS; i++) await createPod(`cart-${i}`, podAddress(i));
  const own = ["service-account", "cluster-role", "cluster-role-binding"];
  const kubeconfig = await shippedAccount("flowspan-directory", ...own);
  const directory = { insecure: true };
  for (let i = 0; i < 2; i++) {
    const settings = { directory, kubernetes: { kubeconfig }, interval: 1_000 };
    replicas.push(await startDirectory({ settings, endpoint: receiver.endpoint }));
  }
  await Promise.all(replicas.map(untilReady));
}, STARTUP_MS);

afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.kill("SIGKILL")));
  await kube?.stop();
  await receiver?.close();
  rmSync(files, { recursive: true });
});

function createPod(name: string, ip: string) {
  return kube.admin.create(podObject({ name, namespace: "shop", node: "node-1", ips: [ip], owner: "Deployment/cart" }));
}

/** A kubeconfig of a shipped service account, with what these manifests grant it and no more. */
async function shippedAccount(name: string, ...manifests: readonly string[]): Promise<string> {
  for (const file of ["../namespace", ...manifests]) {
    const { status, body } = await apply(kube, object(file), { dryRun: false });
    if (status > 201) throw new Error(`${file}: ${status} ${body}`);
  }
  const path = `/api/v1/namespaces/flowspan/serviceaccounts/${name}/token`;
  const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 3607 } };
  const answer = await send(kube, adminToken(kube), "POST", path, body);
  const { token } = (JSON.parse(answer.body) as { status: { token: string } }).status;
  // Nobody must be able to read it, and the CA with it.
  const ca = readFileSync(kube.caFile).toString("base64");
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [{ name: "c", cluster: { server: kube.server, "certificate-authority-data": ca } }],
    users: [{ name: "u", user: { token } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  };
  const file = join(files, `${name}.kubeconfig`);
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function object(file: string): Manifest {
  const [document] = parseAllDocuments(readFileSync(join(MANIFESTS, "directory", `${file}.yaml`), "utf8"));
  return document?.toJS() as Manifest;
}

test("a pod's address, its change and its end reach agents of both replicas within a second each", async () => {
  const agents = replicas.map(({ address }) => new AskingAgent([address]));
  for (const agent of agents) agent.ask("10.1.9.9");
  await vi.waitFor(() => expect(agents.map((agent) => agent.ask("10.1.9.9"))).toEqual([true, true]), WAIT);
  const timed = async (act: () => Promise<unknown>, expected: string | undefined) => {
    await act();
    const beganMs = performance.now();
    const names = () => agents.map((agent) => agent.names.get("10.1.9.9"));
    await vi.waitFor(() => expect(names()).toEqual([expected, expected]), WAIT);
    return performance.now() - beganMs;
  };

  const remove = (name: string) =>
    send(kube, adminToken(kube), "DELETE", `/api/v1/namespaces/shop/pods/${name}?gracePeriodSeconds=0`);
  const rounds: number[][] = [];
  for (let round = 0; round < 3; round++) {
    rounds.push([
      await timed(() => createPod("late-a", "10.1.9.9"), "late-a"),
      await timed(() => createPod("late-b", "10.1.9.9"), "late-b"),
      // Both had it; the one that stays has it for itself again.
      await timed(() => remove("late-b"), "late-a"),
      await timed(() => remove("late-a"), undefined),
    ]);
  }

  // The best of each kind: a busy machine makes some longer, and one that waits for a sweep or a poll makes all so.
  const times = [0, 1, 2, 3].map((kind) => Math.min(...rounds.map((round) => round[kind] ?? Infinity)));
  process.stderr.write(`directory: a change reached agents after ${times.map((ms) => ms.toFixed(0)).join(", ")} ms\n`);
  expect(Math.max(...times)).toBeLessThan(1_000);
});

test("each replica says what it does and how fresh its names are, as metrics of its own", async () => {
  const agents = replicas.map(({ address }) => new AskingAgent([address]));
  for (const agent of agents) agent.ask(podAddress(0));
  await vi.waitFor(() => expect(agents.map((agent) => agent.ask(podAddress(0)))).toEqual([true, true]), WAIT);
  const agentsOf = () =>
    [...Map.groupBy(receiver.points, ({ resource }) => resource["service.instance.id"]).values()].map(
      (points) => points.findLast(({ metric }) => metric === "flowspan.directory.agents")?.value,
    );
  await vi.waitFor(() => expect(agentsOf()).toEqual([1, 1]), WAIT);

  const own = receiver.points.filter(({ resource }) => resource["service.name"] === "flowspan-directory");
  expect(own.length).toBe(receiver.points.length);
  expect([...new Set(own.map(({ metric }) => metric))].sort()).toEqual([
    ...["addresses", "agents", "answers", "changes"].map((name) => `flowspan.directory.${name}`),
    ...["age", "lists", "objects", "reconnects"].map((name) => `flowspan.metadata.${name}`),
    ...["process.cpu.time", "process.memory.usage"],
  ]);
  const fresh = own.filter(({ metric }) => metric === "flowspan.metadata.age");
  expect([...new Set(fresh.map(({ attributes }) => attributes["flowspan.metadata.feed"]))].sort()).toEqual(
    [...FEEDS_OF.directory].sort(),
  );
});

describe("with many agents", () => {
  const AGENTS = 1_000;
  /** Of each agent: from the cluster, and outside of it. */
  const ADDRESSES = 40;

  test("the API server sees the directory's watches and no others; what that costs is said", async () => {
    const [replica] = replicas as [DirectoryProcess];
    const watches = await watchesOf();
    const cpuBefore = cpuSeconds(replica.pid);
    const beganMs = performance.now();
    const agents = Array.from({ length: AGENTS }, () => new AskingAgent([replica.address]));
    for (const [index, agent] of agents.entries()) for (const address of addressesOf(index)) agent.ask(address);
    const unanswered = () => agents.reduce((sum, { client }) => sum + client.state.unanswered, 0);
    await vi.waitFor(() => expect(unanswered()).toBe(0), { timeout: 60_000, interval: 50 });
    const seconds = (performance.now() - beganMs) / 1000;

    const { streams, keys } = await replica.stats();
    const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${replica.pid}/status`, "utf8"))?.[1]) / 1024;
    const cpu = cpuSeconds(replica.pid) - cpuBefore;
    process.stderr.write(
      `directory: ${AGENTS} agents with ${ADDRESSES} addresses each answered in ${seconds.toFixed(1)} s, ` +
        `${cpu.toFixed(1)} s of CPU, ${rss.toFixed(0)} MiB\n`,
    );
    expect({ streams, keys }).toEqual({ streams: AGENTS, keys: PODS + 3 });
    expect(agents.filter(({ names }) => names.size !== ADDRESSES - 3)).toEqual([]);
    // Each replica's own, and those of the API server itself: a thousand agents have added none.
    expect(await watchesOf()).toEqual(watches);
    expect(Object.keys(watches).length).toBe(FEEDS_OF.directory.length);
    expect(Math.min(...Object.values(watches))).toBeGreaterThanOrEqual(replicas.length);
  }, 100_000);

  function addressesOf(index: number): string[] {
    const inside = Array.from({ length: ADDRESSES - 3 }, (_, i) => podAddress((index + i) % PODS));
    return [...inside, "203.0.113.1", "203.0.113.2", "10.8.0.1"];
  }
});

test("an agent with a directory watches its own node's pods alone, and its peers come from the directory", async () => {
  const role = "agent-cluster-role.patch";
  const kubeconfig = await shippedAccount("flowspan", "../service-account", role, "../cluster-role-binding");
  const before = (await watchesOf()).pods;
  const socket = join(files, "admin.sock");
  const config = join(files, "agent.yaml");
  const ours = {
    admin: { socket },
    probe: { socket: join(files, "probe.sock") },
    kubernetes: { kubeconfig, node: "node-1", metadata: "directory" },
    directory: { insecure: true, addresses: replicas.map(({ address }) => address) },
  };
  writeFileSync(config, JSON.stringify({ file_format: "1.1", log_level: "error", distribution: { flowspan: ours } }));
  execFileSync("chown", ["-R", `${USER_AGENT}:${USER_AGENT}`, files]);
  // Nobody's: as root it would start a probe. Without one it has no edges; its sources of names are what counts here.
  const nobody = [
    `--reuid=${USER_AGENT}`,
    `--regid=${USER_AGENT}`,
    "--clear-groups",
    "--bounding-set=-all",
    "--inh-caps=-all",
  ];
  const child = spawn("setpriv", [...nobody, process.execPath, BUNDLE, "agent", "--config", config], {
    stdio: "inherit",
  });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });

  const sources = async () => {
    const { body } = (await askAgent(socket, "/status")) as { body: Status };
    return { watched: body.kubernetes.map(({ name, synced }) => [name, synced]), directory: body.directory?.synced };
  };
  const expected = { watched: [["local-pods", true]], directory: true };
  await vi.waitFor(async () => expect(await sources()).toEqual(expected), WAIT);

  expect((await watchesOf()).pods).toBe((before ?? 0) + 1);
});

interface Status {
  readonly kubernetes: readonly { readonly name: string; readonly synced: boolean }[];
  readonly directory: { readonly synced: boolean } | null;
}

test("a replica that is told to end sends its agents to the other one, at once and without a failure", async () => {
  const kubeconfig = join(files, "flowspan-directory.kubeconfig");
  const third = await startDirectory({ settings: { directory: { insecure: true }, kubernetes: { kubeconfig } } });
  await untilReady(third);
  const [other] = replicas as [DirectoryProcess];
  const agents = Array.from({ length: 53 }, () => new AskingAgent([third.address, other.address]));
  await vi.waitFor(() => expect(agents.every(({ client }) => client.state.synced)).toBe(true), WAIT);
  const hit = agents.filter(({ client }) => client.state.replica?.includes(third.address));
  expect(hit.length).toBeGreaterThan(0);

  const beganMs = performance.now();
  const ended = third.kill("SIGTERM");
  const moved = () => hit.filter(({ client }) => client.state.replica?.includes(other.address)).length;
  await vi.waitFor(() => expect(moved()).toBe(hit.length), WAIT);
  const movedMs = performance.now() - beganMs;
  expect(await ended).toBe(0);

  process.stderr.write(`directory: ${hit.length} agents had moved ${movedMs.toFixed(0)} ms after SIGTERM\n`);
  expect(hit.map(({ client }) => client.state.ends)).toEqual(hit.map(() => 1));
  expect(movedMs).toBeLessThan(5_000);
});

/** Every agent asks every 20 ms for an address that nobody has asked for before, until the end. */
class Load {
  /** Milliseconds from each question to its answer. */
  readonly waits: number[] = [];
  readonly #agents: readonly AskingAgent[];
  readonly #timer = setInterval(() => this.ask(), 20);
  #waiting: { readonly agent: AskingAgent; readonly address: string; readonly sinceMs: number }[] = [];
  #asked = 0;

  constructor(agents: readonly AskingAgent[]) {
    this.#agents = agents;
    onTestFinished(() => clearInterval(this.#timer));
  }

  ask(): void {
    const address = `10.2.${this.#asked >> 8}.${this.#asked & 255}`;
    this.#asked++;
    const sinceMs = performance.now();
    this.#waiting.push(...this.#agents.map((agent) => ({ agent, address, sinceMs })));
    this.#look();
  }

  /** Asks for nothing new; resolves when everything is answered. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await vi.waitFor(() => expect(this.#look()).toBe(0), WAIT);
  }

  #look(): number {
    this.#waiting = this.#waiting.filter(({ agent, address, sinceMs }) => {
      if (!agent.ask(address)) return true;
      this.waits.push(performance.now() - sinceMs);
      return false;
    });
    return this.#waiting.length;
  }
}

test("a replica that is killed under load costs agents a reconnect, no name and no answer", async () => {
  const addresses = replicas.map(({ address }) => address);
  const agents = Array.from({ length: 53 }, () => new AskingAgent(addresses));
  const asked = Array.from({ length: PODS }, (_, i) => podAddress(i));
  for (const agent of agents) for (const address of asked) agent.ask(address);
  const unanswered = () => agents.reduce((sum, { client }) => sum + client.state.unanswered, 0);
  await vi.waitFor(() => expect(unanswered()).toBe(0), WAIT);
  const [victim, other] = replicas as [DirectoryProcess, DirectoryProcess];
  const hit = agents.filter(({ client }) => client.state.replica?.includes(victim.address));
  expect(hit.length).toBeGreaterThan(0);

  const load = new Load(agents);
  await vi.waitFor(() => expect(load.waits.length).toBeGreaterThan(agents.length), WAIT);

  const killedMs = performance.now();
  const killed = victim.kill("SIGKILL");
  load.ask(); // who asks now asks a dead one
  await killed;
  const moved = () => hit.filter(({ client }) => client.state.replica?.includes(other.address)).length;
  await vi.waitFor(() => expect(moved()).toBe(hit.length), WAIT);
  const reconnectMs = performance.now() - killedMs;
  await load.end();
  const longestMs = Math.max(...load.waits);

  await createPod("after-the-kill", "10.1.9.8");
  for (const agent of agents) agent.ask("10.1.9.8");
  await vi.waitFor(
    () => expect(agents.every(({ names }) => names.get("10.1.9.8") === "after-the-kill")).toBe(true),
    WAIT,
  );

  process.stderr.write(
    `directory: ${hit.length} agents were at the other replica after ${reconnectMs.toFixed(0)} ms, ` +
      `of ${load.waits.length} questions none waited longer than ${longestMs.toFixed(0)} ms\n`,
  );
  expect(agents.map(({ names, lost }) => [names.size, lost])).toEqual(agents.map(() => [PODS + 1, 0]));
  expect(reconnectMs).toBeLessThan(10_000);
  expect(longestMs).toBeLessThan(reconnectMs + 1_000);
});

/** Open watches by resource, as the API server counts them. */
async function watchesOf(): Promise<Record<string, number>> {
  const { body } = await send(kube, adminToken(kube), "GET", "/metrics");
  const found: Record<string, number> = {};
  for (const [, labels = "", count] of body.matchAll(/^apiserver_longrunning_requests\{(.*)\} (\d+)$/gm)) {
    const resource = /resource="([^"]*)"/.exec(labels)?.[1] ?? "";
    if (!/^(pods|services|endpointslices|nodes|namespaces)$/.test(resource)) continue;
    found[resource] = (found[resource] ?? 0) + Number(count);
  }
  return found;
}
