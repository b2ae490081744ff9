/** What may be written in the model: names that are released or that a specification has, imports, examples of each type. */
import { expect, test } from "vitest";
import { loadFile, metric, ownAttribute, problemsOf, registryOf } from "./builders.ts";

const PROGRAM = {
  ...{ id: "entity.flowspan.program", type: "entity", name: "flowspan.program", brief: "A program." },
  stability: "development",
  attributes: ["process.pid", "process.creation.time"].map((ref) => ({ ref, requirement_level: "required" })),
};
const CPU_TIME = metric({ metric_name: "process.cpu.time", unit: "s", entity_associations: ["process"] });

test.each([["service.peer.name"], ["service.peer.namespace"], ["k8s.pod.label"], ["network.io.direction"]])(
  "the released name %s can be referred to",
  (ref) => {
    expect(problemsOf(metric({ attributes: [{ ref }] }))).toEqual([]);
  },
);

test("a released metric needs no name of ours where a Resource says what it is of", () => {
  expect(problemsOf(PROGRAM, CPU_TIME)).toEqual([]);
});

test("a metric of a released entity needs the entity imported", () => {
  expect(loadFile({ groups: [PROGRAM, CPU_TIME] })).toEqual({
    problems: [expect.objectContaining({ message: "no file imports the entity process" })],
  });
});

test.each([
  ["imports", []],
  ["imports.spans", { spans: ["a"] }],
  ["imports.entities", { entities: "process" }],
])("a wrong %s is a problem", (path, imports) => {
  expect(loadFile({ groups: [], imports })).toEqual({ problems: [expect.objectContaining({ path })] });
});

test("a name that a specification has is defined with that specification's address", () => {
  const annotations = { flowspan: { defined_by: "https://example.com/colors" } };

  const registry = registryOf(ownAttribute({ id: "network.color", annotations }));

  expect(registry.attributes.get("network.color")?.origin).toBe("https://example.com/colors");
});

test.each([
  ["string", ["red"]],
  ["int", [23]],
  ["double", [0.5, 1]],
  ["boolean", [false]],
  ["string[]", [["red", "green"], []]],
  ["int", undefined],
])("examples of type %s are right: %j", (type, examples) => {
  expect(problemsOf(ownAttribute({ type, examples }))).toEqual([]);
});
