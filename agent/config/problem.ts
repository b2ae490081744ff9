/**
 * What is wrong with one setting, and the text that tells a person how to mend it.
 *
 * A problem is a value: loading collects all of them and refuses once, so that nobody fixes a file one
 * error at a time. The value of a secret never gets into one.
 */

import type { Field, Refusal, Written } from "./field.ts";

export interface Problem {
  /** Where it was set: a file (with its line where known), `environment` or `command line`. */
  readonly source: string;
  /** `distribution.flowspan.interval`, the variable's name, or the flag as typed. */
  readonly path: string;
  readonly found: string;
  readonly allowed: string;
  readonly remedy: string;
}

/** Four lines: where and what, then what was found, what is allowed, and what to do. */
export function problemText(problem: Problem): string {
  return [
    `${problem.source}: ${problem.path}`,
    `  found:   ${problem.found}`,
    `  allowed: ${problem.allowed}`,
    `  remedy:  ${problem.remedy}`,
  ]
    .map(printable)
    .join("\n");
}

/** A name or a value from a file must not move a terminal's cursor, nor fill its screen. */
function printable(line: string): string {
  const escaped = line.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return escaped.length > LINE_MAX ? `${escaped.slice(0, LINE_MAX)}…` : escaped;
}

const LINE_MAX = 1_000;

/** All problems of one load. `message` is ready to print. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super(`the configuration has ${count}:\n${problems.map(problemText).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/**
 * What a field's refusal of `given` says to a person.
 *
 * @param written how it stands in the file, where that differs: quoted instead of what became of it
 */
export function refusalProblem(
  where: Pick<Problem, "source" | "path">,
  field: Pick<Field<unknown>, "allowed" | "secret">,
  refusal: Refusal,
  given: unknown,
  written?: Written,
): Problem {
  const secret = field.secret ? "(a secret, not shown)" : undefined;
  return {
    ...where,
    found: refusal.foundWords ?? secret ?? writtenText(refusal.found ?? given, written),
    allowed: refusal.allowed ?? field.allowed,
    remedy: refusal.remedy ?? `write ${field.allowed}`,
  };
}

/** `0x1f` as it stands there; of what variables became, both: `"15s", from ${INTERVAL}`. */
function writtenText(value: unknown, written: Written | undefined): string {
  if (written === undefined) return foundText(value);
  if (written.filled === undefined) return written.source;
  // What stands between references may be a secret, and so may a default: `${TOKEN:-abc}` is shown as `${TOKEN:-…}`.
  const references = written.source.match(/\$\{[^}]*\}/g) ?? [];
  return `${foundText(value)}, from ${references.map((text) => text.replace(/:-.*\}/s, ":-…}")).join(" and ")}`;
}

/** A key or a certificate where its path belongs, also one that was cut. */
export function isPem(text: string): boolean {
  return /-----(BEGIN|END) |PRIVATE KEY-----/.test(text);
}

export const PEM = "a key or a certificate itself, not shown";

const FOUND_MAX = 80;

/**
 * A value as a person would write it, cut where it is long: `"15s"`, `-1`, `a list`, `nothing (null)`.
 *
 * User, password and query of an address are left out.
 */
export function foundText(value: unknown): string {
  if (value === null) return "nothing (null)";
  if (typeof value === "string" && isPem(value)) return PEM;
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") return "a group of fields";
  const text = typeof value === "string" ? JSON.stringify(withoutSecrets(value)) : String(value);
  return text.length > FOUND_MAX ? `${text.slice(0, FOUND_MAX)}…` : text;
}

/** `http://…@host:4317?…`, without what may be a password or a token. Up to the last @: a password may hold anything. */
export function withoutSecrets(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1…@").replace(/[?#].+/s, (rest) => `${rest[0]}…`);
}

/**
 * The name of `known` that was probably meant by `name`, or undefined when none is near.
 *
 * Near: at most a third of the letters changed, added, dropped or swapped (optimal string alignment).
 */
export function suggest(name: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(name.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) > limit) continue;
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => {
    const row = new Array<number>(b.length + 1).fill(0);
    row[0] = i;
    return row;
  });
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0;
  for (let j = 0; j <= b.length; j++) (rows[0] as number[])[j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, at(i - 2, j - 2) + 1);
      (rows[i] as number[])[j] = cost;
    }
  }
  return at(a.length, b.length);
}
