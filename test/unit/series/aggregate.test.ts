import { expect, test } from "vitest";
import { AT } from "../../../agent/edges/counters.ts";
import { START_MARGIN_NS } from "../../../agent/edges/exchange-clock.ts";
import type { Flow } from "../../../agent/model/flow.ts";
import { type AggregateOptions, DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { BOOT_UNIX_NS, FakeIdentity, FakeKernel, keyOf, SECOND_NS } from "./kernel.ts";
import { type Stepped, Stepping } from "./stepping.ts";

const CART = "client 10.0.0.1>10.0.0.2:80";
const CART_TOO = "client 10.0.0.1>10.0.0.3:80";
const MINUTE_MS = 60_000;

function start(options: Partial<AggregateOptions> = {}) {
  const kernel = new FakeKernel();
  const identity = new FakeIdentity();
  const steps = new Stepping({ ...DEFAULT_AGGREGATE_OPTIONS, ...options }, identity, keyOf);
  return {
    kernel,
    identity,
    steps,
    exchange: (): Stepped => steps.take(kernel.exchange()),
    /** One exchange of which everything is accepted and settled. */
    settled(): readonly Shown[] {
      const batch = steps.take(kernel.exchange());
      const flows = batch.flows.map(shown);
      kernel.settle(batch.accept(batch.flows));
      return flows;
    },
  };
}

/** A flow as far as these tests look at it, at this moment. */
interface Shown {
  readonly attributes: Flow["attributes"];
  readonly bytesSent: number;
  readonly open: number;
}

function shown({ attributes, counters, open }: Flow): Shown {
  return { attributes, bytesSent: counters[AT.bytesSent] as number, open };
}

const cart = {
  "flowspan.role": "client",
  "server.port": 80,
  "flowspan.peer.kind": "pod",
  "service.peer.namespace": "shop",
};

test("edges to one workload are one flow, and what is open at each adds up", () => {
  const { kernel, identity, exchange } = start();
  for (const address of ["10.0.0.2", "10.0.0.3"]) identity.rename(address, "cart");
  kernel.grow(CART, { bytesSent: 23, handshakeUs: 7 }, { 11: 1 });
  kernel.grow(CART_TOO, { bytesSent: 29 });
  kernel.open(CART, 2);
  kernel.open(CART_TOO, 3);

  const { flows, rows, pendingRows } = exchange();

  expect({ flows: flows.map(shown), rows, pendingRows }).toEqual({
    flows: [{ attributes: { ...cart, "service.peer.name": "cart" }, bytesSent: 52, open: 5 }],
    rows: 2,
    pendingRows: 0,
  });
  expect(flows[0]?.handshake).toEqual({ buckets: [11, 1], sumUs: 7 });
  expect(flows[0]?.resource).toEqual({ id: "10.0.0.1", attributes: { "k8s.pod.name": "10.0.0.1" } });
});

test("attributes are equal and the resource is the same object in every exchange", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });

  const first = exchange().flows[0] as Flow;
  const { attributes, resource } = first;
  const second = exchange().flows[0] as Flow;

  expect(second.attributes).toEqual(attributes);
  expect(second.resource).toBe(resource);
});

test.each([
  ["client", CART, {}, { ...cart, "service.peer.name": "10.0.0.2" }],
  [
    "client with opt-in address",
    CART,
    { peerAddress: true },
    { ...cart, "service.peer.name": "10.0.0.2", "network.peer.address": "10.0.0.2" },
  ],
  [
    "server whose port nobody knows",
    "server 10.0.0.1>10.0.0.2:0",
    {},
    {
      "flowspan.role": "server",
      "flowspan.peer.kind": "pod",
      "service.peer.name": "10.0.0.2",
      "service.peer.namespace": "shop",
    },
  ],
  ["listener", "listener 10.0.0.1>:8080", {}, { "server.port": 8080 }],
  ["kernel's overflow edge", "overflow *>*:0", {}, { "flowspan.role": "client", "otel.metric.overflow": true }],
  ["flow over budget", CART, { flowLimit: 0 }, { "flowspan.role": "client", "otel.metric.overflow": true }],
])("a %s has exactly its attributes", (_, id, options, attributes) => {
  const { kernel, exchange } = start(options);
  kernel.grow(id, { bytesSent: 23 });

  expect(exchange().flows.map(shown)).toEqual([{ attributes, bytesSent: 23, open: 0 }]);
});

test("growth that was not accepted is sent again, larger, under the same start", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  const failed = exchange().flows[0] as Flow;
  const before = { start: failed.startUnixNs, bytes: failed.counters[AT.bytesSent] };
  kernel.grow(CART, { bytesSent: 29 });

  const again = exchange().flows[0] as Flow;

  expect(before.bytes).toBe(23);
  expect({ start: again.startUnixNs, bytes: again.counters[AT.bytesSent] }).toEqual({ start: before.start, bytes: 52 });
});

test("only rows of accepted flows are given back to be settled", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  kernel.grow("server 10.0.0.9>10.0.0.2:80", { bytesSent: 29 });

  const batch = exchange();
  kernel.settle(batch.accept(batch.flows.filter(({ role }) => role === "server")));

  expect(kernel.unsettled()).toEqual({ bytesSent: 23 });
});

test("a row that comes twice in one exchange counts once", () => {
  const { kernel, steps } = start();
  kernel.grow(CART, { bytesSent: 23 });
  const exchange = kernel.exchange();

  const { flows } = steps.take({ ...exchange, rows: [...exchange.rows, ...exchange.rows] });

  expect(flows.map(({ counters }) => counters[AT.bytesSent])).toEqual([23]);
});

test("a flow of an older batch cannot be accepted", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  const old = exchange();
  exchange();

  expect(() => old.accept(old.flows)).toThrow(RangeError);
});

test("a flow is sent in every interval while it is alive and ends after the idle time", () => {
  const { kernel, settled } = start({ idleMs: MINUTE_MS });
  kernel.grow(CART, { bytesSent: 23 });

  const sent = Array.from({ length: 7 }, () => settled().map(({ bytesSent }) => bytesSent));

  expect(sent).toEqual([[23], [23], [23], [23], [23], [], []]);
});

test("a flow that comes back after it was evicted starts at zero, not before its former end", () => {
  const { kernel, exchange } = start({ idleMs: MINUTE_MS });
  kernel.grow(CART, { bytesSent: 23 });
  let end = 0n;
  for (let i = 0; i < 8; i++) {
    const batch = exchange();
    for (const { timeUnixNs } of batch.flows) end = timeUnixNs;
    kernel.settle(batch.accept(batch.flows));
  }

  kernel.grow(CART, { bytesSent: 29 });
  const back = exchange().flows[0] as Flow;

  expect(back.counters[AT.bytesSent]).toBe(29);
  expect(back.startUnixNs).toBeGreaterThanOrEqual(end);
});

test("a flow of which growth is in doubt is not evicted", () => {
  const { kernel, exchange } = start({ idleMs: MINUTE_MS });
  kernel.grow(CART, { bytesSent: 23 });

  const sent = Array.from({ length: 9 }, () => exchange().flows.map(({ counters }) => counters[AT.bytesSent]));

  expect(sent).toEqual(Array.from({ length: 9 }, () => [23]));
});

test("later growth of a renamed edge goes to the new flow, and the old one ends with nothing open", () => {
  const { kernel, identity, settled } = start();
  kernel.grow(CART, { bytesSent: 23 });
  kernel.open(CART, 1);
  const before = settled();
  identity.rename("10.0.0.2", "checkout");
  kernel.grow(CART, { bytesSent: 29 });

  const after = settled();
  const later = settled();

  const old = { ...cart, "service.peer.name": "10.0.0.2" };
  const now = { ...cart, "service.peer.name": "checkout" };
  expect(before).toEqual([{ attributes: old, bytesSent: 23, open: 1 }]);
  expect(after).toEqual([
    { attributes: now, bytesSent: 29, open: 1 },
    { attributes: old, bytesSent: 23, open: 0 },
  ]);
  expect(later).toEqual([{ attributes: now, bytesSent: 29, open: 1 }]);
});

test("growth in doubt keeps its flow when its edge is renamed", () => {
  const { kernel, identity, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  exchange();
  identity.rename("10.0.0.2", "checkout");

  expect(exchange().flows.map(shown)).toEqual([
    { attributes: { ...cart, "service.peer.name": "10.0.0.2" }, bytesSent: 23, open: 0 },
  ]);
});

test("a row whose names are awaited is left out, counted, and exported once they are there", () => {
  const { kernel, identity, steps, exchange } = start();
  identity.hold("10.0.0.2");
  kernel.grow(CART, { bytesSent: 23 });
  const waiting = exchange();
  const told = steps.snapshot().edges.map(({ pending, bytesSent }) => ({ pending, bytesSent }));
  identity.release("10.0.0.2");

  const named = exchange();

  expect({ flows: waiting.flows, pendingRows: waiting.pendingRows }).toEqual({ flows: [], pendingRows: 1 });
  expect(told).toEqual([{ pending: "the pod is not known yet", bytesSent: 23 }]);
  expect({ flows: named.flows.map(shown).length, pendingRows: named.pendingRows }).toEqual({
    flows: 1,
    pendingRows: 0,
  });
});

test("a new agent's series starts where the kernel's growth began", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART_TOO, { bytesSent: 23 });
  kernel.nowNs += 5n * SECOND_NS;
  kernel.grow(CART, { bytesSent: 23 });
  const [row] = kernel.exchange().rows;

  const first = exchange().flows[0] as Flow;

  expect(first.startUnixNs).toBe((row?.sinceNs as bigint) + BOOT_UNIX_NS + START_MARGIN_NS);
  expect(first.timeUnixNs).toBe(kernel.nowNs + BOOT_UNIX_NS);
});

test("a wall clock that is set back moves points but no start", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  const { startUnixNs } = exchange().flows[0] as Flow;

  kernel.wallOffsetNs -= 10n * SECOND_NS;
  const little = { ...times(exchange().flows[0]), mapped: kernel.nowNs + kernel.wallOffsetNs };
  kernel.wallOffsetNs -= 3600n * SECOND_NS;
  const far = times(exchange().flows[0]);

  expect(little).toEqual({ start: startUnixNs, time: little.mapped, mapped: little.mapped });
  expect(far).toEqual({ start: startUnixNs, time: startUnixNs });
});

test("a wall clock that is set forward moves points but no start", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  const { startUnixNs } = exchange().flows[0] as Flow;

  kernel.wallOffsetNs += 3600n * SECOND_NS;

  expect(times(exchange().flows[0])).toEqual({ start: startUnixNs, time: kernel.nowNs + kernel.wallOffsetNs });
});

function times(flow: Flow | undefined) {
  return { start: flow?.startUnixNs, time: flow?.timeUnixNs };
}

test("deltas hold the growth since the last accepted point and skip quiet flows", () => {
  const { kernel, exchange } = start({ temporality: "delta" });
  kernel.grow(CART, { bytesSent: 23 });
  const first = exchange();
  const firstTime = first.timeUnixNs;
  kernel.settle(first.accept(first.flows));
  const quiet = exchange().flows.length;
  kernel.grow(CART, { bytesSent: 29 });
  const failed = (exchange().flows[0] as Flow).counters[AT.bytesSent];
  kernel.grow(CART, { bytesSent: 31 });

  const again = exchange().flows[0] as Flow;

  expect({ quiet, failed, bytes: again.counters[AT.bytesSent], start: again.startUnixNs }).toEqual({
    quiet: 0,
    failed: 29,
    bytes: 60,
    start: firstTime,
  });
});

test("deltas say once that nothing is open any more, also of a listener", () => {
  const { kernel, exchange } = start({ temporality: "delta" });
  kernel.open(CART, 0, 128);
  const listening = exchange();
  const before = gauges(listening.flows);
  kernel.settle(listening.accept(listening.flows));
  kernel.open(CART, 0, 0);

  const untold = gauges(exchange().flows);
  const closed = exchange();
  const after = gauges(closed.flows);
  kernel.settle(closed.accept(closed.flows));

  expect([before, untold, after, gauges(exchange().flows)]).toEqual([[[0, 128]], [[0, 0]], [[0, 0]], []]);
});

function gauges(flows: readonly Flow[]) {
  return flows.map(({ open, limit }) => [open, limit]);
}

test("a series whose doubtful growth is gone from the kernel ends: no point goes backwards", () => {
  const { kernel, exchange } = start();
  kernel.grow(CART, { bytesSent: 23 });
  const doubtful = times(exchange().flows[0]);
  kernel.reset();
  kernel.grow(CART, { bytesSent: 1 });

  const fresh = exchange().flows[0] as Flow;

  expect(fresh.counters[AT.bytesSent]).toBe(1);
  expect(fresh.startUnixNs).toBeGreaterThanOrEqual(doubtful.time as bigint);
});
