import { expect, test } from "vitest";
import { pointsOfFile } from "../../otlp/metric-points.ts";
import { backwardPoints, type Point, seriesTotals, total } from "../../otlp/oracle.ts";

/** A point of one series from `start` to `time`, in whatever unit. */
function point(start: number, time: number, value: number, kind: Point["kind"] = "cumulative"): Point {
  const series = { metric: "bytes", resource: { pod: "a" }, attributes: { peer: "b" } };
  return { ...series, startUnixNs: BigInt(start), timeUnixNs: BigInt(time), value, kind };
}

test.each<[string, Point[], number]>([
  ["the last value of a run counts", [point(0, 10, 5), point(0, 20, 7)], 7],
  ["runs that follow each other add up", [point(0, 10, 5), point(10, 20, 7)], 12],
  ["a run seen later supersedes what came after its start", [point(0, 10, 5), point(0, 20, 7), point(10, 30, 4)], 9],
  ["a run that starts before another's first point supersedes it whole", [point(5, 10, 5), point(4, 20, 7)], 7],
  [
    "a run superseded by the one after the next is cut there too",
    [point(0, 10, 5), point(0, 20, 7), point(20, 30, 1), point(10, 40, 9)],
    14,
  ],
  ["deltas add up", [point(0, 10, 5, "delta"), point(10, 20, 7, "delta")], 12],
  ["a repeated delta supersedes", [point(0, 10, 5, "delta"), point(0, 20, 7, "delta"), point(20, 30, 1, "delta")], 8],
  ["of a gauge the last value counts", [point(0, 10, 5, "moment"), point(0, 20, 3, "moment")], 3],
])("%s", (_, points, value) => {
  expect(seriesTotals(points).map((series) => series.value)).toEqual([value]);
});

test("a value that shrinks within a run is found, one under a new start is not", () => {
  const shrunk = point(0, 20, 4);

  expect(backwardPoints([point(0, 10, 5), shrunk, point(20, 30, 1)])).toEqual([shrunk]);
});

test("the file of a Collector is read: sums, gauges and exponential histograms, up to its last whole line", () => {
  const attributes = [{ key: "port", value: { intValue: "80" } }];
  const times = { attributes, startTimeUnixNano: "1700000000000000001", timeUnixNano: "1700000000000000002" };
  const metrics = [
    { name: "io", sum: { dataPoints: [{ ...times, asInt: "23" }], aggregationTemporality: 2, isMonotonic: true } },
    { name: "time", sum: { dataPoints: [{ ...times, asDouble: 0.5 }], aggregationTemporality: 1, isMonotonic: true } },
    { name: "open", sum: { dataPoints: [{ ...times, asInt: "3" }], aggregationTemporality: 2 } },
    { name: "ratio", gauge: { dataPoints: [{ ...times, asDouble: 1 }] } },
    {
      name: "rtt",
      exponentialHistogram: {
        dataPoints: [
          { ...times, count: "5", sum: 0.25, scale: 3, positive: { offset: -4, bucketCounts: ["2", "0", "3"] } },
        ],
        aggregationTemporality: 2,
      },
    },
  ];
  const resource = { attributes: [{ key: "pod", value: { stringValue: "a" } }] };
  const line = JSON.stringify({ resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] });

  const points = pointsOfFile(`${line}\n${line.slice(0, 50)}`);

  const common = {
    ...{ scope: "", unit: "", scale: undefined, count: undefined, exemplars: [] },
    resource: { pod: "a" },
    attributes: { port: 80 },
    startUnixNs: 1700000000000000001n,
    timeUnixNs: 1700000000000000002n,
  };
  expect(points).toEqual([
    { ...common, metric: "io", instrument: "sum", kind: "cumulative", value: 23 },
    { ...common, metric: "time", instrument: "sum", kind: "delta", value: 0.5 },
    { ...common, metric: "open", instrument: "sum", kind: "moment", value: 3 },
    { ...common, metric: "ratio", instrument: "gauge", kind: "moment", value: 1 },
    {
      ...common,
      metric: "rtt",
      instrument: "exponential_histogram",
      scale: 3,
      count: 5,
      kind: "cumulative",
      value: 0.25,
      buckets: new Map([
        [-4, 2],
        [-2, 3],
      ]),
    },
  ]);
  const totals = seriesTotals(points);
  expect([total(totals, "io", { pod: "a", port: 80 }), total(totals, "io", { port: 81 })]).toEqual([23, 0]);
});
