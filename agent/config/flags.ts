/**
 * Settings as command line flags, and the help texts made from the same table.
 */
import type { ParseArgsOptionsConfig } from "node:util";
import { emptyLayer, type Layer, take } from "./layer.ts";
import { refusalProblem } from "./problem.ts";
import type { Row } from "./setting-rows.ts";
import { ROWS } from "./setting-rows.ts";

export const FLAG_ROWS: readonly Row[] = ROWS.filter(({ field }) => field.flag !== undefined);

/** For `parseArgs`: a boolean setting takes no value. */
export const FLAG_OPTIONS: ParseArgsOptionsConfig = {
  config: { type: "string" },
  ...Object.fromEntries(
    FLAG_ROWS.map(({ field }) => [
      field.flag as string,
      { type: field.placeholder === undefined ? "boolean" : "string" } as const,
    ]),
  ),
};

/** What `parseArgs` gives. */
export type FlagValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

/** The settings that flags state. */
export function readFlags(flags: FlagValues): Layer {
  const layer = emptyLayer();
  for (const { keys, field } of FLAG_ROWS) {
    const stated = flags[field.flag as string];
    if (stated === undefined || Array.isArray(stated)) continue;
    const where = { source: "command line", path: `--${field.flag}` };
    const result = typeof stated === "boolean" ? { value: stated } : field.fromText(stated);
    if ("refused" in result) layer.problems.push(refusalProblem(where, field, result, stated));
    else take(layer, keys, where, result);
  }
  return layer;
}

const HELP_WIDTH = 100;
const COLUMN = 32;

/** One paragraph a flag, aligned: what `--help` prints below "Settings". */
export function flagsHelp(rows: readonly Row[] = FLAG_ROWS): string {
  const config = helpEntry("--config FILE", "Configuration file (default: $OTEL_CONFIG_FILE).");
  return [
    config,
    ...rows.map(({ field }) => {
      const flag = `--${field.flag}${field.placeholder === undefined ? "" : ` ${field.placeholder}`}`;
      return helpEntry(flag, `${field.summary} (default: ${defaultText(field)})`);
    }),
  ].join("\n");
}

/** A setting's default as a person would write it. */
export function defaultText(field: Row["field"]): string {
  if (field.defaultText !== undefined) return field.defaultText.replaceAll("`", "");
  return Array.isArray(field.default) ? field.default.join(", ") : String(field.default);
}

/** `  --flag VALUE    words`, wrapped below the words' own column. */
export function helpEntry(flag: string, words: string): string {
  const lines: string[] = [];
  let line = `  ${flag}`.padEnd(COLUMN);
  if (`  ${flag}`.length >= COLUMN - 1) {
    lines.push(`  ${flag}`);
    line = " ".repeat(COLUMN);
  }
  for (const word of words.split(" ")) {
    if (line.trimEnd().length + word.length + 1 > HELP_WIDTH && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = " ".repeat(COLUMN);
    }
    line += `${word} `;
  }
  return [...lines, line.trimEnd()].join("\n");
}
