/** Own metrics as deltas: what the Collector did not take comes again with the next request. */
import { type AggregationOption, AggregationType, InstrumentType, MeterProvider } from "@opentelemetry/sdk-metrics";
import { expect, test } from "vitest";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";
import { seriesTotals } from "../../otlp/oracle.ts";
import { receivingReader } from "./receiving-reader.ts";

function start() {
  const receiving = receivingReader("delta");
  const provider = new MeterProvider({
    readers: [receiving.reader],
    views: [{ instrumentType: InstrumentType.HISTOGRAM, aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });
  return { ...receiving, receiving, provider, meter: provider.getMeter("test") };
}

/** Names, values and whether each begins where the one before it ended. */
function shown(points: readonly ReceivedPoint[]) {
  return points.map(({ value, startUnixNs }, i) => [value, i === 0 || startUnixNs === points[i - 1]?.timeUnixNs]);
}

test("a sum that the Collector did not take is in the next delta, which begins where the last accepted one ended", async () => {
  const { receiving, points, provider, meter } = start();
  let lost = 3;
  meter.createObservableCounter("losses").addCallback((result) => result.observe(lost));

  await provider.forceFlush();
  receiving.isAway = true;
  lost += 5;
  await provider.forceFlush().catch(() => {});
  receiving.isAway = false;
  lost += 7;
  await provider.forceFlush();
  await provider.shutdown();

  expect(shown(points)).toEqual([
    [3, true],
    [12, true],
    [0, true],
  ]);
});

test("a histogram's growth is what was recorded since, bucket by bucket, also where its scale has shrunk", async () => {
  const { receiving, points, provider, meter } = start();
  const histogram = meter.createHistogram("duration");

  for (const value of [1, 1.001, 1.5]) histogram.record(value);
  await provider.forceFlush();
  receiving.isAway = true;
  histogram.record(1e6);
  await provider.forceFlush().catch(() => {});
  receiving.isAway = false;
  histogram.record(1);
  histogram.record(0);
  await provider.forceFlush();
  await provider.forceFlush();
  await provider.shutdown();

  const [first, second] = points;
  expect(points.map(({ count, value }) => [count, value])).toEqual([
    [3, 3.501],
    [3, 1_000_001],
  ]);
  expect((first?.scale ?? 0) > (second?.scale ?? 0)).toBe(true);
  const middles = (point: ReceivedPoint | undefined) =>
    [...(point?.buckets ?? [])].flatMap(([index, count]) =>
      Array<number>(count).fill(
        index === Number.NEGATIVE_INFINITY ? 0 : 2 ** ((index + 0.5) / 2 ** (point?.scale ?? 0)),
      ),
    );
  const [zero, one, million] = middles(second);
  expect([zero, Math.round(one ?? 0), Math.abs((million ?? 0) / 1e6 - 1) < 0.05]).toEqual([0, 1, true]);
});

test("so is that of one with explicit buckets", async () => {
  const receiving = receivingReader("delta");
  const aggregation: AggregationOption = {
    type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
    options: { boundaries: [1, 2] },
  };
  const views = [{ instrumentType: InstrumentType.HISTOGRAM, aggregation }];
  const provider = new MeterProvider({ readers: [receiving.reader], views });
  const histogram = provider.getMeter("test").createHistogram("duration");

  for (const value of [1, 2, 23]) histogram.record(value);
  await provider.forceFlush();
  receiving.isAway = true;
  histogram.record(2);
  await provider.forceFlush().catch(() => {});
  receiving.isAway = false;
  histogram.record(1);
  await provider.forceFlush();
  await provider.shutdown();

  expect(receiving.points.map(({ count, value, buckets, kind }) => [kind, count, value, [...(buckets ?? [])]])).toEqual(
    [
      [
        "delta",
        3,
        26,
        [
          [0, 1],
          [1, 1],
          [2, 1],
        ],
      ],
      [
        "delta",
        2,
        3,
        [
          [0, 1],
          [1, 1],
        ],
      ],
    ],
  );
});

test("what a reader adds up is what was counted, whatever the Collector took", async () => {
  const { receiving, points, provider, meter } = start();
  const counter = meter.createCounter("records");
  const level = meter.createUpDownCounter("pending");

  for (let i = 0; i < 20; i++) {
    receiving.isAway = i % 3 !== 0;
    counter.add(i);
    level.add(1);
    await provider.forceFlush().catch(() => {});
  }
  receiving.isAway = false;
  await provider.shutdown();

  expect(Object.fromEntries(seriesTotals(points).map(({ metric, value }) => [metric, value]))).toEqual({
    records: 190,
    pending: 20,
  });
});
