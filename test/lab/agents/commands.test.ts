/**
 * What people run beside a running agent, or without one: doctor, top, the probe's --check. Each against the
 * traffic and the kernel of a lab.
 */

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import type { ProbeCheck } from "../../../agent/cli/doctor/check-kernel.ts";
import type { Finding } from "../../../agent/cli/doctor/finding.ts";
import type { EdgeSnapshot, Snapshot } from "../../../agent/edges/snapshot.ts";
import { USER_AGENT } from "../../../agent/generated/layout.ts";
import { missing, needs } from "../../machine/needs.ts";
import { eventually, LabProcess } from "../programs/process.ts";
import { PROBE, ROOT } from "../programs/run.ts";
import { twoPods } from "../world/describe.ts";
import { pinsDirectory, runDirectory } from "../world/leftovers.ts";
import { ObservedLab } from "./observed.ts";

const FLOWSPAN = join(ROOT, "flowspan");
const CONNECTIONS = 23;
const BYTES = { upload: 1009, download: 60_013 };
const SUMS = {
  opened: CONNECTIONS,
  closed: CONNECTIONS,
  open: 0,
  bytesSent: CONNECTIONS * BYTES.upload,
  bytesReceived: CONNECTIONS * BYTES.download,
};

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  observed = await ObservedLab.start(twoPods());
  await observed.watch();
});

afterAll(() => observed?.close());

function start(argv: readonly string[], place: { user?: number; env?: Record<string, string> } = {}): LabProcess {
  const { env = {}, ...user } = place;
  return new LabProcess({ cgroup: observed.lab.outsideCgroup, ...user }, argv, { env });
}

/** To its end. */
async function ran(argv: readonly string[], place?: { user?: number }) {
  const process = start(argv, place);
  const { code } = await process.ended;
  return { code, stdout: process.stdout.join("\n"), stderr: process.stderr.join("\n") };
}

/** CONNECTIONS from the client's pod to the server's. */
async function play(port: number): Promise<void> {
  const server = await observed.lab.pod("server").serve({ listen: [{ address: "0.0.0.0", port }] });
  const to = [{ address: observed.lab.pod("server").ips.v4, port }];
  await observed.lab.pod("client").play("send", { to, count: CONNECTIONS, ...BYTES });
  await server.close();
}

function clientEdge({ edges }: Snapshot, port: number): EdgeSnapshot | undefined {
  return edges.find(({ role, serverPort }) => role === "client" && serverPort === port);
}

function sums(edge: EdgeSnapshot | undefined) {
  if (edge === undefined) return undefined;
  const { opened, closed, open, bytesSent, bytesReceived } = edge;
  return { opened, closed, open, bytesSent, bytesReceived };
}

test("doctor, beside a node's agent, finds every hook attached and the main job possible", async () => {
  const { adminSocket, pins } = observed.agent("node-1");
  const { endpoint } = observed.receiver;
  await observed.exchanges(1);

  const asked = [
    "--json",
    "--kubernetes",
    "off",
    "--admin-socket",
    adminSocket,
    "--endpoint",
    endpoint,
    "--pins",
    pins,
  ];
  const doctor = await ran([FLOWSPAN, "doctor", ...asked]);
  const check = JSON.parse((await ran([PROBE, "--check"])).stdout) as ProbeCheck;

  expect(doctor.code, doctor.stdout + doctor.stderr).toBe(0);
  const { canRun, findings } = JSON.parse(doctor.stdout) as { canRun: boolean; findings: Finding[] };
  const found = (name: string) => findings.find((finding) => finding.name === name)?.found;
  expect(canRun).toBe(true);
  expect(check.hooks.map(({ name }) => [name, found(`hook ${name}`)])).toEqual(
    check.hooks.map(({ name }) => [name, "attaches"]),
  );
  expect([found("agent"), found("Collector"), found("bpffs")]).toEqual([
    `runs and is ready (${adminSocket})`,
    `${endpoint.replace("http://", "")} accepts OTLP`,
    `mounted: ${pins}`,
  ]);
});

test("doctor exits with 1 where the Collector does not answer, and says what to do", async () => {
  const doctor = await ran([FLOWSPAN, "doctor", "--kubernetes", "off", "--endpoint", "http://127.0.0.1:1"]);

  expect(doctor.code).toBe(1);
  expect(doctor.stdout).toMatch(/^FAIL +Collector +127\.0\.0\.1:1: /m);
  expect(doctor.stdout).toContain("remedy: start a Collector with an OTLP receiver there");
  expect(doctor.stdout).toContain("flowspan cannot do its main job here: 1 failed");
});

test("top --once --json gives the running agent's edges, under their pods' names, with the workload's bytes", async () => {
  const port = 8080;
  await play(port);
  await observed.settled("all connections closed", () => observed.ends().client.closed === CONNECTIONS);

  const top = await ran([FLOWSPAN, "top", "--once", "--json", "--admin-socket", observed.agent("node-1").adminSocket], {
    user: USER_AGENT,
  });

  expect(top.code, top.stderr).toBe(0);
  const edge = clientEdge(JSON.parse(top.stdout) as Snapshot, port);
  expect(sums(edge)).toEqual(SUMS);
  const client = observed.describedPod("client");
  expect(edge?.local.label).toContain(client.name);
  expect(edge?.remote.address).toBe(observed.lab.pod("server").ips.v4);
});

test("top without an agent counts by itself, and takes its pins and sockets away when it ends", async () => {
  const port = 8090;
  const pins = join(pinsDirectory(observed.lab.id), "flowspan-top");
  const config = join(runDirectory(observed.lab.id), "top.yaml");
  // Its own pins stand beside those that are configured.
  writeFileSync(config, `file_format: "1.1"\ndistribution: {flowspan: {probe: {pins: ${pins}-of-nobody}}}\n`);
  const directories = () => readdirSync("/run").filter((name) => name.startsWith("flowspan-top-"));
  const before = directories();
  const nobody = join(runDirectory(observed.lab.id), "no-agent.sock");
  const scope = ["--kubernetes", "off", "--cgroup", observed.lab.nodeCgroup("node-1")];
  const top = start([FLOWSPAN, "top", "--json", "--config", config, "--admin-socket", nobody, ...scope]);
  const snapshots = () => top.stdout.map((line) => JSON.parse(line) as Snapshot);

  await eventually(
    () => `a first snapshot: ${top.describe()}`,
    () => top.stdout.length > 0 || !top.isRunning,
    30_000,
  );
  const own = directories().filter((name) => !before.includes(name));
  expect([top.isRunning, existsSync(pins), own.length], top.describe()).toEqual([true, true, 1]);
  await play(port);
  await eventually(
    () => `all connections closed: ${top.describe()}`,
    () => snapshots().some((snapshot) => clientEdge(snapshot, port)?.closed === CONNECTIONS),
  );
  const last = snapshots().at(-1) as Snapshot;
  await top.stop();

  expect(sums(clientEdge(last, port))).toEqual(SUMS);
  expect(await top.ended).toEqual({ code: 0, signal: null });
  expect(top.stderr).toEqual([]);
  expect(existsSync(pins)).toBe(false);
  expect(directories().filter((name) => own.includes(name))).toEqual([]);
});

test("the probe's --check tries every hook and leaves no pin; without privileges it says what to do", async () => {
  const pins = join(pinsDirectory(observed.lab.id), "checked");

  const asRoot = await ran([PROBE, "--check", "--pins", pins]);
  const asNobody = await ran([PROBE, "--check"], { user: USER_AGENT });

  const check = JSON.parse(asRoot.stdout) as ProbeCheck;
  expect({ code: asRoot.code, can_run: check.can_run, load: check.load, bpffs: check.bpffs }).toEqual({
    code: 0,
    can_run: true,
    load: { ok: true, problem: "", remedy: "" },
    bpffs: { mounted: true, path: pins },
  });
  expect(check.hooks.length).toBeGreaterThanOrEqual(7);
  expect(check.hooks.filter(({ found, attached }) => found !== attached)).toEqual([]);
  expect(existsSync(pins)).toBe(false);
  const refused = JSON.parse(asNobody.stdout) as ProbeCheck;
  expect([asNobody.code, refused.can_run, refused.load]).toEqual([
    1,
    false,
    {
      ok: false,
      problem: "CAP_BPF and CAP_PERFMON are missing",
      remedy: "run with sudo; in a container add BPF and PERFMON",
    },
  ]);
});

test("the probe's --check says where the pins would be on no bpffs", async () => {
  const check = await ran([PROBE, "--check", "--pins", join(runDirectory(observed.lab.id), "pins")]);

  expect((JSON.parse(check.stdout) as ProbeCheck).bpffs).toEqual({ mounted: false, path: "" });
});
