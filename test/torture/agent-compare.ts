/**
 * What OTLP holds of one program, in the terms of the oracle and beyond them. Pure.
 *
 *   spans  ─► records ┐
 *   series ─► edges   ┴─► compare.ts, as for the probe's own words
 *   spans, points     ──► what the reference says of their form, links, status, exemplars, coverage (here)
 */
import type { Connection } from "../../agent/model/connection-record.ts";
import { edgesOf } from "./agent-edges.ts";
import {
  compareCoverage,
  compareExemplars,
  compareHistograms,
  comparePoints,
  type Temporality,
} from "./agent-metrics.ts";
import { CLOCK_NS, errorName, recordOf } from "./agent-records.ts";
import { compareSpans, type Recorded } from "./agent-spans.ts";
import type { Told } from "./agent-told.ts";
import type { Seen } from "./compare.ts";
import { Differences } from "./differences.ts";
import { truthOf } from "./oracle.ts";
import type { Program } from "./program.ts";
import type { Trace } from "./trace.ts";

/** What happened to the agent meanwhile, as far as the checks depend on it. */
export interface Circumstances {
  readonly temporality: Temporality;
  /** Nothing was lost: every record must have come. */
  readonly isWhole: boolean;
  /** One agent saw the program from its begin to its end. */
  readonly isOneAgent: boolean;
}

export interface Through {
  /** For compare.ts. */
  readonly seen: Seen;
  /** What differs beyond it, each under the name of its check. */
  readonly beyond: readonly string[];
}

export function through(told: Told, program: Program, trace: Trace, circumstances: Circumstances): Through {
  const recorded: Recorded = new Map(told.spans.map((span) => [recordOf(span, trace.realtimeNs), span]));
  const records: readonly Connection[] = [...recorded.keys()];
  const { edges, unknown } = edgesOf(told.totals);
  const said = new Differences(new Set());
  for (const name of unknown) said.add("series", `${name} is no number of an edge`);
  for (const { key, limit } of edges)
    if (key.role === "listener" && limit !== 0) said.add("open", `a listener on ${key.serverPort} holds ${limit}`);
  comparePoints(told, circumstances.temporality, said);
  compareExemplars(told, said);
  compareSpans(recorded, truthOf(program, trace), trace, said, !circumstances.isWhole);
  if (circumstances.isWhole) compareHistograms(told, records, said);
  if (circumstances.isOneAgent) compareCoverage(told, edges, trace, said);
  return {
    seen: { edges, records, namespace: undefined, precision: { clockNs: CLOCK_NS, errorName } },
    beyond: said.list,
  };
}
