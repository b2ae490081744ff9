/**
 * The rows of model/losses.yaml → the enum of kernel programs and probe, the table of the reference. Pure.
 */
import type { Member, Problem, Registry } from "./types.ts";

const REASON = "flowspan.loss.reason";
const FILE = "losses.yaml";
const WHERE = ["hooks", "tables", "probe", "agent"] as const;
const SEVERITIES = ["warning", "info", "none"] as const;
/** Of a comment in C, which is indented by a tab. */
const COLUMNS = 112;

export interface Loss {
  readonly name: string;
  /** Where it is counted: the first two are parts of the kernel programs. */
  readonly where: (typeof WHERE)[number];
  readonly when: string;
  readonly lost: string;
  readonly remedy: string;
  /** Of the alert that it raises. */
  readonly severity: (typeof SEVERITIES)[number];
}

/** @return each row, in the model's order, or what is missing in one */
export function readLosses(
  registry: Registry,
): { readonly losses: readonly Loss[] } | { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const losses: Loss[] = [];
  for (const { value, brief, note = "", annotations } of registry.attributes.get(REASON)?.members ?? []) {
    const flowspan = annotations?.flowspan ?? {};
    const { where = "", remedy = "", severity = value.endsWith("_detail") ? "info" : "warning" } = flowspan;
    const report = (what: string, todo: string) =>
      problems.push({ file: FILE, path: value, message: `has no ${what}`, remedy: todo });
    if (note === "") report("note", "say when it happens");
    if (remedy === "") report("annotations.flowspan.remedy", "say what its reader can do");
    if (!isWhere(where)) report("annotations.flowspan.where", `use one of ${WHERE.join(", ")}`);
    else if (!isSeverity(severity)) report(`such severity as ${severity}`, `use one of ${SEVERITIES.join(", ")}`);
    else
      losses.push({ name: value, where, when: oneLine(note), lost: oneLine(brief), remedy: oneLine(remedy), severity });
  }
  const firstOfAgent = losses.findIndex(({ where }) => where === "agent");
  const late = losses.findLast(({ where }) => where !== "agent");
  if (late !== undefined && firstOfAgent !== -1 && firstOfAgent < losses.indexOf(late)) {
    problems.push({
      file: FILE,
      path: late.name,
      message: "follows a loss of the agent",
      remedy: "put it before those",
    });
  }
  return problems.length > 0 ? { problems } : { losses };
}

function isWhere(text: string): text is Loss["where"] {
  return (WHERE as readonly string[]).includes(text);
}

function isSeverity(text: string): text is Loss["severity"] {
  return (SEVERITIES as readonly string[]).includes(text);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** bpf/contract/losses.h: those of kernel programs and probe, numbered by their order. */
export function renderEnum(losses: readonly Loss[]): string {
  const values = losses
    .filter(({ where }) => where !== "agent")
    .flatMap(({ name, when }, index) => [
      ...comment(when),
      `\tLOSS_${name.toUpperCase()}${index === 0 ? " = 0" : ""},`,
    ]);
  return [
    "/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */",
    "/*",
    " * Every way to lose a fact in the kernel or the probe, by number; loss__count() counts them. Generated from",
    " * semconv/model/losses.yaml, which says what is lost then: edit that and run `npm run generate`.",
    " */",
    "#ifndef CONTRACT_LOSSES_H",
    "#define CONTRACT_LOSSES_H",
    "",
    "enum loss {",
    ...values,
    "\tLOSS_COUNT,",
    "};",
    "",
    "#endif",
    "",
  ].join("\n");
}

function comment(text: string): string[] {
  if (text.length <= COLUMNS - 6) return [`\t/* ${text} */`];
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + word.length >= COLUMNS - 3) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return ["\t/*", ...lines.map((line) => `\t * ${line}`), "\t */"];
}

/** What a table of values would repeat: the losses have one of their own. */
export function hasOwnTable(attribute: { readonly name: string; readonly members: readonly Member[] }): boolean {
  return attribute.name === REASON;
}
