/** Records in, requests out: names that come late, wall times as of the record, and exemplars of what arrived. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { Identified } from "../../../agent/model/names.ts";
import { Exemplars } from "../../../agent/spans/exemplars.ts";
import { connectionSpanId } from "../../../agent/spans/ids.ts";
import type { SpanIdentity } from "../../../agent/spans/span-names.ts";
import { Spans, type SpansOptions } from "../../../agent/spans/spans.ts";
import { decodeSpans } from "../../otlp/spans.ts";
import { connectionOf, namesOf, OFFSET_NS, SECOND_NS, TRACE_ID } from "./builders.ts";
import { ACCEPTED, FakeTransport, failing, rejecting } from "./fake-transport.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** When records arrive. */
const NOW_NS = 102n * SECOND_NS;

/** Names everything, once it knows the cgroup and says so. */
class LateIdentity implements SpanIdentity {
  known = true;
  version = 1;
  answer: Identified = { state: "named", ...namesOf(), passing: false };
  readonly asked: (readonly [sinceNs: bigint, untilNs: bigint])[] = [];

  knowsCgroup(): boolean {
    return this.known;
  }

  identify(_: EdgeKey, sinceNs: bigint, untilNs: bigint): Identified {
    this.asked.push([sinceNs, untilNs]);
    return this.answer;
  }
}

function spansWith(transport = new FakeTransport(), more: Partial<SpansOptions> = {}) {
  const identity = new LateIdentity();
  const spans = new Spans({
    transport,
    limits: { queue: 100, batch: 10, delayMs: 100 },
    scope: { name: "flowspan", version: "1", schemaUrl: "" },
    log: { info: () => {}, warn: () => {} },
    ...more,
  });
  spans.clocks({ bootNs: NOW_NS, realtimeNs: NOW_NS + OFFSET_NS });
  const received = () => transport.sent.flatMap((bytes) => decodeSpans(bytes));
  return { spans, identity, received };
}

test("a record becomes a span on its end's Resource, at the wall time of its end", async () => {
  const { spans, identity, received } = spansWith();
  spans.nameBy(identity);

  spans.add(connectionOf());
  await vi.advanceTimersByTimeAsync(100);

  expect(received()).toMatchObject([
    {
      resource: { "service.name": "front" },
      startUnixNs: 100n * SECOND_NS + OFFSET_NS,
      endUnixNs: 101n * SECOND_NS + OFFSET_NS,
    },
  ]);
  expect(identity.asked).toEqual([[100n * SECOND_NS, 101n * SECOND_NS]]);
});

test("before there is anybody to ask for names, records wait", async () => {
  const { spans, identity, received } = spansWith();

  spans.add(connectionOf());
  await vi.advanceTimersByTimeAsync(5_000);
  const before = received().length;
  spans.nameBy(identity);
  await vi.advanceTimersByTimeAsync(1_000);

  expect([before, received().length]).toEqual([0, 1]);
});

test("the first record of a new cgroup waits for the exchange that names it, and is not put on the host", async () => {
  const { spans, identity, received } = spansWith();
  spans.nameBy(identity);
  identity.known = false;

  spans.add(connectionOf());
  await vi.advanceTimersByTimeAsync(10_000);
  const before = [received().length, identity.asked.length];
  identity.known = true;
  spans.exchanged(NOW_NS);
  await vi.advanceTimersByTimeAsync(1_000);

  expect([before, received().length]).toEqual([[0, 0], 1]);
});

test("an exchange that is older than a record's end may lack its cgroup: the next one decides", async () => {
  const { spans, identity, received } = spansWith();
  spans.nameBy(identity);
  identity.known = false;

  spans.add(connectionOf());
  spans.exchanged(101n * SECOND_NS);
  await vi.advanceTimersByTimeAsync(10_000);
  const before = received().length;
  spans.exchanged(101n * SECOND_NS + 1n);
  await vi.advanceTimersByTimeAsync(1_000);

  expect([before, received().length]).toEqual([0, 1]);
});

test("while no exchange comes, as where the probe is replaced, a new cgroup is not put on the host; two minutes of that are a loss", async () => {
  const { spans, identity, received } = spansWith();
  spans.nameBy(identity);
  identity.known = false;

  spans.add(connectionOf());
  await vi.advanceTimersByTimeAsync(119_000);
  const before = spans.stats();
  await vi.advanceTimersByTimeAsync(3_000);

  expect(before).toMatchObject({ pending: 1, unnamed: 1 });
  expect(spans.stats()).toMatchObject({ pending: 0, dropped: { unnamed: 1 } });
  expect(received()).toEqual([]);
});

test("what stays without names for two minutes has no span, and is counted", async () => {
  const { spans, identity } = spansWith();
  spans.nameBy(identity);
  identity.answer = { state: "pending", why: "the pod is not known yet" };

  spans.add(connectionOf());
  await vi.advanceTimersByTimeAsync(119_000);
  const before = spans.stats();
  await vi.advanceTimersByTimeAsync(3_000);

  expect(before).toMatchObject({ pending: 1, unnamed: 1 });
  expect(spans.stats()).toMatchObject({ pending: 0, dropped: { unnamed: 1 } });
});

test("exemplars are of spans that were accepted whole, under the flow that the connection was counted in", async () => {
  const into = new Exemplars();
  const flowOf = ({ serverPort }: EdgeKey) => `flow ${serverPort}`;
  const transport = new FakeTransport([failing(false), rejecting(1), ACCEPTED]);
  const { spans, identity } = spansWith(transport, { exemplars: { into, flowOf } });
  spans.nameBy(identity);

  for (const serverPort of [1, 2, 3]) {
    spans.add(connectionOf({ key: { serverPort }, retransmits: 5 }));
    await vi.advanceTimersByTimeAsync(100);
  }

  const exemplar = {
    timeUnixNs: 101n * SECOND_NS + OFFSET_NS,
    traceId: TRACE_ID,
    spanId: connectionSpanId(TRACE_ID, "client"),
    filteredAttributes: {},
  };
  expect([1, 2, 3].map((port) => into.take(`flow ${port}`, 0n, 2n ** 63n))).toEqual([
    undefined,
    undefined,
    {
      handshake: [{ ...exemplar, value: 0.002 }],
      rtt: [{ ...exemplar, value: 0.00175 }],
      retransmits: [{ ...exemplar, value: 5 }],
    },
  ]);
});
