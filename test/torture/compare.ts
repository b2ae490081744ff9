/**
 * Where what flowspan said of one program is not what it must be.
 *
 *   compare-ends    each connection at each end is one record, with its own bytes, resets and outcome (oracle.ts)
 *   compare-times   … and its own times
 *   compare-segments … and the segments that its socket counted
 *   compare-cgroups … and is its group's, as every edge is
 *   compare-traces  … and both ends of one connection are in one trace
 *   compare-sums    edges are the sums of the records
 *   compare-coverage  the kernel sent no segment of no flow but those that no socket sends
 *   compare-books   sums over the edges are the kernel's counters of the namespace (`nstat`)
 *
 * Pure: each difference is a sentence under the name of its check; no difference is an empty list.
 */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { NamespaceCounters } from "../../agent/model/probe-event.ts";
import type { EdgeSum } from "../lab/agents/tally.ts";
import { compareBooks } from "./compare-books.ts";
import { compareEdgeCgroups } from "./compare-cgroups.ts";
import { compareCoverage } from "./compare-coverage.ts";
import { compareEnds } from "./compare-ends.ts";
import { compareSums } from "./compare-sums.ts";
import { CLOCK_US } from "./compare-times.ts";
import { compareTraceIds } from "./compare-traces.ts";
import { Differences } from "./differences.ts";
import { truthOf } from "./oracle.ts";
import type { Program } from "./program.ts";
import type { Trace } from "./trace.ts";

/** What flowspan said of one program's namespace. */
export interface Seen {
  readonly edges: readonly EdgeSum[];
  readonly records: readonly Connection[];
  /** What the probe read of the namespace's own books; undefined where it did not see the namespace. */
  readonly namespace: NamespaceCounters | undefined;
  /** Left out: as the kernel has them. */
  readonly precision?: Precision;
}

/** How finely records are told that came by other ways than the probe's. */
export interface Precision {
  /** What their clock may be beside that of the calls. */
  readonly clockNs: number;
  /** Errors of one name are told as one. */
  readonly errorName: (errno: number) => string;
}

export interface Verdict {
  readonly differences: readonly string[];
  /** Ends without a record that must have one: 0 where that is a difference. */
  readonly missing: number;
  /** Ends without a record of which nobody can know whether they had one. */
  readonly doubtful: number;
}

/**
 * Everything in which `seen` is not what it must be.
 *
 * @param known checks that are not made
 * @param mayMiss records were lost by name: an end without one is counted and not said
 */
export function verdictOf(
  program: Program,
  trace: Trace,
  seen: Seen,
  known: ReadonlySet<string> = new Set(),
  mayMiss = false,
): Verdict {
  const said = new Differences(known);
  if (trace.clockMoved > CLOCK_US * 100)
    return { differences: ["clock: the wall clock was set: nothing can be said"], missing: 0, doubtful: 0 };
  if (trace.missed > 0) said.add("interpreter", `the wire missed ${trace.missed} segments`);
  const truth = truthOf(program, trace);
  const found = compareEnds(truth, trace, seen, said, { mayMiss });
  const absent = mayMiss ? found : { missing: found.missing, doubtful: [] };
  compareTraceIds(seen, truth.ends, said);
  compareSums(seen, absent, said);
  compareBooks(truth, trace, seen, absent, said);
  compareCoverage(truth, seen, said);
  if (!seen.precision) compareEdgeCgroups(seen.edges, { trace, uses: truth.uses, said });
  return {
    differences: said.list,
    missing: mayMiss ? absent.missing.length : 0,
    doubtful: absent.doubtful.length,
  };
}

/** The same, of a batch that lost nothing. */
export function differences(
  program: Program,
  trace: Trace,
  seen: Seen,
  known?: ReadonlySet<string>,
): readonly string[] {
  return verdictOf(program, trace, seen, known).differences;
}
