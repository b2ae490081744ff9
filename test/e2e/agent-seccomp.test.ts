/**
 * deploy/seccomp/flowspan-agent.json, enforced by runc: agent and directory do their jobs under it, traced runs make each call
 * that deploy/seccomp/agent-calls.yaml has for a run, and none that it lacks.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import { agentCalls, agentProfile } from "../../scripts/generate-seccomp.ts";
import { holds } from "../components/running.ts";
import { needs } from "../machine/needs.ts";
import { type AgentWorld, startWorld } from "./agent-world.ts";
import { type ContainerSetup, RunningContainer } from "./container.ts";
import { probeSetup, type Volumes, volumesOfTest } from "./node-containers.ts";

const test = needs("root", "btf", "build", "runc", "strace", "otelcol");
const SHIPPED = new URL("../../deploy/seccomp/flowspan-agent.json", import.meta.url);
const READY_MS = 60_000;
const TEST_MS = 180_000;

function running(setup: ContainerSetup): RunningContainer {
  const container = new RunningContainer(setup);
  onTestFinished(() => container.remove());
  return container;
}

async function said(container: RunningContainer, words: string): Promise<void> {
  const isThere = async () => container.words().includes(words);
  const hasSaid = await holds(isThere, READY_MS, () => container.hasEnded);
  expect(hasSaid, container.words()).toBe(true);
}

interface Health {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

const health = async ({ own }: Volumes) =>
  (await askAgent(join(own, "agent/admin.sock"), "/readyz").catch(() => undefined))?.body as Health | undefined;

async function reloads({ own }: Volumes): Promise<number> {
  const { body } = await askAgent(join(own, "agent/admin.sock"), "/status");
  return (body as { readonly config: { readonly reloads: number } }).config.reloads;
}

/** What a container is started with: under the profile, or by strace. `name` tells runs apart. */
type Way = (setup: ContainerSetup, name: string) => ContainerSetup;

/** The first process that runs Node: strace stands before it. */
function nodePid({ pid }: RunningContainer): number {
  const isNode = readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("/node");
  return isNode ? pid : Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

async function stopped(container: RunningContainer): Promise<void> {
  process.kill(nodePid(container), "SIGTERM");
  expect(await container.ended, container.words()).toBe(0);
  expect(container.words()).not.toMatch(/"level":"error"/);
}

/** Starts an agent; it is ready, and its points and spans are where its configuration says. */
async function mainJob(world: AgentWorld, volumes: Volumes, setup: ContainerSetup): Promise<RunningContainer> {
  const before = world.collector.batches().length;
  const agent = running(setup);
  const isReady = await holds(
    async () => (await health(volumes))?.ok === true,
    READY_MS,
    () => agent.hasEnded,
  );
  expect(isReady, `${JSON.stringify(await health(volumes))}\n${agent.words()}`).toBe(true);
  const kinds = () => world.collector.batches().slice(before).flatMap(Object.keys);
  const wanted = ["resourceMetrics", "resourceSpans"];
  const arrive = await holds(
    async () => {
      // A connection for a span of its own.
      await fetch(`http://127.0.0.1:${world.ports.agent}/readyz`);
      return wanted.every((kind) => kinds().includes(kind));
    },
    READY_MS,
    () => agent.hasEnded,
  );
  expect(arrive, agent.words()).toBe(true);
  return agent;
}

/** `flowspan COMMAND` as by `kubectl exec`: under what the container is under. */
async function beside(agent: RunningContainer, way: Way, setup: ContainerSetup, command: string) {
  const argv = setup.argv.slice(0, setup.argv.indexOf("/app/agent.mjs") + 1);
  const ran = way({ ...setup, argv: [...argv, ...command.split(" ")] }, command.split(" ")[0] as string);
  return agent.execProgram(ran.argv);
}

/** A life of each: an agent over gRPC that is asked, reconfigured and stopped, one over HTTP with a directory. */
async function wholeRun(volumes: Volumes, way: Way): Promise<void> {
  const world = await startWorld(volumes);
  running(probeSetup(volumes));
  const setup = world.agentOf("grpc");
  const agent = await mainJob(world, volumes, way(setup, "agent"));
  const doctor = await beside(agent, way, setup, "doctor");
  expect(doctor.output).toMatch(
    /ok +agent +runs and is ready[\s\S]*ok +Collector +elsewhere\.example:\d+ accepts OTLP/,
  );
  const top = await beside(agent, way, setup, "top --once --json");
  expect(JSON.parse(top.output).edges.length, top.output).toBeGreaterThan(0);
  world.configure("grpc", { interval: 300 });
  await said(agent, "the new configuration is in effect");
  const before = await reloads(volumes);
  process.kill(nodePid(agent), "SIGHUP");
  expect(await holds(async () => (await reloads(volumes)) > before, READY_MS), agent.words()).toBe(true);
  await stopped(agent);

  const directory = running(way(world.directoryOf(), "directory"));
  const withDirectory = world.agentOf("http/protobuf", world.byDirectory);
  const other = await mainJob(world, volumes, way(withDirectory, "other"));
  await said(other, "names of peers come from the directory");
  await stopped(other);
  await stopped(directory);
  expect(world.asked.count).toBeGreaterThan(0);
  expect(world.api.requests.length).toBeGreaterThan(0);
}

test(
  "under the shipped profile agent and directory do their jobs, over gRPC and HTTP with TLS, and end well",
  async () => {
    const seccomp = JSON.parse(readFileSync(SHIPPED, "utf8")) as object;

    await wholeRun(volumesOfTest(), (setup) => ({ ...setup, seccomp }));
  },
  TEST_MS,
);

test(
  "runs make each call of agent-calls.yaml's run, and none that the profile lacks",
  async () => {
    const volumes = volumesOfTest();

    // Without io_uring, as the profile has it: else libuv would not make the calls that it makes instead.
    await wholeRun(volumes, (setup, name) => ({
      ...{ ...setup, refused: ["io_uring_setup"] },
      argv: ["strace", "-f", "-o", `/run/flowspan/trace-${name}`, ...setup.argv],
    }));

    const traces = readdirSync(volumes.own).filter((name) => name.startsWith("trace-"));
    expect(traces.sort()).toEqual(["agent", "directory", "doctor", "other", "top"].map((name) => `trace-${name}`));
    const texts = traces.map((name) => readFileSync(join(volumes.own, name), "utf8"));
    const used = new Set(
      texts.flatMap((text) => [...text.matchAll(/^\d+ +(\w+)\(/gm)].map(([, name]) => name as string)),
    );
    const allowed = agentProfile().syscalls.flatMap(({ names }) => names);
    expect(
      [...used].filter((name) => name !== "io_uring_setup" && !allowed.includes(name)).sort(),
      "the profile lacks what a run calls: add it to agent-calls.yaml with its reason",
    ).toEqual([]);
    const { run, ...others } = agentCalls();
    expect(
      Object.keys(run).filter((name) => !used.has(name)),
      "agent-calls.yaml has more than a run makes: remove it, or say below `rarely` when it is made",
    ).toEqual([]);
    const elsewhere = Object.values(others).flatMap(Object.keys);
    expect(
      elsewhere.filter((name) => name in run),
      "`run` has these already",
    ).toEqual([]);
  },
  TEST_MS,
);

/** Under the profile without `call`, an agent with all that it speaks with. */
async function startedWithout(call: string, volumes: Volumes): Promise<RunningContainer> {
  const world = await startWorld(volumes);
  running(probeSetup(volumes));
  return running({ ...world.agentOf("grpc"), seccomp: agentProfile(call) });
}

const ENDS = { epoll_pwait: "uv__io_poll", clone3: "uv_thread_create" };
for (const [call, words] of Object.entries(ENDS)) {
  test(
    `with ${call} less the agent ends, and Node says where`,
    async () => {
      const agent = await startedWithout(call, volumesOfTest());

      expect(await agent.ended, agent.words()).not.toBe(0);
      expect(agent.words()).toContain(words);
    },
    TEST_MS,
  );
}

test(
  "with connect less the agent is not ready, and names the probe that it may not reach",
  async () => {
    const volumes = volumesOfTest();
    const agent = await startedWithout("connect", volumes);

    await said(agent, "connect EPERM /run/flowspan-probe/probe.sock");

    const { ok, checks } = (await health(volumes)) ?? {};
    expect([ok, checks?.find(({ name }) => name === "probe")?.ok]).toEqual([false, false]);
  },
  TEST_MS,
);

test(
  "with inotify_init1 less the agent says that it reads its configuration now and then instead",
  async () => {
    const agent = await startedWithout("inotify_init1", volumesOfTest());

    await said(agent, "its content is compared every 5 seconds");
  },
  TEST_MS,
);
