/**
 * What doctor says of one fact, and all of it as text for people.
 *
 * `fail` is kept for what stops the main job, reading this node's connections and getting them to a
 * Collector; what only costs detail is a warning.
 */

export interface Finding {
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  readonly found: string;
  /** What is not seen, not named or not exported as it stands; undefined where nothing is. */
  readonly lost?: string;
  /** A command, or a line of configuration. */
  readonly remedy?: string;
}

export const ok = (name: string, found: string): Finding => ({ name, state: "ok", found });

/** The main job can run: nothing failed. */
export function canRun(findings: readonly Finding[]): boolean {
  return findings.every(({ state }) => state !== "fail");
}

const MARK = { ok: "ok  ", warn: "warn", fail: "FAIL" } as const;
const COLOUR = { ok: "32", warn: "33", fail: "31" } as const;

/** The findings for people. */
export function findingsText(findings: readonly Finding[], colour: boolean): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, state, found, lost, remedy }) => {
    const mark = colour ? `\x1b[${COLOUR[state]}m${MARK[state]}\x1b[0m` : MARK[state];
    const indent = " ".repeat(width + 7);
    return [
      `${mark}  ${name.padEnd(width)} ${found}`,
      ...(lost === undefined ? [] : [`${indent}lost:   ${lost}`]),
      ...(remedy === undefined ? [] : [`${indent}remedy: ${remedy}`]),
    ];
  });
  const failed = findings.filter(({ state }) => state === "fail").length;
  const warned = findings.filter(({ state }) => state === "warn").length;
  const verdict =
    failed > 0 ? `flowspan cannot do its main job here: ${failed} failed` : "flowspan can do its main job here";
  return `${[...lines, "", `${verdict}${warned > 0 ? `, ${warned} with less` : ""}`].join("\n")}\n`;
}
