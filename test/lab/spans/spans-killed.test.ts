/**
 * Agents and probes that are killed with records and spans in their hands: the next one tells of each that is gone.
 *
 *   records of the kernel = spans that arrived + agent_gone_records       after any number of deaths
 *
 * A span that arrived while its agent was killed before it could say so is in both: never less than all, and exact
 * where no answer was under way.
 */
import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../../machine/needs.ts";
import type { NodeAgent } from "../agents/agents.ts";
import { ReturningReceiver } from "../agents/returning-receiver.ts";
import { pairUp, recording, SpanLab } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

/** Connections of one trouble, each a record at either end. */
const FEW = 97;
/** While processes are killed, a connection every PACE_MS: EACH of them for a death and what follows it. */
const PACE_MS = 2;
const EACH = 500;
const A_WHILE_MS = 300;

let traces: ReturningReceiver;
let spanLab: SpanLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  traces = await ReturningReceiver.start();
  spanLab = await SpanLab.start({ batch: { exporter: { otlp_grpc: { endpoint: traces.endpoint } } } });
  await spanLab.lab.pod("server").serve({ listen: [{ port: 8080 }] });
});

afterAll(async () => {
  await spanLab?.close();
  await traces?.close();
});

test("agents that are killed after the Collector took all their spans leave no loss", async () => {
  await connect(FEW);
  await arrived(2 * FEW);
  await spanLab.settled(0);
  await kill("agent");
  await startAgents();
  await connect(FEW);
  await arrived(4 * FEW);
  await spanLab.settled(0);

  expect(pairUp(traces.spans)).toMatchObject({ pairs: { length: 2 * FEW }, odd: [] });
  expect(await lost()).toBe(0);
});

test("agents that are killed with spans pending: just those are told as lost", async () => {
  const before = distinct();
  traces.behaviour = { refuse: status.UNAVAILABLE };
  await connect(FEW);
  await eventually("all records at the agents", async () => (await spanLab.stats()).pending === 2 * FEW);
  await kill("agent");
  await startAgents();
  traces.behaviour = {};
  await connect(FEW);
  await arrived(before + 2 * FEW);
  await spanLab.settled(0);

  expect(await lost()).toBe(2 * FEW);
  expect(await spanLab.stats()).toMatchObject({ observed: 2 * FEW, accepted: 2 * FEW, pending: 0 });
});

test("agents that are killed before the Collector was told of their drops: the next ones tell of these records", async () => {
  const before = await lost();
  traces.behaviour = { refuse: status.INVALID_ARGUMENT };
  spanLab.receiver.behaviour = { refuse: status.UNAVAILABLE };
  await connect(FEW);
  await eventually("all spans refused", async () => (await spanLab.stats()).dropped.rejected === 2 * FEW);
  await kill("agent");
  spanLab.receiver.behaviour = {};
  traces.behaviour = {};
  await startAgents();
  await spanLab.settled(0);
  const untold = (await lost()) - before;
  traces.behaviour = { refuse: status.INVALID_ARGUMENT };
  await connect(FEW);
  await eventually("all spans refused", async () => (await spanLab.stats()).dropped.rejected === 2 * FEW);
  await spanLab.observed.exchanges(3);
  await kill("agent");
  traces.behaviour = {};
  await startAgents();
  await spanLab.settled(0);

  expect([untold, (await lost()) - before]).toEqual([2 * FEW, 2 * FEW]);
});

test("probes and agents that are told to end at once, as a pod's containers are: the agent still has its say", async () => {
  const before = { lost: await lost(), closed: closes() };
  traces.behaviour = { refuse: status.UNAVAILABLE };
  await connect(FEW);
  await eventually("all records at the agents", async () => (await spanLab.stats()).pending === 2 * FEW);
  await Promise.all(nodes().flatMap(({ probe, agent }) => [probe.stop("SIGTERM"), agent.stop("SIGTERM")]));
  const ends = await Promise.all(nodes().flatMap(({ probe, agent }) => [probe.ended, agent.ended]));
  const closed = closes() - before.closed;
  traces.behaviour = {};
  await Promise.all(nodes().map((node) => node.startProbe()));
  await startAgents();

  expect(ends).toEqual(Array(4).fill({ code: 0, signal: null }));
  // The last exchange was made and settled, and each span that was given up is a loss of the agent's, not of the next one's.
  expect(closed).toBe(FEW);
  expect(await lost()).toBe(before.lost);
});

test("probes that are killed while records come: what agents got and what is told as lost are all there were", async () => {
  const deaths = 5;
  const count = deaths * EACH;
  const { observed } = await spanLab.stats();
  const before = { lost: await lost(), hidden: await losses("close_missed"), observed };
  const traffic = connect(count, PACE_MS);
  for (let death = 0; death < deaths; death++) {
    await delay(A_WHILE_MS);
    await kill("probe");
    await Promise.all(nodes().map((node) => node.startProbe()));
  }
  await traffic;
  const records = async () => (await lost()) + (await spanLab.stats()).observed - before.lost - before.observed;
  const hidden = async () => (await losses("close_missed")) - before.hidden;
  await eventually(`${2 * count} records`, async () => (await records()) + (await hidden()) >= 2 * count, 30_000);
  await spanLab.settled(0);

  expect({ records: await records(), hidden: await hidden() }).toEqual({ records: 2 * count, hidden: 0 });
  expect((await spanLab.stats()).dropped).toEqual({ queue_full: 0, rejected: 0, gave_up: 0, unnamed: 0, shutdown: 0 });
});

test("probes and agents that are killed at once while spans are sent: none is missing without being told", async () => {
  const deaths = 3;
  const count = deaths * EACH;
  const before = { lost: await lost(), hidden: await losses("close_missed"), arrived: distinct() };
  const traffic = connect(count, PACE_MS);
  for (let death = 0; death < deaths; death++) {
    await delay(A_WHILE_MS);
    await kill("probe", "agent");
    await Promise.all(nodes().map((node) => node.startProbe()));
    await startAgents();
  }
  await traffic;
  await connect(FEW);
  const all = 2 * (count + FEW);
  const known = async () => (await lost()) - before.lost + distinct() - before.arrived;
  const hidden = async () => (await losses("close_missed")) - before.hidden;
  await eventually(`${all} spans or losses`, async () => (await known()) + (await hidden()) >= all, 30_000);
  await spanLab.settled(0);

  expect(await hidden()).toBe(0);
  expect(distinct() - before.arrived).toBeLessThanOrEqual(all);
  expect((await lost()) - before.lost).toBeLessThanOrEqual(2 * count);
});

function nodes(): NodeAgent[] {
  return spanLab.nodes.map((node) => spanLab.observed.agent(node));
}

async function kill(...kinds: readonly ("agent" | "probe")[]): Promise<void> {
  await Promise.all(nodes().flatMap((node) => kinds.map((kind) => node[kind].stop("SIGKILL"))));
}

async function startAgents(): Promise<void> {
  await Promise.all(nodes().map((node) => node.startAgent()));
  await recording(nodes());
}

/** Plays so many connections between the two nodes. */
async function connect(count: number, paceMs = 0): Promise<void> {
  await spanLab.lab.pod("client").play("churn", { to: spanLab.service, count, workers: 1, paceMs });
}

/** Spans at the receiver, each once. */
function distinct(): number {
  return new Set(traces.spans.map(({ spanId }) => spanId)).size;
}

async function arrived(count: number): Promise<void> {
  await eventually(
    () => `${count} spans, now ${distinct()}`,
    () => distinct() >= count,
  );
}

/** Of clients, as their metrics have it. */
function closes(): number {
  return spanLab.observed.ends().client.closed;
}

/** As both kernels' books have it, since their maps were made. */
function lost(): Promise<number> {
  return losses("agent_gone_records");
}

/** `close_missed` grows where the kernel hid a close (test/machine/witness.ts), which leaves no record. */
async function losses(name: "agent_gone_records" | "close_missed"): Promise<number> {
  const statuses = await Promise.all(spanLab.nodes.map((node) => spanLab.status(node)));
  return statuses.reduce((sum, { losses }) => sum + (losses[name] ?? 0), 0);
}
