/** A mistake in the model is named with its file, its path inside the file, and what to do about it. */
import { expect, test } from "vitest";
import { loadRegistry } from "../../../semconv/load.ts";
import { readUpstream } from "../../../semconv/upstream.ts";
import { FILE, load, metric, ownAttribute, problemsOf } from "./builders.ts";

const KEYS =
  "id, type, brief, note, stability, attributes, annotations, extends, metric_name, instrument, unit, entity_associations";
const STABILITIES = "development, alpha, beta, release_candidate, stable";
const UNKNOWN_NAME =
  "check the spelling against @opentelemetry/semantic-conventions 1.45.0, or define a name under flowspan.";

const PROGRAM = {
  ...{ id: "entity.flowspan.program", type: "entity", name: "flowspan.program", brief: "A program." },
  stability: "development",
  attributes: ["process.pid", "process.creation.time"].map((ref) => ({ ref, requirement_level: "required" })),
};
const CPU_TIME = metric({ metric_name: "process.cpu.time", unit: "s", entity_associations: ["process"] });

const MISTAKES: readonly {
  readonly mistake: string;
  readonly groups: readonly unknown[];
  readonly problem: { readonly path: string; readonly message: string; readonly remedy: string };
}[] = [
  {
    mistake: "an unknown field",
    groups: [metric({ units: "s" })],
    problem: { path: "groups[0].units", message: "is not a known field", remedy: `remove it, or use one of ${KEYS}` },
  },
  {
    mistake: "a missing brief",
    groups: [metric({ brief: undefined })],
    problem: { path: "groups[0].brief", message: "is missing", remedy: "say in one sentence what it is" },
  },
  {
    mistake: "an empty brief",
    groups: [metric({ brief: " " })],
    problem: { path: "groups[0].brief", message: 'is " "', remedy: "say in one sentence what it is" },
  },
  {
    mistake: "a metric without stability",
    groups: [metric({ stability: undefined })],
    problem: { path: "groups[0].stability", message: "is missing", remedy: `use one of ${STABILITIES}` },
  },
  {
    mistake: "a unit that is not UCUM in base form",
    groups: [metric({ unit: "seconds" })],
    problem: {
      path: "groups[0].unit",
      message: 'is "seconds"',
      remedy: 'use a UCUM unit in base form: s, By, "1", "{thing}", or one per other',
    },
  },
  {
    mistake: "an instrument that does not exist",
    groups: [metric({ instrument: "meter" })],
    problem: {
      path: "groups[0].instrument",
      message: 'is "meter"',
      remedy: "use one of counter, updowncounter, gauge, histogram",
    },
  },
  {
    mistake: "a group of unknown type",
    groups: [metric({ type: "trace" })],
    problem: {
      path: "groups[0].type",
      message: 'is "trace"',
      remedy: "use one of attribute_group, metric, entity, event, span",
    },
  },
  {
    mistake: "two metrics of one name",
    groups: [metric(), metric({ id: "metric.other" })],
    problem: {
      path: "groups[1].metric_name",
      message: "flowspan.test is defined twice",
      remedy: `rename it, or remove ${FILE} groups[0].metric_name`,
    },
  },
  {
    mistake: "two groups of one id",
    groups: [metric(), metric({ metric_name: "flowspan.other" })],
    problem: {
      path: "groups[1].id",
      message: "metric.flowspan.test is defined twice",
      remedy: `rename it, or remove ${FILE} groups[0].id`,
    },
  },
  {
    mistake: "a metric in a namespace that is not ours",
    groups: [metric({ metric_name: "network.tcp.io" })],
    problem: {
      path: "groups[0].metric_name",
      message: "network.tcp.io is not ours to define",
      remedy: "use the name of a released metric, or one under flowspan.",
    },
  },
  {
    mistake: "an attribute in a namespace that is not ours",
    groups: [ownAttribute({ id: "network.color" })],
    problem: {
      path: "groups[0].attributes[0].id",
      message: "network.color is not ours to define",
      remedy: "use a name under flowspan., or say which specification has it: annotations.flowspan.defined_by",
    },
  },
  {
    mistake: "a definition of what is released",
    groups: [ownAttribute({ id: "server.port", type: "int", examples: [80] })],
    problem: {
      path: "groups[0].attributes[0].id",
      message: "server.port is released",
      remedy: "use `ref` for it",
    },
  },
  {
    mistake: "a text without examples",
    groups: [ownAttribute({ examples: undefined })],
    problem: {
      path: "groups[0].attributes[0].examples",
      message: "is missing",
      remedy: "write a list of type string",
    },
  },
  {
    mistake: "a list of texts without examples",
    groups: [ownAttribute({ type: "string[]", examples: undefined })],
    problem: {
      path: "groups[0].attributes[0].examples",
      message: "is missing",
      remedy: "write a list of lists: [[one, other]]",
    },
  },
  {
    mistake: "a text as the example of a list",
    groups: [ownAttribute({ type: "string[]", examples: ["red"] })],
    problem: {
      path: "groups[0].attributes[0].examples",
      message: 'is ["red"]',
      remedy: "write a list of lists: [[one, other]]",
    },
  },
  {
    mistake: "a number as the example of a text",
    groups: [ownAttribute({ examples: ["red", 23] })],
    problem: {
      path: "groups[0].attributes[0].examples",
      message: 'is ["red",23]',
      remedy: "write a list of type string",
    },
  },
  {
    mistake: "a fraction as the example of a whole number",
    groups: [ownAttribute({ type: "int", examples: [2.5] })],
    problem: { path: "groups[0].attributes[0].examples", message: "is [2.5]", remedy: "write a list of type int" },
  },
  {
    mistake: "one example that stands in no list",
    groups: [ownAttribute({ type: "boolean", examples: true })],
    problem: { path: "groups[0].attributes[0].examples", message: "is true", remedy: "write a list of type boolean" },
  },
  {
    mistake: "an attribute that a group names twice",
    groups: [metric({ attributes: [{ ref: "server.port" }, { ref: "server.port" }] })],
    problem: {
      path: "groups[0].attributes[1]",
      message: 'is "server.port" again',
      remedy: "name each attribute once in a group",
    },
  },
  {
    mistake: "a Resource without attributes",
    groups: [{ ...PROGRAM, attributes: undefined }],
    problem: {
      path: "groups[0].attributes",
      message: "is missing",
      remedy: "a group of this type has attributes or extends one that has",
    },
  },
  {
    mistake: "a released metric that does not say what it is of",
    groups: [PROGRAM, { ...CPU_TIME, entity_associations: undefined }],
    problem: {
      path: "groups[1].entity_associations",
      message: "lacks process",
      remedy: "the conventions have process.cpu.time there: add it",
    },
  },
  {
    mistake: "a metric of what no Resource says",
    groups: [CPU_TIME],
    problem: {
      path: "groups[0].entity_associations",
      message: "no Resource has process.pid and process.creation.time",
      remedy: "add them to an entity in resources.yaml",
    },
  },
  {
    mistake: "a metric of what a Resource says only in part",
    groups: [{ ...PROGRAM, attributes: PROGRAM.attributes.slice(1) }, CPU_TIME],
    problem: {
      path: "groups[1].entity_associations",
      message: "no Resource has process.pid and process.creation.time",
      remedy: "add them to an entity in resources.yaml",
    },
  },
  {
    mistake: "a metric of an entity that nobody knows",
    groups: [metric({ entity_associations: ["flowspan.brush"] })],
    problem: {
      path: "groups[0].entity_associations",
      message: "no entity flowspan.brush is known",
      remedy: "add it to upstream.ts",
    },
  },
  {
    mistake: "a metric of one entity that is no list",
    groups: [metric({ entity_associations: "process" })],
    problem: {
      path: "groups[0].entity_associations",
      message: 'is "process"',
      remedy: "list names",
    },
  },
  {
    mistake: "a reference to a name that OpenTelemetry never released",
    groups: [metric({ attributes: [{ ref: "network.tcp.role" }] })],
    problem: {
      path: "groups[0].attributes[0].ref",
      message: "network.tcp.role does not exist",
      remedy: UNKNOWN_NAME,
    },
  },
  {
    mistake: "a reference to a name of ours that nothing defines",
    groups: [metric({ attributes: [{ ref: "flowspan.color" }] })],
    problem: {
      path: "groups[0].attributes[0].ref",
      message: "flowspan.color does not exist",
      remedy: "define it in attributes.yaml",
    },
  },
  {
    mistake: "a value that a released enum does not have",
    groups: [
      metric({
        attributes: [
          { ref: "network.io.direction", annotations: { flowspan: { values: [{ value: "up", brief: "Up." }] } } },
        ],
      }),
    ],
    problem: {
      path: "groups[0].attributes[0].annotations.flowspan.values[0].value",
      message: "up is no released value of network.io.direction",
      remedy: "use one of receive, transmit",
    },
  },
  {
    mistake: "an enum without members",
    groups: [ownAttribute({ type: { members: [] } })],
    problem: {
      path: "groups[0].attributes[0].type.members",
      message: "is empty",
      remedy: "list the members, each with id, value and brief",
    },
  },
  {
    mistake: "a requirement level that does not exist",
    groups: [metric({ attributes: [{ ref: "server.port", requirement_level: "always" }] })],
    problem: {
      path: "groups[0].attributes[0].requirement_level",
      message: 'is "always"',
      remedy: "use required, recommended, opt_in or `conditionally_required: if …`",
    },
  },
  {
    mistake: "a base group that does not exist",
    groups: [metric({ extends: "attributes.none" })],
    problem: {
      path: "groups[0].extends",
      message: "no group attributes.none exists",
      remedy: "name the id of an attribute_group",
    },
  },
];

test.each(MISTAKES)("$mistake is reported", ({ groups, problem }) => {
  expect(problemsOf(...groups)).toEqual([problem]);
});

test("a problem names the file it is in", () => {
  const loaded = load(metric({ brief: undefined }));

  expect(loaded).toEqual({ problems: [expect.objectContaining({ file: FILE })] });
});

test("every mistake is reported at once, not only the first", () => {
  const problems = problemsOf(metric({ brief: undefined, unit: undefined }), 23);

  expect(problems.map(({ path }) => path)).toEqual(["groups[0].brief", "groups[0].unit", "groups[1].type"]);
});

test("a file that is no YAML is reported with its line", () => {
  const loaded = loadRegistry(new Map([[FILE, "groups:\n  - id: [\n"]]), readUpstream());

  expect(loaded).toEqual({ problems: [expect.objectContaining({ file: FILE, path: "line 3" })] });
});
