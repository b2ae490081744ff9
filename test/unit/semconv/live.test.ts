/** What is sent and is not in the model is a finding; what the model has is none. */
import { expect, test } from "vitest";
import { LiveCheck, type SentPoint, type SentSpan } from "../../../semconv/live.ts";
import { readUpstream } from "../../../semconv/upstream.ts";
import { metric, ownAttribute, registryOf } from "./builders.ts";

const REGISTRY = registryOf(
  ownAttribute({
    type: { members: [{ id: "red", value: "red", brief: "As blood.", stability: "development" }] },
  }),
  { ...ownAttribute({ id: "flowspan.coats", type: "int", examples: [2] }), id: "registry.coats" },
  { ...ownAttribute({ id: "flowspan.tools", type: "string[]", examples: [["brush"]] }), id: "registry.tools" },
  metric({
    attributes: [
      { ref: "flowspan.color", requirement_level: "required" },
      { ref: "flowspan.coats" },
      { ref: "network.io.direction" },
      { ref: "error.type" },
    ],
  }),
  metric({
    ...{ id: "metric.process.cpu.time", metric_name: "process.cpu.time", unit: "s" },
    entity_associations: ["process"],
  }),
  {
    ...{ id: "entity.flowspan.program", type: "entity", name: "flowspan.program", brief: "A program." },
    stability: "development",
    attributes: ["process.pid", "process.creation.time"].map((ref) => ({ ref, requirement_level: "required" })),
  },
  {
    ...{ id: "span.flowspan.paint", type: "span", span_kind: "internal", brief: "Painting." },
    stability: "development",
    attributes: [{ ref: "flowspan.tools", requirement_level: "required" }],
    annotations: { flowspan: { name: "paint" } },
  },
  {
    ...{ id: "event.flowspan.drip", type: "event", name: "flowspan.drip", brief: "A drop." },
    stability: "development",
    attributes: [{ ref: "flowspan.color", requirement_level: "required" }],
  },
);
const POINT: SentPoint = {
  ...{ metric: "flowspan.test", unit: "{test}", instrument: "sum", kind: "cumulative" },
  ...{ attributes: { "flowspan.color": "red" }, resource: { "service.name": "painter" } },
};
const SPAN: SentSpan = {
  ...{ name: "paint", kind: "internal", attributes: { "flowspan.tools": ["brush"] }, resource: {} },
  events: [{ name: "flowspan.drip", attributes: { "flowspan.color": "red" } }],
};

function findings(points: readonly SentPoint[], spans: readonly SentSpan[] = []): readonly string[] {
  const check = new LiveCheck(REGISTRY, readUpstream());
  check.addPoints(points);
  check.addSpans(spans);
  return check.findings;
}

const withAttributes = (attributes: SentPoint["attributes"]) => ({
  ...POINT,
  attributes: { ...POINT.attributes, ...attributes },
});

test("what the model has is no finding", () => {
  const full = withAttributes({ "flowspan.coats": 2, "network.io.direction": "transmit", "error.type": "anything" });

  expect(findings([POINT, full, { ...POINT, resource: { team: "painters" } }], [SPAN])).toEqual([]);
});

test.each<[string, SentPoint, string]>([
  ["a metric", { ...POINT, metric: "flowspan.paint" }, "flowspan.paint is a metric that the model does not have"],
  ["a unit", { ...POINT, unit: "By" }, "flowspan.test is sent in By, not {test}"],
  ["a gauge", { ...POINT, instrument: "gauge", kind: "moment" }, "flowspan.test is sent as a gauge, not counter"],
  ["what can fall", { ...POINT, kind: "moment" }, "flowspan.test is sent as a updowncounter, not counter"],
  [
    "a released attribute of other metrics",
    withAttributes({ "server.port": 80 }),
    "flowspan.test has no attribute server.port in the model",
  ],
  [
    "a value",
    withAttributes({ "flowspan.color": "blue" }),
    'flowspan.test says flowspan.color="blue", a value that the model does not have',
  ],
  [
    "a value of a released enum",
    withAttributes({ "network.io.direction": "up" }),
    'flowspan.test says network.io.direction="up", a value that the model does not have',
  ],
  ["a type", withAttributes({ "flowspan.coats": 1.5 }), "flowspan.test says flowspan.coats=1.5, which is no int"],
  [
    "nothing where something is required",
    { ...POINT, attributes: {} },
    "flowspan.test lacks flowspan.color, which it requires",
  ],
  [
    "an attribute of ours on a Resource",
    { ...POINT, resource: { "flowspan.color": "red" } },
    "a Resource has no attribute flowspan.color in the model",
  ],
])("a point with %s that the model does not have is a finding", (_, point, finding) => {
  expect(findings([point, point])).toEqual([finding]);
});

test("a metric of a process needs a Resource that says which", () => {
  const point = { ...POINT, metric: "process.cpu.time", unit: "s", attributes: {} };
  const resource = { "process.pid": 23, "process.creation.time": "2026-11-29T23:29:31.101Z" };

  expect(findings([{ ...point, resource }])).toEqual([]);
  expect(findings([{ ...point, resource: { "process.pid": 23 } }])).toEqual([
    "process.cpu.time is of process, but its Resource lacks process.creation.time",
  ]);
});

test.each<[string, Partial<SentSpan>, string]>([
  ["a name", { name: "scrape" }, "scrape (internal) is a span that the model does not have"],
  ["a kind", { kind: "client" }, "paint (client) is a span that the model does not have"],
  [
    "no list",
    { attributes: { "flowspan.tools": "brush" } },
    'paint (internal) says flowspan.tools="brush", which is no string[]',
  ],
  [
    "an event",
    { events: [{ name: "flowspan.spill", attributes: {} }] },
    "flowspan.spill is an event that the model does not have",
  ],
  [
    "an event without what it requires",
    { events: [{ name: "flowspan.drip", attributes: {} }] },
    "flowspan.drip lacks flowspan.color, which it requires",
  ],
])("a span with %s that the model does not have is a finding", (_, fields, finding) => {
  expect(findings([], [{ ...SPAN, ...fields }])).toEqual([finding]);
});
