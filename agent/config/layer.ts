/**
 * What one layer of the configuration states: a file, variables, flags. Later layers win, value by value; where
 * each value came from is kept, since whoever must mend it has to know its name there.
 */
import type { Read } from "./field.ts";
import type { Problem } from "./problem.ts";

/** Where a value was set: `environment` and the variable's name, `command line` and the flag, the file's line and path. */
export type Origin = Pick<Problem, "source" | "path">;

export interface Layer {
  /** By place in `Settings`, joined by dots. */
  readonly values: Map<string, unknown>;
  /** Of these values. */
  readonly origins: Map<string, Origin>;
  readonly problems: Problem[];
  /** What was taken and still deserves a word. */
  readonly warnings: string[];
}

export function emptyLayer(): Layer {
  return { values: new Map(), origins: new Map(), problems: [], warnings: [] };
}

/** Puts a value that was read into the layer. */
export function take(
  { values, origins, warnings }: Layer,
  keys: readonly string[],
  origin: Origin,
  { value, note }: Extract<Read<unknown>, { value: unknown }>,
): void {
  const key = keys.join(".");
  values.set(key, value);
  origins.set(key, origin);
  if (note !== undefined) warnings.push(`${origin.source}: ${origin.path}: ${note}`);
}

/** Puts `upper` over `lower`, which is changed. */
export function putOver(lower: Layer, upper: Layer): void {
  for (const [key, value] of upper.values) lower.values.set(key, value);
  for (const [key, origin] of upper.origins) lower.origins.set(key, origin);
  lower.problems.push(...upper.problems);
  lower.warnings.push(...upper.warnings);
}
