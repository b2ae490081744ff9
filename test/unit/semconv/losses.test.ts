/** The rows of losses: what comes of one, and what is missing in one. */
import { expect, test } from "vitest";
import { LOSS_NAMES } from "../../../agent/generated/layout.ts";
import { generate } from "../../../semconv/generate.ts";
import { readLosses, renderEnum } from "../../../semconv/losses.ts";
import type { Attribute, Member, Registry } from "../../../semconv/types.ts";

const registryOf = (...members: Member[]): Registry => {
  const attribute: Attribute = {
    name: "flowspan.loss.reason",
    type: "enum",
    members,
    brief: "",
    note: "",
    stability: "development",
    examples: [],
    origin: "flowspan",
  };
  return {
    attributes: new Map([[attribute.name, attribute]]),
    metrics: [],
    resources: [],
    events: [],
    spans: [],
    entities: [],
  } as unknown as Registry;
};
const row = (value: string, where: string): Member => ({
  id: value,
  value,
  brief: "A thing.",
  note: "It rains.",
  annotations: { flowspan: { where, remedy: "Go home." } },
});

test("a row of the kernel is a value of the C enum in its order, one of the agent a name of its list, and nothing else is asked", () => {
  const read = readLosses(
    registryOf(row("cellar_wet", "hooks"), row("roof_wet_detail", "probe"), row("coat_wet", "agent")),
  );

  const losses = "losses" in read ? read.losses : [];
  expect(losses[0]).toEqual({
    name: "cellar_wet",
    where: "hooks",
    when: "It rains.",
    lost: "A thing.",
    remedy: "Go home.",
    severity: "warning",
  });
  expect(renderEnum(losses)).toContain(
    [
      "enum loss {",
      "\t/* It rains. */",
      "\tLOSS_CELLAR_WET = 0,",
      "\t/* It rains. */",
      "\tLOSS_ROOF_WET_DETAIL,",
      "\tLOSS_COUNT,",
      "};",
    ].join("\n"),
  );
});

test("what a row lacks is a problem, by its name", () => {
  const { note: _, ...without } = row("cellar_wet", "garage");

  expect(readLosses(registryOf({ ...without, annotations: { flowspan: { where: "garage" } } }))).toEqual({
    problems: [
      { file: "losses.yaml", path: "cellar_wet", message: "has no note", remedy: "say when it happens" },
      {
        file: "losses.yaml",
        path: "cellar_wet",
        message: "has no annotations.flowspan.remedy",
        remedy: "say what its reader can do",
      },
      {
        file: "losses.yaml",
        path: "cellar_wet",
        message: "has no annotations.flowspan.where",
        remedy: "use one of hooks, tables, probe, agent",
      },
    ],
  });
});

test("a loss of detail alerts as info and any other as a warning, unless its row says otherwise", () => {
  const of = (name: string, severity?: string) => {
    const plain = row(name, "agent");
    const flowspan = { ...plain.annotations?.flowspan, ...(severity !== undefined && { severity }) };
    return { ...plain, annotations: { flowspan } };
  };
  const read = readLosses(
    registryOf(of("roof_gone"), of("roof_gone_detail"), of("dust", "none"), of("dust_detail", "warning")),
  );

  const severities = "losses" in read ? read.losses.map(({ name, severity }) => [name, severity]) : read;
  expect(severities).toEqual([
    ["roof_gone", "warning"],
    ["roof_gone_detail", "info"],
    ["dust", "none"],
    ["dust_detail", "warning"],
  ]);
  expect(readLosses(registryOf(of("roof_gone", "fatal")))).toEqual({
    problems: [
      {
        file: "losses.yaml",
        path: "roof_gone",
        message: "has no such severity as fatal",
        remedy: "use one of warning, info, none",
      },
    ],
  });
});

test("a row of the kernel behind one of the agent is a problem: the numbers go by the order", () => {
  expect(readLosses(registryOf(row("coat_wet", "agent"), row("cellar_wet", "hooks")))).toEqual({
    problems: [
      {
        file: "losses.yaml",
        path: "cellar_wet",
        message: "follows a loss of the agent",
        remedy: "put it before those",
      },
    ],
  });
});

test("the numbers on the wire are the rows of the model, one by one", () => {
  const generated = generate();

  const header = ("texts" in generated && generated.texts.get("bpf/contract/losses.h")) || "";
  const names = [...header.matchAll(/^\tLOSS_(\w+?)(?: = 0)?,$/gm)].map(([, name = ""]) => name.toLowerCase());
  expect(names).toEqual([...LOSS_NAMES, "count"]);
});
