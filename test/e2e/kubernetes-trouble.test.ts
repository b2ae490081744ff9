/**
 * What happens to a real kube-apiserver in its life, and what an agent in a pod makes of it: names stay right,
 * reconnects are few and counted, nothing is left open. The agent has the shipped role and comes through a relay
 * that counts its connections.
 *
 * The network that swallows packets and the long silence have a net namespace of their own, beside all others.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { FailureReason } from "../../agent/kubernetes/failure.ts";
import { kubeconfigConnection } from "../../agent/kubernetes/kubeconfig-connection.ts";
import type { ClusterWatch } from "../../agent/kubernetes/watch-cluster.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { Relay } from "../components/relay.ts";
import { type ApiObject, namespaceObject, nodeObject, podObject } from "../kubernetes/kubernetes-objects.ts";
import { missing, needs } from "../machine/needs.ts";
import { apply, manifests, renewServiceAccount, serviceAccountToken } from "./manifests.ts";
import { type NamingAgent, podConnection, remoteOf, startNaming } from "./naming-agent.ts";
import { type Quiet, startQuiet } from "./quiet.ts";

const STARTUP_MS = 120_000;
const WAIT = { timeout: 30_000, interval: 20 };
const FEEDS = 6;
const QUIET_NEEDS = ["root", "iptables"] as const;

let kube: Kube;
let relay: Relay;
let quiet: Promise<Quiet> | undefined;
/** Where the kubelet would keep token and CA. */
let secrets: string;

beforeAll(async () => {
  kube = await startKube();
  relay = new Relay(Number(new URL(kube.server).port));
  await relay.accept();
  secrets = await mkdtemp(join(tmpdir(), "flowspan-secrets-"));
  for (const object of manifests()) await apply(kube, object, { dryRun: false });
  await kube.admin.create(namespaceObject("shop"));
  await kube.admin.create(nodeObject({ name: "node-1", ips: ["192.0.2.1"] }));
  await writeCa();
  await writeToken();
}, STARTUP_MS);

// Beside the rest: most of its time passes in waiting.
beforeAll(() => {
  quiet = missing(...QUIET_NEEDS) === undefined ? startQuiet() : undefined;
  quiet?.catch(() => undefined); // told by the tests that wait for it
});

afterAll(async () => {
  await relay?.refuse();
  await kube?.stop();
  if (secrets !== undefined) await rm(secrets, { recursive: true });
});

async function writeCa(): Promise<void> {
  await writeFile(join(secrets, "ca.crt"), await readFile(kube.caFile));
}

/** At once, as a kubelet does: whoever reads meanwhile has the old one or the new one, never an empty file. */
async function writeToken(): Promise<void> {
  const path = join(secrets, "token");
  await writeFile(`${path}.new`, await serviceAccountToken(kube));
  await rename(`${path}.new`, path);
}

/** An agent in its pod that has read everything. */
async function startAgent(): Promise<NamingAgent> {
  const agent = startNaming(podConnection(relay.port, secrets));
  await isCurrent(agent.watch);
  return agent;
}

function isCurrent(watch: ClusterWatch): Promise<void> {
  const names = (current: boolean) => watch.states().filter((state) => state.current === current);
  return vi.waitFor(() => expect(names(false)).toEqual([]), WAIT);
}

function pod(name: string, ip: string, workload: string): ApiObject {
  return podObject({ name, namespace: "shop", node: "node-2", ips: [ip], owner: `Deployment/${workload}` });
}

/** How often each reason was counted, for each feed. */
function failures(watch: ClusterWatch, reason: FailureReason): number[] {
  return watch.states().map((state) => state.failures[reason] ?? 0);
}

function reasons(watch: ClusterWatch): string[] {
  return [...new Set(watch.states().flatMap((state) => Object.keys(state.failures)))].sort();
}

/** Each connection was counted, and one for each feed is open. */
async function nothingIsLeft({ watch }: NamingAgent, acceptedBefore: number): Promise<void> {
  await vi.waitFor(() => expect(relay.open).toBe(FEEDS), WAIT);
  const asked = watch.states().reduce((sum, { connects }) => sum + connects, 0);
  const refused = failures(watch, "refused").reduce((sum, count) => sum + count, 0);
  expect(relay.accepted - acceptedBefore).toBe(asked - refused);
  await watch.stop();
  await vi.waitFor(() => expect(relay.open).toBe(0), WAIT);
}

describe("an API server", () => {
  test(
    "that is killed and comes back with its history compacted is read anew once, and an address has its new owner",
    async () => {
      const acceptedBefore = relay.accepted;
      const agent = await startAgent();
      const { name, watch, identity } = agent;
      const peer = (remoteAddress: string) => remoteOf(name({ remoteAddress }));
      await kube.admin.create(pod("cart-a", "10.1.0.1", "cart"));
      const going = await kube.admin.create(pod("cart-b", "10.1.0.2", "cart"));
      await vi.waitFor(() => expect(peer("10.1.0.2")).toMatchObject({ podName: "cart-b" }), WAIT);

      await relay.refuse();
      await vi.waitFor(() => expect(Math.min(...failures(watch, "refused"))).toBeGreaterThanOrEqual(2), WAIT);
      const away = {
        cart: peer("10.1.0.1"),
        synced: identity.synced,
        troubles: watch.states().map(({ trouble }) => trouble),
      };
      await kube.admin.delete(going);
      await kube.admin.create(pod("bill-c", "10.1.0.2", "bill"));
      await kube.compactHistory();
      await kube.killServer();
      await kube.startServer();
      const gone = failures(watch, "gone");
      await relay.accept();
      await isCurrent(watch);

      expect(away).toMatchObject({ cart: { podName: "cart-a" }, synced: true });
      for (const trouble of away.troubles) expect(trouble).toMatch(/^refused: connect ECONNREFUSED/);
      expect([gone, failures(watch, "gone")]).toEqual([Array(FEEDS).fill(0), Array(FEEDS).fill(1)]);
      expect(watch.states().map(({ lists }) => lists)).toEqual(Array(FEEDS).fill(2));
      expect(reasons(watch).filter((reason) => reason !== "closed")).toEqual(["gone", "refused"]);
      expect([peer("10.1.0.1"), peer("10.1.0.2")]).toMatchObject([{ podName: "cart-a" }, { podName: "bill-c" }]);
      expect(watch.states().map(({ trouble }) => trouble)).toEqual(Array(FEEDS).fill(undefined));
      await nothingIsLeft(agent, acceptedBefore);
    },
    STARTUP_MS,
  );

  test("that breaks connections 23 times is asked for changes only, and nothing is left of them", async () => {
    const acceptedBefore = relay.accepted;
    const agent = await startAgent();

    for (let i = 0; i < 23; i++) {
      relay.drop();
      await vi.waitFor(() => expect(Math.min(...failures(agent.watch, "closed"))).toBe(i + 1), WAIT);
      await isCurrent(agent.watch);
    }

    expect(agent.watch.states().map(({ lists, connects, failures }) => ({ lists, connects, failures }))).toEqual(
      Array(FEEDS).fill({ lists: 1, connects: 24, failures: { closed: 23 } }),
    );
    await nothingIsLeft(agent, acceptedBefore);
  });

  test(
    "that gets a new CA and certificate, then takes the old token no more, is believed as soon as the files say so",
    async () => {
      const acceptedBefore = relay.accepted;
      const agent = await startAgent();
      const { watch } = agent;

      await kube.killServer();
      await kube.forgetCertificate();
      await kube.startServer();
      await renewServiceAccount(kube);
      await vi.waitFor(() => expect(Math.min(...failures(watch, "certificate"))).toBeGreaterThanOrEqual(2), WAIT);
      expect(failures(watch, "unauthorized")).toEqual(Array(FEEDS).fill(0));

      await writeCa();
      await vi.waitFor(() => expect(Math.min(...failures(watch, "unauthorized"))).toBeGreaterThanOrEqual(2), WAIT);
      const certificate = failures(watch, "certificate");
      const troubles = watch.states().map(({ trouble }) => trouble);

      await writeToken();
      await kube.admin.create(pod("late-d", "10.1.0.3", "late"));
      await isCurrent(watch);
      await vi.waitFor(
        () => expect(remoteOf(agent.name({ remoteAddress: "10.1.0.3" }))).toMatchObject({ podName: "late-d" }),
        WAIT,
      );

      for (const trouble of troubles)
        expect(trouble).toMatch(/^unauthorized: status 401: Unauthorized \(watch [a-z]+\); /);
      for (const trouble of troubles) expect(trouble).toContain(`does not take the service account's ${secrets}/token`);
      expect(failures(watch, "certificate")).toEqual(certificate);
      await nothingIsLeft(agent, acceptedBefore);
    },
    STARTUP_MS,
  );
});

describe("an agent outside of the cluster whose exec plugin has the credentials", () => {
  test(
    "runs it again when their time is over and when the server refuses them, and not for each watch",
    async () => {
      const { path, runs } = await execKubeconfig();
      const { watch } = startNaming(kubeconfigConnection(path));
      await isCurrent(watch);
      const first = runs();

      await vi.waitFor(() => expect(Date.now()).toBeGreaterThan(first.expiresMs), WAIT);
      relay.drop();
      await vi.waitFor(() => expect(Math.min(...failures(watch, "closed"))).toBe(1), WAIT);
      await isCurrent(watch);
      const afterExpiry = runs();

      await renewServiceAccount(kube);
      // Servers trust a token that they have just seen for another 10 seconds, unless they are new.
      await kube.killServer();
      await kube.startServer();
      await vi.waitFor(() => expect(failures(watch, "unauthorized").some((count) => count > 0)).toBe(true), WAIT);
      await writeToken();
      await isCurrent(watch);

      expect([first.count, afterExpiry.count]).toEqual([1, 2]);
      expect(watch.states().map(({ trouble }) => trouble)).toEqual(Array(FEEDS).fill(undefined));
    },
    STARTUP_MS,
  );

  /** Its plugin hands on the token that is in `secrets`, for two seconds the first time and for an hour later. */
  async function execKubeconfig() {
    const directory = await mkdtemp(join(tmpdir(), "flowspan-exec-"));
    onTestFinished(() => rm(directory, { recursive: true }));
    const plugin = join(directory, "plugin.sh");
    const log = join(directory, "log");
    await writeFile(log, "");
    await writeFile(
      plugin,
      `#!/bin/sh
      seconds=2; [ -s ${log} ] && seconds=3600
      expires=$(date -u -d "+$seconds seconds" +%Y-%m-%dT%H:%M:%SZ)
      echo "$expires" >>${log}
      printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
      printf '"status":{"token":"%s","expirationTimestamp":"%s"}}' "$(cat ${secrets}/token)" "$expires"
      `,
      { mode: 0o755 },
    );
    const cluster = { server: `https://127.0.0.1:${relay.port}`, "certificate-authority": join(secrets, "ca.crt") };
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: plugin, interactiveMode: "Never" };
    const config = {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user: { exec } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    };
    const path = join(directory, "config");
    await writeFile(path, JSON.stringify(config));
    const runs = () => {
      const lines = readFileSync(log, "utf8").trim().split("\n");
      return { count: lines.length, expiresMs: Date.parse(lines.at(-1) ?? "") };
    };
    return { path, runs };
  }
});

describe("30 seconds in which nothing changes", () => {
  const withRoot = needs(...QUIET_NEEDS);
  let seen: Quiet;

  beforeAll(async () => {
    if (quiet !== undefined) seen = await quiet;
  }, STARTUP_MS);

  withRoot("cost no reconnect and no list", () => {
    const { silentForMs, calm } = seen;

    expect(silentForMs).toBeGreaterThanOrEqual(30_000);
    expect(calm.map(({ connects, lists, ends, failures }) => ({ connects, lists, ends, failures }))).toEqual(
      Array(FEEDS).fill({ connects: 1, lists: 1, ends: 0, failures: {} }),
    );
  });

  withRoot("and in which the server ends watches cost a connection for each end, no list and no failure", () => {
    for (const { connects, lists, ends, failures } of seen.brief) {
      expect({ lists, failures }).toEqual({ lists: 1, failures: {} });
      expect(ends).toBeGreaterThanOrEqual(3);
      expect(ends).toBeLessThanOrEqual(8);
      // The next one may not have begun yet.
      expect(connects - ends).toBeOneOf([0, 1]);
    }
  });

  withRoot("because packets are swallowed are noticed, and end with one failure and no list", () => {
    const { noticedAfterMs, before, after } = seen.swallowed;

    expect(noticedAfterMs).toBeLessThan(30_000);
    expect(before.map(({ connects, lists, failures }) => ({ connects, lists, failures }))).toEqual(
      Array(FEEDS).fill({ connects: 1, lists: 1, failures: {} }),
    );
    expect(after.map(({ lists, failures }) => ({ lists, failures }))).toEqual(
      Array(FEEDS).fill({ lists: 1, failures: { silent: 1 } }),
    );
  });
});
