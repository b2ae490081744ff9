import { expect, test } from "vitest";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import { FLOW_METRICS } from "../../../agent/series/instruments.ts";

const POINTS = FLOW_METRICS.flatMap(({ metric, points }) => points.map((point) => ({ metric, ...point })));

test("every counter of an edge is in exactly one point, sums of histograms in their histogram", () => {
  const counters = POINTS.flatMap(({ from }) => ("counter" in from ? [from.counter] : []));
  const histograms = POINTS.flatMap(({ from }) => ("histogram" in from ? [`${from.histogram}Us`] : []));

  expect([...counters, ...histograms].sort()).toEqual([...EDGE_COUNTERS].sort());
});

test("no two points of a metric have the same attributes", () => {
  const keys = POINTS.map(({ metric, attributes }) => JSON.stringify([metric.name, attributes]));

  expect(new Set(keys).size).toBe(keys.length);
});

test("a metric's instrument fits what its points are read from", () => {
  const kinds = POINTS.map(({ metric, from }) => {
    const read = "counter" in from ? "counter" : "gauge" in from ? "updowncounter" : "histogram";
    return { name: metric.name, declared: metric.instrument, read };
  });

  expect(kinds.filter(({ declared, read }) => declared !== read)).toEqual([]);
});
