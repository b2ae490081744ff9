/** What holds for a batch as a whole: every end is a span or a loss by name, and ids are nobody else's. */
import { expect, test } from "vitest";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { agentBooks, kernelLosses } from "../../torture/agent-books.ts";
import { batchDifferences, type Whole, withoutCopies } from "../../torture/agent-whole.ts";
import type { Performed } from "../../torture/batch.ts";

function span(id: number, values: Partial<ReceivedSpan> = {}): ReceivedSpan {
  return {
    ...{ traceId: `trace ${id}`, spanId: `span ${id}`, parentSpanId: "", traceState: "", name: "tcp connection" },
    ...{ kind: "client", startUnixNs: 1n, endUnixNs: 2n, attributes: {}, events: [], droppedEvents: 0, links: [] },
    ...{
      status: "unset",
      statusMessage: "",
      flags: 0,
      resource: { "k8s.pod.uid": "pod" },
      scope: "flowspan",
      scopeVersion: "",
    },
    ...values,
  };
}

/** A batch that counted so many ends. */
function whole(ends: number, values: Partial<Whole>): Whole {
  const counters = Object.fromEntries(EDGE_COUNTERS.map((name) => [name, 0]));
  const edges = [{ counters: { ...counters, closed: ends - 1, failedRefused: 1 } }];
  const spans = values.spans ?? [];
  return {
    performed: [{ seen: { edges } } as unknown as Performed],
    spans,
    books: { losses: {}, observed: spans.length, accepted: spans.length, dropped: 0, pending: 0 },
    losses: {},
    ...{ mayLose: false, isOneAgent: true, justTaken: 0, repaired: 0 },
    ...values,
  };
}

const TWO = [span(1), span(2)];

test("a span for each end differs in nothing", () => {
  expect(batchDifferences(whole(2, { spans: TWO }))).toEqual([]);
});

test("an end without a span must be a loss by name, which only what kills may bring about", () => {
  const losses = { agent_gone_records: 1 };
  expect(batchDifferences(whole(3, { spans: TWO }))).toEqual([
    "record-sums: 1 ends have no span, and 0 are told as lost",
  ]);
  expect(batchDifferences(whole(3, { spans: TWO, losses, mayLose: true }))).toEqual([]);
  expect(batchDifferences(whole(3, { spans: TWO, losses }))).toEqual([
    "losses: 1 agent_gone_records, though nothing was killed",
  ]);
});

test("a loss of what came is told only of spans that the Collector had just taken", () => {
  const killed = { spans: TWO, losses: { agent_gone_records: 2 }, mayLose: true };
  expect(batchDifferences(whole(3, { ...killed, justTaken: 1 }))).toEqual([]);
  expect(batchDifferences(whole(3, { ...killed, justTaken: 0 }))).toEqual([
    "record-sums: 2 are told as lost, 1 ends have no span, and at most 0 were just taken",
  ]);
});

test("a lost record of a socket that TCP_REPAIR may have taken is no end without a span, unless its span came", () => {
  const killed = { losses: { agent_gone_records: 1 }, mayLose: true, repaired: 1 };
  const attributes = { "flowspan.tcp.checkpointed": true };
  expect(batchDifferences(whole(2, { ...killed, spans: TWO }))).toEqual([]);
  expect(batchDifferences(whole(2, { ...killed, spans: [...TWO, span(3, { attributes })] }))).toHaveLength(1);
  expect(batchDifferences(whole(2, { ...killed, spans: TWO, repaired: 0 }))).toHaveLength(1);
});

test("one that was taken off its socket has a span, and is no end that was counted", () => {
  const attributes = { "flowspan.tcp.checkpointed": true };
  expect(batchDifferences(whole(2, { spans: [...TWO, span(3, { attributes })] }))).toEqual([]);
});

test("the same span again is a copy; another of its id is none, nor are two programs in one trace", () => {
  const other = span(2, { kind: "server" });
  const far = span(3, { traceId: "trace 1", resource: { "k8s.pod.uid": "another" } });
  const { spans, copies } = withoutCopies([...TWO, span(1), other, far]);

  expect([spans, copies]).toEqual([[...TWO, other, far], [span(1)]]);
  expect(batchDifferences(whole(4, { spans })).map((each) => each.split(":").slice(0, 2).join(":"))).toEqual([
    "ids: 2 spans are span 2",
    "ids: 2 spans of more than one program are in trace trace 1",
  ]);
});

test("what an agent counts of itself is what came", () => {
  const books = { losses: {}, observed: 3, accepted: 2, dropped: 0, pending: 1 };
  expect(batchDifferences(whole(2, { spans: TWO, books }))).toEqual([
    "self: of 3 records 2 were accepted, 0 dropped, 1 are pending, and 2 spans came",
  ]);
  expect(batchDifferences(whole(2, { spans: TWO, books, isOneAgent: false }))).toEqual([]);
});

test("the kernel's losses are as the last agent has them, an agent's own add up", () => {
  const point = (agent: string, reason: string, value: number): ReceivedPoint => ({
    ...{ metric: "flowspan.losses", resource: { "service.instance.id": agent }, value },
    ...{ attributes: { "flowspan.loss.reason": reason }, startUnixNs: 1n, timeUnixNs: 2n },
    ...({ kind: "cumulative", scope: "flowspan", unit: "{loss}", instrument: "sum" } as const),
    ...{ scale: undefined, count: undefined, exemplars: [] },
  });
  const points = [
    point("first", "close_missed", 3),
    point("first", "span_shutdown", 5),
    point("second", "close_missed", 4),
    point("second", "span_shutdown", 7),
  ];

  expect(agentBooks(points).losses).toEqual({ close_missed: 4, span_shutdown: 12 });
  expect(kernelLosses(points)).toEqual({ close_missed: 4 });
});
