/** Our OTLP bytes against the stock serializer's, and how flows are divided among requests. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DURATION_SLOTS, EDGE_COUNTERS, RTT_SLOTS } from "../../../agent/generated/layout.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import type { Flow, Resource, Temporality } from "../../../agent/model/flow.ts";
import { type EncodedRequest, FlowEncoder } from "../../../agent/otlp/encode.ts";
import type { JsonMetric, JsonMetricRequest, JsonPoint } from "../../otlp/otlp-json.ts";
import { metricRequestOf } from "../../otlp/protobuf.ts";
import { type FlowSpec, flow, histogram, METRICS, RESOURCE, SCOPE } from "./flows.ts";
import { stockBytes } from "./stock.ts";

function encoder(temporality: Temporality = "cumulative", maxRequestBytes?: number): FlowEncoder {
  return new FlowEncoder({
    metrics: METRICS,
    temporality,
    scope: SCOPE,
    ...(maxRequestBytes === undefined ? {} : { maxRequestBytes }),
  });
}

function encodeOne(flows: readonly Flow[], temporality: Temporality = "cumulative"): EncodedRequest {
  const [request, ...others] = [...encoder(temporality).encode(flows)];
  if (request === undefined || others.length > 0) throw new Error(`expected one request, not ${others.length + 1}`);
  return request;
}

describe("our bytes mean what the stock serializer's bytes mean", () => {
  const cases: readonly (readonly [string, FlowSpec])[] = [
    ["integer sums", { counters: { bytesSent: 23, bytesReceived: 0 } }],
    ["sums past 32 and 53 bits", { counters: { bytesSent: 2 ** 32 + 23, bytesReceived: Number.MAX_SAFE_INTEGER } }],
    ["sums of time, in seconds", { counters: { busyUs: 1_234_567 } }],
    ["sums that appear only when they are not zero", { counters: { retransmitsFast: 3 } }],
    ["a sum that can fall", { open: 23 }],
    ["gauges", { role: "listener", open: 5, limit: 4096 }],
    ["a gauge of zero", { role: "listener", open: 0, limit: 0 }],
    ["an exponential histogram", { rtt: histogram({ 30: 7, 31: 1, 40: 200_000 }, 123_457) }],
    ["a histogram whose counts pass 32 bits", { rtt: histogram({ 0: 2 ** 40 + 1, 111: 1 }, 2 ** 50) }],
    ["a histogram on both sides of one second", { duration: histogram({ 79: 1, 80: 2, 159: 3 }, 9) }],
    ["attributes of each type", { attributes: { s: "x", t: true, f: false, i: 7, n: -7, d: 0.5, a: ["x", "", "y"] } }],
    ["empty attribute values", { attributes: { s: "", a: [], zero: 0 } }],
    ["no attributes at all", { attributes: {} }],
    ["names that are not ASCII", { attributes: { dienst·名: "größe 🚀" } }],
    ["an attribute value longer than 128 bytes", { attributes: { long: "x".repeat(300) } }],
    ["integers that fit no double", { attributes: { big: 2 ** 62, small: -(2 ** 63), over: 2 ** 63 } }],
    ["times of zero", { startUnixNs: 0n, timeUnixNs: 0n }],
    ["times past 2^53", { startUnixNs: 2n ** 53n + 1n, timeUnixNs: 2n ** 62n + 1n }],
    ["a Resource without attributes", { resource: { id: "", attributes: {} } }],
  ];
  for (const temporality of ["cumulative", "delta"] as const) {
    test.each(cases)(`%s (${temporality})`, (_, spec) => {
      const flows = [flow(spec)];

      const request = encodeOne(flows, temporality);

      expect(metricRequestOf(request.bytes)).toEqual(metricRequestOf(stockBytes(flows, METRICS, temporality)));
    });
  }

  test("many flows of many Resources, of any values", () => {
    fc.assert(
      fc.property(fc.array(anyFlow(), { minLength: 1, maxLength: 12 }), anyTemporality(), (flows, temporality) => {
        const request = encodeOne(flows, temporality);

        expect(metricRequestOf(request.bytes)).toEqual(metricRequestOf(stockBytes(flows, METRICS, temporality)));
      }),
      { numRuns: 200 },
    );
  });
});

test("a second request from the same flow objects has the same attributes and the new values", () => {
  const one = encoder();
  const before = flow({ counters: { bytesSent: 1 } });
  const after = {
    ...before,
    timeUnixNs: before.timeUnixNs + 15_000_000_000n,
    counters: before.counters.map((n) => n * 23),
  };
  const cold = [...one.encode([before])].map((request) => metricRequestOf(request.bytes));

  const warm = [...one.encode([after])].map((request) => metricRequestOf(request.bytes));

  expect({ cold, warm }).toEqual({
    cold: [metricRequestOf(stockBytes([before], METRICS, "cumulative"))],
    warm: [metricRequestOf(stockBytes([after], METRICS, "cumulative"))],
  });
});

test("a sum that can fall stays cumulative among deltas and claims no start", () => {
  const request = encodeOne([flow({ open: 23 })], "delta");

  const open = metricsOf(metricRequestOf(request.bytes)).find((metric) => metric.name === "t.open");

  expect(open?.sum).toMatchObject({ aggregationTemporality: 2, isMonotonic: false });
  expect(pointsOf(open).map((point) => point.startTimeUnixNano)).toEqual(["0"]);
});

test("two entries of the table with one name become one Metric", () => {
  const io = METRICS[0] as (typeof METRICS)[number];
  const metrics = [
    { ...io, roles: ["client"] as const },
    { ...io, roles: ["server"] as const, points: io.points.slice(1) },
  ];
  const flows = [flow({ role: "server", counters: { bytesReceived: 7 } }), flow({ counters: { bytesSent: 23 } })];

  const [request] = [...new FlowEncoder({ metrics, temporality: "cumulative", scope: SCOPE }).encode(flows)];

  const decoded = metricsOf(metricRequestOf(request?.bytes ?? new Uint8Array()));
  expect(decoded.map(({ name, sum }) => ({ name, values: sum?.dataPoints?.map((point) => point.asInt) }))).toEqual([
    { name: "t.io", values: ["23", "0", "7"] },
  ]);
});

test("a histogram metric that is read from a counter is refused by name", () => {
  const metric = { name: "t.wrong", unit: "s", description: "", instrument: "histogram" } as const;
  const metrics = [
    {
      metric,
      roles: ["client"] as const,
      points: [{ attributes: {}, from: { counter: "opened" } as const, emit: "always" as const }],
    },
  ];

  expect(() => new FlowEncoder({ metrics, temporality: "cumulative", scope: SCOPE })).toThrow(
    /t\.wrong is a histogram/,
  );
});

describe("exemplars", () => {
  const exemplar = {
    value: 0.125,
    timeUnixNs: 1_763_873_010_000_000_001n,
    traceId: "000102030405060708090a0b0c0d0e0f",
    spanId: "f0f1f2f3f4f5f6f7",
    filteredAttributes: { "source.port": 41000 },
  };
  const decoded = {
    filteredAttributes: [{ key: "source.port", value: { intValue: "41000" } }],
    timeUnixNano: "1763873010000000001",
    spanId: exemplar.spanId,
    traceId: exemplar.traceId,
  };

  test("of an RTT stand on its histogram point", () => {
    const spec = { rtt: histogram({ 67: 23 }, 2_875_000), exemplars: { rtt: [exemplar, exemplar] } };

    const request = encodeOne([flow(spec)]);

    const exemplars = metricsOf(metricRequestOf(request.bytes)).map((metric) => [
      metric.name,
      pointsOf(metric).flatMap((point) => point.exemplars),
    ]);
    expect(Object.fromEntries(exemplars)).toEqual({
      "t.io": [],
      "t.busy": [],
      "t.open": [],
      "t.duration": [],
      "t.rtt": [
        { ...decoded, asDouble: 0.125 },
        { ...decoded, asDouble: 0.125 },
      ],
    });
  });

  test("of retransmits stand once, on the first type that has counted", () => {
    const spec = {
      counters: { retransmitsSyn: 0, retransmitsFast: 23 },
      exemplars: { retransmits: [{ ...exemplar, value: 3 }] },
    };

    const request = encodeOne([flow(spec), flow({ counters: { retransmitsSyn: 1 } })]);

    const metric = metricsOf(metricRequestOf(request.bytes)).find(({ name }) => name === "t.retransmits");
    expect(pointsOf(metric).map(({ asInt, exemplars }) => ({ asInt, exemplars }))).toEqual([
      { asInt: "23", exemplars: [{ ...decoded, asInt: "3" }] },
      { asInt: "1", exemplars: [] },
    ]);
  });
});

describe("requests", () => {
  test("hold each flow whole and once, and stay below the limit", () => {
    fc.assert(
      fc.property(fc.array(anyFlow(), { maxLength: 40 }), fc.integer({ min: 2000, max: 9000 }), (flows, limit) => {
        const requests = [...encoder("cumulative", limit).encode(flows)];

        const sent = requests.flatMap((request) => request.flows);
        expect(new Set(sent)).toEqual(new Set(flows));
        expect(sent.length).toBe(flows.length);
        for (const request of requests) {
          if (request.flows.length > 1) expect(request.bytes.length).toBeLessThanOrEqual(limit);
          const decoded = metricRequestOf(request.bytes);
          expect(decoded).toEqual(metricRequestOf(stockBytes(request.flows, METRICS, "cumulative")));
          expect(request.points).toBe(metricsOf(decoded).reduce((sum, metric) => sum + pointsOf(metric).length, 0));
        }
      }),
      { numRuns: 60 },
    );
  });

  test("of 10,000 flows of one Resource fill 3.5 MiB and no more, also where more is asked for", () => {
    const flows = Array.from({ length: 10_000 }, (_, i) =>
      flow({ attributes: { peer: `workload-${i}`, padding: "x".repeat(100) } }),
    );

    const requests = [...encoder("cumulative", 1e9).encode(flows)];

    const mebibytes = requests.map((request) => request.bytes.length / 2 ** 20);
    expect(Math.max(...mebibytes)).toBeLessThanOrEqual(3.5);
    expect(Math.min(...mebibytes.slice(0, -1))).toBeGreaterThan(3);
    expect(requests.reduce((sum, request) => sum + request.flows.length, 0)).toBe(10_000);
  });

  test("of no flow do not exist", () => {
    expect([...encoder().encode([])]).toEqual([]);
  });

  test("leave out a Resource none of whose flows has a point to say", () => {
    const quiet: Resource = { id: "quiet", attributes: { name: "quiet" } };
    const metrics = METRICS.filter(({ metric }) => metric.name === "t.retransmits");
    const flows = [flow({ resource: quiet }), flow({ counters: { retransmitsSyn: 1 } })];

    const [request] = [...new FlowEncoder({ metrics, temporality: "cumulative", scope: SCOPE }).encode(flows)];

    expect(request?.flows).toEqual(flows);
    expect(
      metricRequestOf(request?.bytes ?? new Uint8Array()).resourceMetrics?.map((one) => one.resource?.attributes),
    ).toEqual([[{ key: "k8s.pod.name", value: { stringValue: "cart-1" } }]]);
  });
});

function metricsOf({ resourceMetrics = [] }: JsonMetricRequest): JsonMetric[] {
  return resourceMetrics.flatMap(({ scopeMetrics = [] }) => scopeMetrics.flatMap(({ metrics = [] }) => metrics));
}

function pointsOf(metric: JsonMetric | undefined): readonly JsonPoint[] {
  return (metric?.gauge ?? metric?.sum ?? metric?.exponentialHistogram)?.dataPoints ?? [];
}

function anyTemporality(): fc.Arbitrary<Temporality> {
  return fc.constantFrom("cumulative", "delta");
}

function anyFlow(): fc.Arbitrary<Flow> {
  const count = fc.oneof(fc.constant(0), fc.nat({ max: 1000 }), fc.nat({ max: Number.MAX_SAFE_INTEGER }));
  const time = fc.bigInt({ min: 0n, max: 2n ** 62n });
  return fc
    .record({
      resource: fc.constantFrom<Resource>(
        RESOURCE,
        { id: "b", attributes: { b: 1, list: ["x"] } },
        { id: "c", attributes: {} },
      ),
      attributes: anyAttributes(),
      role: fc.constantFrom("client" as const, "server" as const, "listener" as const),
      startUnixNs: time,
      timeUnixNs: time,
      counters: fc.array(count, { minLength: EDGE_COUNTERS.length, maxLength: EDGE_COUNTERS.length }),
      rtt: anyHistogram(RTT_SLOTS),
      duration: anyHistogram(DURATION_SLOTS),
      open: fc.nat({ max: 2 ** 32 - 1 }),
      limit: fc.nat({ max: 2 ** 32 - 1 }),
    })
    .map(({ counters, ...rest }) => ({ ...flow(rest), counters: Float64Array.from(counters) }));
}

function anyHistogram(slots: number) {
  const counts = fc.array(fc.tuple(fc.nat({ max: slots - 1 }), fc.nat({ max: 2 ** 40 })), { maxLength: 6 });
  return fc
    .tuple(counts, fc.nat({ max: 2 ** 50 }))
    .map(([entries, sumUs]) => histogram(Object.fromEntries(entries), sumUs));
}

/** Keys differ from those of points: flows and points share none. */
function anyAttributes(): fc.Arbitrary<Attributes> {
  const value = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.array(fc.string(), { maxLength: 3 }),
  );
  return fc.dictionary(
    fc.string({ minLength: 1 }).map((key) => `flow.${key}`),
    value,
    { maxKeys: 5, noNullPrototype: true },
  );
}
