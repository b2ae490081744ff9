/** The table of settings as a list of rows, with the name that each has in the file. */
import type { Field } from "./field.ts";
import { SETTINGS, type Settings } from "./settings.ts";

/** One row of the table. */
export interface Row {
  /** Place in `Settings`: `["probe", "socket"]`. */
  readonly keys: readonly string[];
  /** Place in the file: `distribution.flowspan.probe.socket`; empty where the file has none. */
  readonly path: string;
  readonly field: Field<unknown>;
}

/** The file's section that is ours. */
export const OURS = "distribution.flowspan";

const snakeCase = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function rowsOf(group: object, keys: readonly string[]): Row[] {
  return Object.entries(group).flatMap(([key, entry]): Row[] => {
    const here = [...keys, key];
    if ((entry as { kind?: unknown }).kind !== "field") return rowsOf(entry as object, here);
    const field = entry as Field<unknown>;
    return [{ keys: here, path: field.standard ?? [OURS, ...here.map(snakeCase)].join("."), field }];
  });
}

/** The table as a list, in its order. */
export const ROWS: readonly Row[] = rowsOf(SETTINGS, []);

/** Settings as they are when nothing is set; `values` by row path in `Settings` (`probe.socket`) replace them. */
export function settingsFrom(values: ReadonlyMap<string, unknown>): Settings {
  const root: Record<string, unknown> = {};
  for (const { keys, field } of ROWS) {
    let group = root;
    for (const key of keys.slice(0, -1)) {
      group[key] ??= {};
      group = group[key] as Record<string, unknown>;
    }
    const name = keys.join(".");
    group[keys.at(-1) as string] = values.has(name) ? values.get(name) : field.default;
  }
  return root as Settings;
}
