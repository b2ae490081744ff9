/** The registry of findings: what comes of a row, what is refused, and that each has its runbook. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { FINDINGS } from "../../../agent/generated/findings.ts";
import { readFindings, renderFindings } from "../../../semconv/findings.ts";
import { registryOf } from "./builders.ts";

const RUNBOOKS = resolve(import.meta.dirname, "../../../docs/runbooks");

const SHARED = {
  id: "attributes.test.finding",
  type: "attribute_group",
  brief: "What every finding says.",
  attributes: [{ ref: "error.type", requirement_level: "required" }],
};

function finding(remarks: object = {}, name = "flowspan.finding.wet_roof"): object {
  return {
    id: `event.${name}`,
    type: "event",
    name,
    brief: "The roof is wet.",
    stability: "development",
    extends: SHARED.id,
    attributes: [{ ref: "server.port" }],
    annotations: {
      flowspan: {
        subject: "node",
        severity: "warn",
        start_after: 2,
        end_after: 3,
        thresholds: { threshold: { default: 0.5, unit: "1", brief: "How wet it is." } },
        cause: "It rains.",
        command: "umbrella --open",
        runbook: "wet-roof",
        ...remarks,
      },
    },
  };
}

function problemsOf(...groups: object[]): string[] {
  const read = readFindings(registryOf(SHARED, ...groups));
  return "problems" in read ? read.problems.map(({ path, message }) => `${path} ${message}`) : [];
}

test("a row becomes a descriptor in the code, with its thresholds", () => {
  const read = readFindings(registryOf(SHARED, finding()));

  const text = "findings" in read ? renderFindings(read.findings) : "";

  expect(text).toContain(`export const FINDINGS = {
  wet_roof: {
    event: "flowspan.finding.wet_roof",
    meaning: "The roof is wet.",
    subject: "node",
    severity: "warn",
    startAfter: 2,
    endAfter: 3,
    thresholds: {
      threshold: {
        default: 0.5,
        unit: "1",
        brief: "How wet it is.",
      },
    },
    cause: "It rains.",
    command: "umbrella --open",
    runbook: "wet-roof",
  },
} as const`);
});

describe("what is missing or wrong in a row is said", () => {
  const at = "flowspan.finding.wet_roof:";
  test.each<[string, object, string]>([
    ["a subject", { subject: "roof" }, `${at} subject is "roof"`],
    ["a severity", { severity: undefined }, `${at} severity is undefined`],
    ["a start", { start_after: 0 }, `${at} start_after is 0`],
    ["an end", { end_after: 1.5 }, `${at} end_after is 1.5`],
    ["thresholds", { thresholds: {} }, `${at} thresholds lack threshold`],
    [
      "a threshold's unit",
      { thresholds: { threshold: { default: 1, brief: "x" } } },
      `${at} thresholds.threshold is not whole`,
    ],
    ["a cause", { cause: " " }, `${at} cause is missing`],
    ["a command", { command: undefined }, `${at} command is missing`],
    ["a runbook", { runbook: undefined }, `${at} runbook is missing`],
  ])("%s", (_, remarks, problem) => {
    expect(problemsOf(finding(remarks))).toContain(problem);
  });

  test("two findings with one runbook", () => {
    expect(problemsOf(finding(), finding({}, "flowspan.finding.wet_floor"))).toEqual(["wet_floor shares wet-roof"]);
  });

  test("remarks of a finding on an event that is none", () => {
    const span = { ...finding({}, "flowspan.tcp.wet"), id: "event.flowspan.tcp.wet" };

    expect(problemsOf(span)).toEqual(["flowspan.tcp.wet: annotations.flowspan is of a finding"]);
  });
});

const PAGES = existsSync(RUNBOOKS) ? readdirSync(RUNBOOKS) : [];
const HAS_PAGE = Object.values(FINDINGS).some(({ runbook }) => PAGES.includes(`${runbook}.md`));

// Once one finding has its page, all of them have.
describe.runIf(HAS_PAGE)("runbooks", () => {
  test.each(Object.entries(FINDINGS))(
    "%s has a page with Meaning, Impact, Diagnosis and Mitigation",
    (_, { runbook }) => {
      expect(PAGES).toContain(`${runbook}.md`);
      const text = readFileSync(resolve(RUNBOOKS, `${runbook}.md`), "utf8");
      const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
      expect(headings).toEqual(["Meaning", "Impact", "Diagnosis", "Mitigation"]);
    },
  );
});
