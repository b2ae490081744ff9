/** A place that localize.ts has named, as attributes: the place, or `unknown` and those that it may be. Pure. */
import {
  ATTR_FLOWSPAN_FINDING_PLACE,
  ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES,
  ATTR_FLOWSPAN_FINDING_PLACE_EVIDENCE,
  ATTR_FLOWSPAN_FINDING_PLACE_NAME,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Suspect } from "./localize.ts";

export function placeFacts(suspect: Suspect): Attributes {
  const { place, alternatives, evidence } = suspect;
  const space = place.indexOf(" ");
  return {
    ...(alternatives.length === 0
      ? {
          [ATTR_FLOWSPAN_FINDING_PLACE]: place.slice(0, space),
          [ATTR_FLOWSPAN_FINDING_PLACE_NAME]: place.slice(space + 1),
        }
      : {
          [ATTR_FLOWSPAN_FINDING_PLACE]: "unknown",
          [ATTR_FLOWSPAN_FINDING_PLACE_CANDIDATES]: candidatesOf(suspect),
        }),
    [ATTR_FLOWSPAN_FINDING_PLACE_EVIDENCE]: evidence,
  };
}

export function candidatesOf({ place, alternatives }: Suspect): string[] {
  return [place, ...alternatives];
}

/** Whether a path with these places may pass the suspect. */
export function mayPass(suspect: Suspect, places: readonly string[]): boolean {
  return candidatesOf(suspect).some((each) => each.split(" and ").some((name) => places.includes(name)));
}
