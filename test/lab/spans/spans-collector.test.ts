/**
 * Every span is accounted for while the Collector is away, refuses, is slow, takes a part or loses its answers:
 *
 *   observed = accepted + dropped by reason + pending       in each agent's own metrics, at any moment
 *
 * and what is accepted is what the receiver of this process counts itself.
 */
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import {
  ATTR_FLOWSPAN_LOSS_REASON,
  ATTR_K8S_NODE_NAME,
  METRIC_FLOWSPAN_SPANS_ACCEPTED,
  METRIC_FLOWSPAN_SPANS_DROPPED,
  METRIC_FLOWSPAN_SPANS_OBSERVED,
  METRIC_FLOWSPAN_SPANS_PENDING,
} from "../../../agent/generated/semconv.ts";
import type { SpanStats } from "../../../agent/spans/queue.ts";
import { missing, needs } from "../../machine/needs.ts";
import type { Point } from "../../otlp/oracle.ts";
import { decodeSpans } from "../../otlp/spans.ts";
import { ReturningReceiver } from "../agents/returning-receiver.ts";
import { pairUp, recording, SpanLab } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

/** Spans that may be pending at each agent. */
const QUEUE = 199;
/** An answer that takes longer than this counts as lost. */
const TIMEOUT_MS = 3_000;
/** Connections of one trouble, each a span at either end; far less than the queue holds. */
const FEW = 97;

let traces: ReturningReceiver;
let spanLab: SpanLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  traces = await ReturningReceiver.start();
  const otlp_grpc = { endpoint: traces.endpoint, timeout: TIMEOUT_MS };
  const batch = { max_queue_size: QUEUE, max_export_batch_size: 23, exporter: { otlp_grpc } };
  spanLab = await SpanLab.start({ batch });
  await spanLab.lab.pod("server").serve({ listen: [{ port: 8080 }] });
});

afterAll(async () => {
  await spanLab?.close();
  await traces?.close();
});

afterEach(() => {
  if (traces !== undefined) traces.behaviour = {};
});

test("a Collector that refuses for a while: the queue is bounded, what finds no room is dropped and counted", async () => {
  const many = 503;
  const before = await account();
  traces.behaviour = { refuse: status.UNAVAILABLE };
  await connect(many);
  await observed(before, 2 * many);
  const refused = growth(before, await account());
  traces.behaviour = {};
  const delivered = growth(before, await settled());

  const room = { accepted: 0, pending: 2 * QUEUE, received: 0, again: 0 };
  const dropped = { queue_full: 2 * (many - QUEUE) };
  expect(refused).toEqual({ observed: 2 * many, dropped, ...room });
  expect(delivered).toEqual({ ...refused, accepted: 2 * QUEUE, pending: 0, received: 2 * QUEUE });
});

test("a Collector that is away: all spans wait for it and come when it is back", async () => {
  const before = await account();
  await traces.leave();
  await connect(FEW);
  await observed(before, 2 * FEW);
  const away = growth(before, await account());
  await traces.comeBack();
  const delivered = growth(before, await settled());

  const none = { dropped: {}, again: 0 };
  expect(away).toEqual({ observed: 2 * FEW, accepted: 0, pending: 2 * FEW, received: 0, ...none });
  expect(delivered).toEqual({ observed: 2 * FEW, accepted: 2 * FEW, pending: 0, received: 2 * FEW, ...none });
});

test("a Collector that says when to come again is left alone until then, and gets all spans", async () => {
  const retryAfterMs = 1_300;
  const before = await account();
  const arrived = traces.arrivals.length;
  traces.behaviour = { refuse: status.RESOURCE_EXHAUSTED, retryAfterMs };
  await connect(FEW);
  await eventually("a request of each agent", () => traces.arrivals.length >= arrived + 2);
  traces.behaviour = {};
  const delivered = growth(before, await settled());

  // The first two are of one agent each, so that whoever comes next has come before.
  const [first = 0, , third = 0] = traces.arrivals.slice(arrived).map(({ atMs }) => atMs);
  expect(third - first).toBeGreaterThanOrEqual(retryAfterMs);
  expect(delivered).toEqual(all(FEW));
});

test("a Collector that refuses for good: what it refused is dropped and not sent again", async () => {
  const before = await account();
  const arrived = traces.arrivals.length;
  traces.behaviour = { refuse: status.INVALID_ARGUMENT };
  await connect(FEW);
  await observed(before, 2 * FEW);
  const refused = growth(before, await settled());
  traces.behaviour = {};

  expect(refused).toEqual({ ...all(FEW), accepted: 0, received: 0, dropped: { rejected: 2 * FEW } });
  // Each request had spans that no other had.
  expect(traces.arrivals.length - arrived).toBeLessThanOrEqual(2 * FEW);
});

test("a Collector that takes a part: what it rejected is dropped, by its own count, and not sent again", async () => {
  const rejectPoints = 2;
  const before = await account();
  const requests = traces.requests.length;
  traces.behaviour = { rejectPoints };
  await connect(FEW);
  await observed(before, 2 * FEW);
  const taken = growth(before, await settled());
  traces.behaviour = {};

  const sizes = traces.requests.slice(requests).map(({ bytes }) => decodeSpans(bytes).length);
  const rejected = sizes.reduce((sum, spans) => sum + Math.min(rejectPoints, spans), 0);
  expect(rejected).toBeGreaterThan(0);
  // What it rejects is what the receiver counts as come and the agent as dropped.
  expect(taken).toEqual({ ...all(FEW), accepted: 2 * FEW - rejected, dropped: { rejected } });
});

test("a slow Collector: spans wait, none is lost or sent twice", async () => {
  const before = await account();
  traces.behaviour = { delayMs: 150 };
  await connect(FEW);
  await observed(before, 2 * FEW);
  const delivered = growth(before, await settled());
  traces.behaviour = {};

  expect(delivered).toEqual(all(FEW));
});

test("a Collector whose answers are lost: spans come again under the same ids, and are accepted once", async () => {
  const before = await account();
  const arrived = traces.arrivals.length;
  traces.behaviour = { dropAnswer: true };
  await connect(FEW);
  await eventually("a request that is sent again", () => traces.arrivals.length >= arrived + 4);
  traces.behaviour = {};
  const delivered = growth(before, await settled());

  expect(delivered.again).toBeGreaterThan(0);
  expect(delivered).toEqual({ ...all(FEW), again: delivered.again });
});

test("agents that end while the Collector refuses: what they could not send is dropped and told", async () => {
  const before = await account();
  traces.behaviour = { refuse: status.UNAVAILABLE };
  await connect(FEW);
  await observed(before, 2 * FEW);
  await Promise.all(spanLab.nodes.map((node) => spanLab.observed.agent(node).agent.stop("SIGTERM")));

  const last = addUp(spanLab.nodes.map((node) => tellings(node).at(-1) ?? NOTHING_TOLD));
  const told = { observed: last.observed - before.observed, pending: last.pending, dropped: last.dropped };
  const rejected = before.dropped.rejected ?? 0;
  expect(told).toEqual({
    observed: 2 * FEW,
    pending: 0,
    dropped: { queue_full: before.dropped.queue_full, rejected, shutdown: 2 * FEW },
  });
});

test("connections that end while no agent runs wait in the kernel, and become spans of the next agent", async () => {
  traces.behaviour = {};
  const before = traces.spans.length;
  await connect(FEW);
  const agents = spanLab.nodes.map((node) => spanLab.observed.agent(node));
  await Promise.all(agents.map((agent) => agent.startAgent()));
  await recording(agents);
  await connect(FEW);
  await eventually("the spans of both", () => traces.spans.length >= before + 4 * FEW);
  await spanLab.settled(0);

  const spans = traces.spans.slice(before);
  expect(pairUp(spans)).toMatchObject({ pairs: { length: 2 * FEW }, odd: [] });
  const { observed, accepted, dropped } = await account();
  expect({ observed, accepted, dropped }).toEqual({ observed: 4 * FEW, accepted: 4 * FEW, dropped: {} });
  expect(spanLab.observed.losses().agent_gone_records ?? 0).toBe(0);
});

test("at every moment that the agents told of, their accounts were in balance", () => {
  const all = spanLab.nodes.flatMap((node) => tellings(node));

  const dropped = (told: Told) => Object.values(told.dropped).reduce((sum, count) => sum + (count ?? 0), 0);
  expect(all.length).toBeGreaterThan(23);
  expect(all.filter((told) => told.observed !== told.accepted + dropped(told) + told.pending)).toEqual([]);
  expect(all.filter(({ pending }) => pending > QUEUE)).toEqual([]);
});

type Dropped = Readonly<Partial<Record<keyof SpanStats["dropped"], number>>>;

/** What both agents know, and what the receiver does. */
interface Account {
  readonly observed: number;
  readonly accepted: number;
  readonly pending: number;
  /** Reasons that occurred. */
  readonly dropped: Dropped;
  /** Spans by id, and how often one came that had come before. */
  readonly received: number;
  readonly again: number;
}

/** Of so many connections nothing is lost. */
function all(connections: number): Account {
  const each = 2 * connections;
  return { observed: each, accepted: each, pending: 0, dropped: {}, received: each, again: 0 };
}

async function account(): Promise<Account> {
  const { observed, accepted, pending, dropped } = await spanLab.stats();
  const received = new Set(traces.spans.map(({ spanId }) => spanId)).size;
  const again = traces.spans.length - received;
  return { observed, accepted, pending, dropped: occurred(dropped), received, again };
}

function growth(before: Account, after: Account): Account {
  const dropped = Object.entries(after.dropped).map(([reason, count]) => {
    return [reason, count - (before.dropped[reason as keyof Dropped] ?? 0)];
  });
  return {
    observed: after.observed - before.observed,
    accepted: after.accepted - before.accepted,
    pending: after.pending - before.pending,
    dropped: occurred(Object.fromEntries(dropped)),
    received: after.received - before.received,
    again: after.again - before.again,
  };
}

function occurred(counts: Dropped): Dropped {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

/** Plays so many connections between the two nodes. */
async function connect(count: number): Promise<void> {
  await spanLab.lab.pod("client").play("churn", { to: spanLab.service, count, parallel: 23 });
}

/** Waits until the agents have so many more, and have looked for the names of each. */
async function observed(before: Account, spans: number): Promise<void> {
  const due = before.observed + spans;
  await eventually(
    () =>
      `${spans} spans; told so far: ${JSON.stringify([tellings("node-1").at(-1), tellings("node-2").at(-1), spanLab.observed.ends()])}`,
    async () => (await spanLab.stats()).observed >= due,
  );
  await spanLab.observed.exchanges(2);
}

/** Waits until nothing is pending. */
async function settled(): Promise<Account> {
  await spanLab.settled(0);
  return account();
}

/** What one collection of an agent's own metrics says. */
interface Told {
  readonly observed: number;
  readonly accepted: number;
  readonly pending: number;
  readonly dropped: Dropped;
}
const NOTHING_TOLD: Told = { observed: 0, accepted: 0, pending: 0, dropped: {} };

/** All collections of a node's agent, in order. */
function tellings(node: string): Told[] {
  const points = spanLab.observed.points({ [ATTR_K8S_NODE_NAME]: node });
  const collections = Map.groupBy(points.filter(isTold), ({ timeUnixNs }) => timeUnixNs);
  return [...collections.values()].map((collection) => {
    const value = (metric: string) => collection.find((point) => point.metric === metric)?.value ?? 0;
    const dropped = collection.filter(({ metric }) => metric === METRIC_FLOWSPAN_SPANS_DROPPED.name);
    return {
      observed: value(METRIC_FLOWSPAN_SPANS_OBSERVED.name),
      accepted: value(METRIC_FLOWSPAN_SPANS_ACCEPTED.name),
      pending: value(METRIC_FLOWSPAN_SPANS_PENDING.name),
      dropped: Object.fromEntries(
        dropped.map(({ attributes, value }) => [
          String(attributes[ATTR_FLOWSPAN_LOSS_REASON]).replace("span_", ""),
          value,
        ]),
      ),
    };
  });
}

function isTold({ metric }: Point): boolean {
  return [
    METRIC_FLOWSPAN_SPANS_OBSERVED,
    METRIC_FLOWSPAN_SPANS_ACCEPTED,
    METRIC_FLOWSPAN_SPANS_DROPPED,
    METRIC_FLOWSPAN_SPANS_PENDING,
  ].some(({ name }) => name === metric);
}

function addUp(list: readonly Told[]): Told {
  const add = (pick: (told: Told) => number | undefined) => list.reduce((sum, told) => sum + (pick(told) ?? 0), 0);
  const reasons = [...new Set(list.flatMap(({ dropped }) => Object.keys(dropped)))] as (keyof Dropped)[];
  return {
    observed: add(({ observed }) => observed),
    accepted: add(({ accepted }) => accepted),
    pending: add(({ pending }) => pending),
    dropped: Object.fromEntries(reasons.map((reason) => [reason, add(({ dropped }) => dropped[reason])])),
  };
}
