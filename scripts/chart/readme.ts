/** Prose and rows → the chart's README, with all values as a table in the place of the line `<!-- values -->`. */
import type { Value } from "./value.ts";

const PLACE = "<!-- values -->\n";

const cell = (text: string): string => text.replaceAll("|", "\\|");

function row({ path, schema, default: fallback, description }: Value): string {
  const allowed = schema.enum?.map((each) => `\`${each === "" ? '""' : each}\``).join(", ") ?? schema.type ?? "";
  return `| \`${path}\` | ${cell(description)} | ${cell(allowed)} | \`${cell(JSON.stringify(fallback))}\` |`;
}

/** @throws Error where the prose has no such line */
export function renderReadme(prose: string, values: readonly Value[], origin: string): string {
  if (!prose.includes(PLACE)) throw new Error(`scripts/chart/README.md has no line ${PLACE}`);
  const table = ["| value | what it does | allowed | default |", "|---|---|---|---|", ...values.map(row), ""].join(
    "\n",
  );
  return `<!-- ${origin} -->\n\n${prose.replace(PLACE, () => table)}`;
}
