/** Explicit buckets end where the kernel's do, so that every count is exact; our bytes mean what the stock serializer's mean. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DURATION_SLOTS, HANDSHAKE_SLOTS, HISTOGRAM_SCALE, RTT_SLOTS } from "../../../agent/generated/layout.ts";
import { FlowEncoder } from "../../../agent/otlp/encode.ts";
import { EXPLICIT_BOUNDS, explicitCounts } from "../../../agent/otlp/explicit.ts";
import { metricRequestOf } from "../../otlp/protobuf.ts";
import { type FlowSpec, flow, histogram, METRICS, SCOPE } from "./flows.ts";
import { stockBytes } from "./stock.ts";

const SLOTS = { handshake: HANDSHAKE_SLOTS, rtt: RTT_SLOTS, duration: DURATION_SLOTS } as const;
const NAMES = ["handshake", "rtt", "duration"] as const;

/** The kernel's bucket of a value, from the contract: 2^(i/4) < v <= 2^((i+1)/4). */
function slotOf(valueUs: number, slots: number): number {
  let slot = 0;
  while (valueUs > 2 ** ((slot + 1) / 2 ** HISTOGRAM_SCALE)) slot++;
  return Math.min(slot, slots - 1);
}

test.each(NAMES)("each value of %s is counted in the bucket that it belongs to, over the whole range", (name) => {
  const slots = SLOTS[name];
  const bounds = EXPLICIT_BOUNDS[name];
  const nearBounds = bounds.seconds.flatMap((bound) => [-1, 0, 1].map((more) => Math.round(bound * 1e6) + more));
  const values = fc.oneof(
    fc.constantFrom(...nearBounds),
    fc.integer({ min: 1, max: 5000 }),
    fc.double({ min: 0, max: slots / 4 + 2, noNaN: true }).map((exponent) => Math.max(1, Math.floor(2 ** exponent))),
  );
  fc.assert(
    fc.property(fc.array(values, { maxLength: 23 }), (valuesUs) => {
      const bySlot = new Map<number, number>();
      for (const value of valuesUs) bySlot.set(slotOf(value, slots), (bySlot.get(slotOf(value, slots)) ?? 0) + 1);
      const pairs = [...bySlot].sort(([a], [b]) => a - b).flat();

      const counts = explicitCounts({ pairs, length: pairs.length }, bounds);

      const ownCounts = new Array(bounds.seconds.length + 1).fill(0);
      for (const value of valuesUs) {
        const bucket = bounds.seconds.findIndex((bound) => value <= Math.round(bound * 1e6));
        ownCounts[bucket < 0 ? bounds.seconds.length : bucket]++;
      }
      expect(counts).toEqual(ownCounts);
    }),
    { numRuns: 2000 },
  );
});

test.each(NAMES)("%s has 16 to 20 bounds, all below the kernel's last slot, which takes what is longer", (name) => {
  const { seconds, slots } = EXPLICIT_BOUNDS[name];

  expect(seconds.length).toBeGreaterThanOrEqual(16);
  expect(seconds.length).toBeLessThanOrEqual(20);
  expect(slots.at(-1)).toBeLessThanOrEqual(SLOTS[name] - 1);
});

describe("our bytes mean what the stock serializer's bytes mean", () => {
  const exemplar = {
    value: 0.125,
    timeUnixNs: 1_763_873_010_000_000_001n,
    traceId: "000102030405060708090a0b0c0d0e0f",
    spanId: "f0f1f2f3f4f5f6f7",
    filteredAttributes: { "source.port": 41000 },
  };
  const cases: readonly (readonly [string, FlowSpec])[] = [
    ["counts in a few buckets", { rtt: histogram({ 30: 7, 31: 1, 32: 5, 40: 200_000 }, 123_457) }],
    ["counts that pass 32 bits", { rtt: histogram({ 0: 2 ** 40 + 1, 111: 1 }, 2 ** 50) }],
    ["both sides of one second", { duration: histogram({ 79: 1, 80: 2, 159: 3 }, 9) }],
    ["no count at all", { duration: histogram({}, 0) }],
    ["no attributes", { attributes: {}, rtt: histogram({ 30: 7 }, 1) }],
  ];
  for (const temporality of ["cumulative", "delta"] as const) {
    test.each(cases)(`%s (${temporality})`, (_, spec) => {
      const encoder = new FlowEncoder({ metrics: METRICS, temporality, histograms: "explicit", scope: SCOPE });
      const flows = [flow(spec)];

      const [request] = [...encoder.encode(flows)];

      const stock = stockBytes(flows, METRICS, temporality, "explicit");
      expect(metricRequestOf(request?.bytes ?? new Uint8Array())).toEqual(metricRequestOf(stock));
    });
  }

  test("exemplars stand on the histogram's point", () => {
    const encoder = new FlowEncoder({
      metrics: METRICS,
      temporality: "cumulative",
      histograms: "explicit",
      scope: SCOPE,
    });

    const flows = [flow({ rtt: histogram({ 67: 23 }, 2_875_000), exemplars: { rtt: [exemplar, exemplar] } })];
    const [request] = [...encoder.encode(flows)];

    const metrics = metricRequestOf(request?.bytes ?? new Uint8Array()).resourceMetrics?.[0]?.scopeMetrics?.[0]
      ?.metrics;
    const rtt = metrics?.find(({ name }) => name === "t.rtt")?.histogram?.dataPoints?.[0];
    const { traceId, spanId } = exemplar;
    expect(rtt?.exemplars).toMatchObject([
      { traceId, spanId, asDouble: 0.125 },
      { traceId, spanId, asDouble: 0.125 },
    ]);
    expect(rtt?.attributes).toEqual(expect.arrayContaining([expect.objectContaining({ key: "peer" })]));
  });

  test("requests of many flows stay below their limit", () => {
    const options = { metrics: METRICS, temporality: "cumulative", histograms: "explicit", scope: SCOPE } as const;
    const encoder = new FlowEncoder({ ...options, maxRequestBytes: 5000 });
    const flows = Array.from({ length: 101 }, (_, i) =>
      flow({ attributes: { peer: `${i}` }, rtt: histogram({ [i]: 23 }, 1), duration: histogram({ [i]: 2 ** 40 }, 1) }),
    );

    const requests = [...encoder.encode(flows)];

    expect(requests.flatMap(({ flows }) => flows).length).toBe(101);
    expect(requests.filter(({ bytes }) => bytes.length > 5000)).toEqual([]);
  });
});
