/**
 * deploy/seccomp/flowspan-probe.json, enforced by runc: the probe does its job under it, a start makes each call that
 * deploy/seccomp/probe-start.yaml has for each start, and none that the profile lacks.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import { probeProfile, servingCalls, startCalls } from "../../scripts/generate-seccomp.ts";
import { holds } from "../components/running.ts";
import { NODE_FLAGS } from "../components/shipped-node.ts";
import { needs } from "../machine/needs.ts";
import { Receiver } from "../otlp/receiver.ts";
import { type ContainerSetup, RunningContainer } from "./container.ts";
import { agentSetup, probeSetup, type Volumes, volumesOfTest } from "./node-containers.ts";

const test = needs("root", "btf", "build", "runc", "strace");
const SHIPPED = new URL("../../deploy/seccomp/flowspan-probe.json", import.meta.url);

function running(setup: ContainerSetup): RunningContainer {
  const container = new RunningContainer(setup);
  onTestFinished(() => container.remove());
  return container;
}

/** Starts both containers and waits until the agent is ready and has sent metrics. */
async function mainJob(volumes: Volumes, probeOf: ContainerSetup): Promise<RunningContainer> {
  const receiver = await Receiver.start();
  onTestFinished(() => receiver.close());
  const probe = running(probeOf);
  const settings = ["--kubernetes", "off", "--endpoint", receiver.endpoint, "--interval", "200"];
  const agent = running(agentSetup(volumes, ["/node", ...NODE_FLAGS, "/app/agent.mjs", "agent", ...settings]));
  const admin = join(volumes.own, "agent/admin.sock");
  const isReady = await holds(
    async () => (await askAgent(admin, "/readyz").catch(() => undefined))?.status === 200,
    60_000,
    () => agent.hasEnded || probe.hasEnded,
  );
  expect(isReady, `${probe.words()}\n${agent.words()}`).toBe(true);
  expect(receiver.requests.length).toBeGreaterThan(0);
  return probe;
}

/** As the node's: pins outlive a container. */
function bpffsOfTest({ directory }: Volumes): string {
  const path = join(directory, "bpf");
  mkdirSync(path, { mode: 0o700 });
  execFileSync("mount", ["-t", "bpf", "bpf", path]);
  onTestFinished(() => void execFileSync("umount", [path]));
  return path;
}

test("under the shipped profile a killed probe starts again, serves, and warns of nothing", async () => {
  const volumes = volumesOfTest();
  const seccomp = JSON.parse(readFileSync(SHIPPED, "utf8")) as object;
  const setup = probeSetup(volumes);
  const shipped = { ...setup, volumes: { ...setup.volumes, bpf: bpffsOfTest(volumes) }, seccomp };
  const first = new RunningContainer(shipped);
  await holds(
    async () => first.words().includes("started: generation 1"),
    30_000,
    () => first.hasEnded,
  );
  await first.remove();

  const probe = await mainJob(volumes, shipped);

  expect(probe.words()).toContain("took over: generation 2");
  expect(probe.words()).not.toMatch(/"level":"(warn|error)"/);
  const ways = { "--check": '"can_run": true', "--is-listening": "" };
  for (const [way, words] of Object.entries(ways)) {
    const asked = running({ ...shipped, argv: [...shipped.argv, way] });
    expect(await asked.ended, asked.words()).toBe(0);
    expect(asked.words()).toContain(words);
  }
});

test("a start makes each call of probe-start.yaml, and start and service none that the profile lacks", async () => {
  const volumes = volumesOfTest();
  const setup = probeSetup(volumes);
  const traced = ["strace", "-f", "-o", "/run/flowspan/trace", ...setup.argv];

  await mainJob(volumes, { ...setup, argv: traced });

  const trace = readFileSync(join(volumes.socket, "trace"), "utf8");
  const used = new Set([...trace.matchAll(/^\d+ +(\w+)\(/gm)].map(([, name]) => name as string));
  const allowed = probeProfile().syscalls.flatMap(({ names }) => names);
  expect([...used].filter((name) => !allowed.includes(name)).sort(), "the profile lacks what the probe calls").toEqual(
    [],
  );
  const { start, rarely } = startCalls();
  expect(
    Object.keys(start).filter((name) => !used.has(name)),
    "probe-start.yaml has more than a start needs: remove it, or say below `rarely` when it is made",
  ).toEqual([]);
  const twice = [...Object.keys(start), ...Object.keys(rarely)].filter((name) => servingCalls().includes(name));
  expect(twice, "confine.c has these already").toEqual([]);
});

const LESS: Readonly<Record<string, string>> = {
  bpf: "a seccomp filter refuses bpf(2) although the capabilities are there",
  setresuid: "cannot become user 2140035691: Operation not permitted",
};
for (const [call, words] of Object.entries(LESS)) {
  test(`with ${call} less the probe ends, and says what it cannot do`, async () => {
    const probe = running({ ...probeSetup(volumesOfTest()), seccomp: probeProfile(call) });

    expect(await probe.ended, probe.words()).toBe(1);
    expect(probe.words()).toContain(words);
  });
}
