/**
 * The bundled agent outside of a cluster, as root starts it: what it makes of a kubeconfig against a real API server,
 * what it says where it cannot, and that it ends at once, also while a plugin hangs.
 */

import { execFile } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, vi } from "vitest";
import type { Finding } from "../../agent/cli/doctor/finding.ts";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { FEEDS_OF } from "../../agent/kubernetes/reads.ts";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import type { Health } from "../../agent/telemetry/health.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import { Running } from "../components/running.ts";
import { missing, needs } from "../machine/needs.ts";
import { Receiver } from "../otlp/receiver.ts";
import { FakeProbe } from "../unit/source/fake-probe.ts";
import { adminToken } from "./manifests.ts";

const NEEDS = ["root", "build"] as const;
const test = needs(...NEEDS);
const STARTUP_MS = 120_000;
const WAIT = { timeout: 20_000, interval: 50 };
const FLOWSPAN = fileURLToPath(new URL("../../flowspan", import.meta.url));
const V1 = "client.authentication.k8s.io/v1";

let kube: Kube;

beforeAll(async () => {
  if (missing(...NEEDS) === undefined) kube = await startKube();
}, STARTUP_MS);

afterAll(() => kube?.stop());

interface Files {
  readonly path: (name: string) => string;
  readonly kubeconfig: string;
}

/** A kubeconfig with this user (none: undefined), its CA, a token and plugins beside it; readable by everybody. */
function files(user: object | undefined, cluster: object = {}): Files {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-kubeconfig-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  chmodSync(directory, 0o777);
  const path = (name: string) => join(directory, name);
  copyFileSync(kube.caFile, path("ca.crt"));
  writeFileSync(path("token"), adminToken(kube));
  const credential = { apiVersion: V1, kind: "ExecCredential", status: { token: adminToken(kube) } };
  const plugins = {
    careful: `case "$KUBERNETES_EXEC_INFO" in *'"server"'*) ;; *) exit 1 ;; esac; cat; echo '${JSON.stringify(credential)}'`,
    hangs: `cd ${directory}; echo $$ >>pids; sh -c 'echo $$ >>pids; exec sleep 1000' & wait`,
  };
  for (const [name, script] of Object.entries(plugins)) {
    writeFileSync(path(name), `#!/bin/sh\n${script}\n`);
    chmodSync(path(name), 0o755);
  }
  const config = {
    ...{ apiVersion: "v1", kind: "Config", "current-context": "x" },
    clusters: [{ name: "c", cluster: { server: kube.server, "certificate-authority": "ca.crt", ...cluster } }],
    users: user === undefined ? [] : [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", ...(user && { user: "u" }) } }],
  };
  writeFileSync(path("config"), JSON.stringify(config));
  for (const name of ["ca.crt", "token", "config"]) chmodSync(path(name), 0o644);
  return { path, kubeconfig: path("config") };
}

const exec = (command: string) => ({
  exec: { apiVersion: V1, interactiveMode: "Never", provideClusterInfo: true, command },
});

interface Agent {
  readonly running: Running;
  current(): Promise<number>;
  names(): Promise<{ readonly ok: boolean; readonly detail: string }>;
  /** Warnings of its log about the API server. */
  lost(): { readonly reason: string; readonly detail: string; readonly remedy: string }[];
}

async function startAgent(kubeconfig: string, env: Readonly<Record<string, string>> = {}): Promise<Agent> {
  const probe = await new FakeProbe().listen();
  onTestFinished(() => probe.close());
  chmodSync(join(probe.path, ".."), 0o777);
  chmodSync(probe.path, 0o777);
  const admin = join(probe.path, "..", "admin.sock");
  const receiver = await Receiver.start();
  onTestFinished(() => receiver.close());
  const places = ["--probe-socket", probe.path, "--admin-socket", admin, "--endpoint", receiver.endpoint];
  const args = ["agent", ...places, "--kubernetes", "on", "--node", "node-1", "--kubeconfig", kubeconfig];
  const running = new Running("the agent", FLOWSPAN, args, { env });
  onTestFinished(() => running.stop("SIGKILL"));
  const ask = async <T>(path: string) => (await askAgent(admin, path)).body as T;
  await running.ready(() =>
    ask("/status").then(
      () => true,
      () => false,
    ),
  );
  return {
    running,
    current: async () =>
      (await ask<{ kubernetes: { current: boolean }[] }>("/status")).kubernetes.filter(({ current }) => current).length,
    names: async () => {
      const { checks } = await ask<Health>("/readyz");
      return checks.find(({ name }) => name === "names") as Awaited<ReturnType<Agent["names"]>>;
    },
    lost: () =>
      running.words
        .split("\n")
        .filter((line) => line.includes("lost the API server"))
        .map((line) => JSON.parse(line)),
  };
}

/** What doctor says of the API server, or of something else. */
async function doctor(kubeconfig: string, about = "API server"): Promise<Finding | undefined> {
  const args = [
    "doctor",
    "--json",
    "--kubernetes",
    "on",
    "--kubeconfig",
    kubeconfig,
    "--endpoint",
    "http://127.0.0.1:1",
  ];
  const output = await new Promise<string>((resolve) => execFile(FLOWSPAN, args, (_, stdout) => resolve(stdout)));
  const { findings } = JSON.parse(output) as { findings: Finding[] };
  return findings.find(({ name }) => name === about);
}

describe("an agent with a kubeconfig reads names", () => {
  const rows = [
    { what: "by a token in it", user: () => ({ token: adminToken(kube) }) },
    { what: "by a tokenFile beside it", user: () => ({ tokenFile: "token" }) },
    {
      what: "by a plugin beside it that wants to know the cluster and reads its input to the end",
      user: () => exec("./careful"),
    },
  ];
  for (const { what, user } of rows) {
    test(what, async () => {
      const agent = await startAgent(files(user()).kubeconfig);

      await vi.waitFor(async () => expect(await agent.current()).toBe(FEEDS_OF.watch.length), WAIT);

      expect(agent.lost()).toEqual([]);
    });
  }
});

test("an agent whose context names no user is anonymous, by the CA that the cluster has: one line a resource", async () => {
  const agent = await startAgent(files(undefined).kubeconfig);

  const resources = ["endpointslices", "namespaces", "nodes", "pods", "services"];
  await vi.waitFor(() => expect(agent.lost().length).toBe(resources.length), WAIT);

  const told = agent.lost().map(({ reason, detail }) => `${reason} ${/resource "(\w+)"/.exec(detail)?.[1]}`);
  expect(told.sort()).toEqual(resources.map((resource) => `forbidden ${resource}`));
});

test("an agent whose plugin hangs says so once and in readiness, and ends with the plugin and its child", async () => {
  const { path, kubeconfig } = files(exec("./hangs"));
  const pids = () => (existsSync(path("pids")) ? readFileSync(path("pids"), "utf8").trim().split("\n") : []);
  const isAlive = (pid: string) => existsSync(`/proc/${pid}/status`);
  const agent = await startAgent(kubeconfig);
  await vi.waitFor(() => expect(pids().length).toBe(2), WAIT);

  const found = await doctor(kubeconfig);
  await vi.waitFor(() => expect(agent.lost().length).toBe(1), { timeout: 60_000, interval: 100 });
  const names = await agent.names();
  const askedMs = performance.now();
  await agent.running.stop("SIGTERM");

  // The probe of this test answers nothing, and the last exchange waits five seconds for it.
  expect(performance.now() - askedMs).toBeLessThan(10_000);
  await vi.waitFor(() => expect(pids().filter(isAlive)).toEqual([]), WAIT);
  const words = [found?.found, names.detail, agent.lost()[0]?.detail];
  for (const each of words)
    expect(each).toContain(
      `exec plugin ${path("hangs")} of user "u" in ${kubeconfig} (kubernetes.kubeconfig) has not ended`,
    );
  expect(found?.remedy).toContain("does it wait for input?");
  expect(agent.lost().length).toBe(1);
});

test("an agent that may not read its kubeconfig names the file, its user and the setting, everywhere", async () => {
  const { kubeconfig } = files({ token: adminToken(kube) });
  const agent = await startAgent(kubeconfig);
  await vi.waitFor(async () => expect(await agent.current()).toBe(FEEDS_OF.watch.length), WAIT);

  chmodSync(kubeconfig, 0o600);
  await kube.killServer();
  await vi.waitFor(() => expect(agent.lost().length).toBe(1), WAIT);
  await kube.startServer();

  const { reason, detail, remedy } = agent.lost()[0] ?? {};
  expect({ reason, detail, remedy }).toEqual({
    reason: "credentials",
    detail: `cannot read ${kubeconfig}: user ${USER_AGENT} may not`,
    remedy: "name a kubeconfig that the agent's user can read in kubernetes.kubeconfig (--kubeconfig)",
  });
  expect((await agent.names()).detail).toContain(`credentials: ${detail}; ${remedy})`);
  expect(await doctor(kubeconfig, "kubeconfig")).toMatchObject({
    found: `the agent becomes user ${USER_AGENT}, who may not read ${kubeconfig}`,
    remedy: expect.stringContaining("kubernetes.kubeconfig (--kubeconfig)"),
  });
  chmodSync(kubeconfig, 0o644);
  expect(await doctor(kubeconfig, "kubeconfig")).toBe(undefined);
  await vi.waitFor(() => expect(agent.running.words).toContain("names are current again"), WAIT);
  expect(agent.running.words).not.toContain(adminToken(kube));
});

test("an agent whose API server has another CA says so once, and where to write it; so does doctor", async () => {
  const { path, kubeconfig } = files({ token: adminToken(kube) }, { "certificate-authority": undefined });

  const agent = await startAgent(kubeconfig);
  await vi.waitFor(() => expect(agent.lost().length).toBe(1), WAIT);
  const found = await doctor(kubeconfig);

  const remedy = `write the CA that signed the API server's certificate into certificate-authority of cluster "c" in ${path("config")} (kubernetes.kubeconfig)`;
  expect(agent.lost()[0]).toMatchObject({ reason: "certificate", remedy });
  expect(found).toMatchObject({ state: "warn", remedy });
  expect((await agent.names()).detail.split(remedy).length - 1).toBe(1);
  expect(JSON.stringify([found, agent.running.words])).not.toContain(adminToken(kube));
});
