/** Attributes by name, so that two replays can be compared as text. */
import type { Attributes } from "../../model/attribute.ts";

export function sorted(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}
