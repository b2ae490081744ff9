/**
 * What differs between two configurations, in the file's own names, and what of it can take effect
 * without a restart.
 */
import { ROWS } from "./setting-rows.ts";
import type { Settings } from "./settings.ts";

export interface Change {
  /** Paths that take effect at once. */
  readonly live: readonly string[];
  /** Paths that the running agent keeps as they were. */
  readonly restart: readonly string[];
}

/** The value of a row in `settings`. */
function valueAt(settings: Settings, keys: readonly string[]): unknown {
  return keys.reduce<unknown>((group, key) => (group as Record<string, unknown>)[key], settings);
}

export function compareSettings(before: Settings, after: Settings): Change {
  const live: string[] = [];
  const restart: string[] = [];
  for (const { keys, path, field } of ROWS) {
    if (JSON.stringify(valueAt(before, keys)) === JSON.stringify(valueAt(after, keys))) continue;
    (field.live ? live : restart).push(path === "" ? keys.join(".") : path);
  }
  return { live, restart };
}

/** `after` where a setting is live, `before` where it needs a restart: what runs from now on. */
export function applyLive(before: Settings, after: Settings): Settings {
  const merged = structuredClone(before) as unknown as Record<string, unknown>;
  for (const { keys, field } of ROWS) {
    if (!field.live) continue;
    const group = keys
      .slice(0, -1)
      .reduce<Record<string, unknown>>((inner, key) => inner[key] as Record<string, unknown>, merged);
    group[keys.at(-1) as string] = valueAt(after, keys);
  }
  return merged as unknown as Settings;
}
