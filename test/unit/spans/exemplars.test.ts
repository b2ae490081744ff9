/** Which spans stand for a flow's points, for how long, and that they are few. */
import { expect, test } from "vitest";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { Exemplars } from "../../../agent/spans/exemplars.ts";
import { FakeIdentity, FakeKernel, keyOf } from "../series/kernel.ts";
import { Stepping } from "../series/stepping.ts";
import { TRACE_ID } from "./builders.ts";

const span = (spanId: string, endUnixNs = 10n) => ({
  ids: { traceId: TRACE_ID, spanId, parentSpanId: undefined },
  endUnixNs,
});
const NOW_NS = 11n;
const nothing = { handshakeUs: 0, lastRttUs: 0, retransmits: 0 };

test("a flow keeps the two largest values of each kind, and hands them out once", () => {
  const exemplars = new Exemplars();
  for (const [index, lastRttUs] of [250_000, 750_000, 500_000, 125_000].entries()) {
    exemplars.offer("flow", span(String(index)), { ...nothing, lastRttUs });
  }
  exemplars.offer("flow", span("9"), { ...nothing, handshakeUs: 500_000, retransmits: 23 });

  const first = exemplars.take("flow", 0n, NOW_NS);
  const second = exemplars.take("flow", 0n, NOW_NS);

  const common = { timeUnixNs: 10n, traceId: TRACE_ID, filteredAttributes: {} };
  expect(first).toEqual({
    rtt: [
      { ...common, value: 0.75, spanId: "1" },
      { ...common, value: 0.5, spanId: "2" },
    ],
    handshake: [{ ...common, value: 0.5, spanId: "9" }],
    retransmits: [{ ...common, value: 23, spanId: "9" }],
  });
  expect(second).toBeUndefined();
});

test("what lies before the series' start is left out", () => {
  const exemplars = new Exemplars();
  exemplars.offer("flow", span("1", 9n), { ...nothing, lastRttUs: 1_000_000 });
  exemplars.offer("flow", span("2", 11n), { ...nothing, lastRttUs: 1_000_000 });

  expect(exemplars.take("flow", 10n, NOW_NS)?.rtt?.map(({ spanId }) => spanId)).toEqual(["2"]);
});

test("a connection that ended after its exchange was read stands for a point of the next one", () => {
  const exemplars = new Exemplars();
  const measured = { ...nothing, lastRttUs: 1_000_000 };
  for (const flow of ["a", "b"]) {
    exemplars.offer(flow, span("in time", 11n), measured);
    exemplars.offer(flow, span("later", 12n), measured);
  }
  const take = (flow: string, untilNs: bigint) => exemplars.take(flow, 0n, untilNs)?.rtt?.map(({ spanId }) => spanId);

  const first = take("a", 11n);
  exemplars.clear(11n);
  const second = [take("a", 12n), take("b", 12n)];
  exemplars.clear(12n);

  expect([first, second]).toEqual([["in time"], [["later"], ["later"]]]);
  expect([take("a", 13n), take("b", 13n)]).toEqual([undefined, undefined]);
});

test("however many flows have spans, only a bounded number is kept", () => {
  const exemplars = new Exemplars();
  for (let flow = 0; flow < 5_003; flow++)
    exemplars.offer(String(flow), span("1"), { ...nothing, lastRttUs: 1_000_000 });

  const kept = Array.from({ length: 5_003 }, (_, flow) => exemplars.take(String(flow), 0n, NOW_NS)).filter(Boolean);

  expect(kept).toHaveLength(1_000);
});

test("the flows of an exchange carry what was offered before it, and those of the next one do not", () => {
  const exemplars = new Exemplars();
  const kernel = new FakeKernel();
  const steps = new Stepping(DEFAULT_AGGREGATE_OPTIONS, new FakeIdentity(), keyOf, exemplars);
  const edge = "client a>b:80";
  kernel.grow(edge, { opened: 1 });
  const flowOf = () => steps.take(kernel.exchange()).flows[0];
  const key = (flowOf() as unknown as { key: string }).key;
  const sinceNs = kernel.nowNs + kernel.wallOffsetNs;
  exemplars.offer(key, span("1", sinceNs), { ...nothing, lastRttUs: 500_000 });
  exemplars.offer("a flow that has no point", span("2"), { ...nothing, lastRttUs: 500_000 });

  kernel.grow(edge, { opened: 1 });
  const carried = flowOf()?.exemplars;
  kernel.grow(edge, { opened: 1 });
  const next = flowOf()?.exemplars;

  expect([carried?.rtt?.map(({ spanId }) => spanId), next]).toEqual([["1"], undefined]);
  expect(exemplars.take("a flow that has no point", 0n, 2n ** 63n)).toBeUndefined();
});
