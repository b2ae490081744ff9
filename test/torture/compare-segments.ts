/** Segments that each end has counted, as the wire has them (segments.ts). */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Differences } from "./differences.ts";
import type { ExpectedEnd } from "./oracle.ts";
import { ADOPTED } from "./record-flags.ts";
import type { Range } from "./socket-life.ts";

export function compareSegments(name: string, { segments }: ExpectedEnd, record: Connection, said: Differences): void {
  if (!segments || record.flags & ADOPTED) return;
  compareRange("segments", `${name}: segments sent`, record.segsOut, segments.out, said);
  compareRange("segments", `${name}: segments received`, record.segsIn, segments.in, said);
}

/** Nothing is said of what lies in the range. */
export function compareRange(check: string, what: string, is: number, [low, high]: Range, said: Differences): void {
  if (is < low || is > high) said.add(check, `${what} is ${is}, must be ${low}${high > low ? ` to ${high}` : ""}`);
}
