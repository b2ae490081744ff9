/** Rows with dotted paths → a tree of groups, in the order of the rows. */
import type { Value } from "./value.ts";

export interface Group {
  readonly [name: string]: Group | Value;
}

export const isValue = (entry: Group | Value): entry is Value => typeof entry.path === "string";

/** @throws Error where one path is there twice, or a value is also a group */
export function treeOf(values: readonly Value[]): Group {
  const root: Record<string, unknown> = {};
  for (const value of values) {
    const names = value.path.split(".");
    let group = root;
    for (const name of names.slice(0, -1)) {
      group[name] ??= {};
      group = group[name] as Record<string, unknown>;
      if (isValue(group as Group)) throw new Error(`${value.path} is below a value`);
    }
    const last = names.at(-1) as string;
    if (group[last] !== undefined) throw new Error(`${value.path} is there twice`);
    group[last] = value;
  }
  return root as Group;
}
