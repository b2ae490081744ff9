/**
 * From batches to verdicts: which programs differ.
 *
 * On a machine whose kernel hides state changes from BPF (ARCHITECTURE.md, "What is lost where") a difference may be
 * the machine's. It comes only with such a moment, and test/machine/witness.ts counts those: so a difference of a round in which
 * nothing was hidden counts at once, and what differed in a round that hid something is run again, alone, and counts when
 * it differs in every round. Neither luck nor a short memory hides a fault that way: one that shows in one of a
 * thousand runs of a program counts the first time.
 */
import type { BatchResult, Performed } from "./batch.ts";
import { type Verdict, verdictOf } from "./compare.ts";
import { differencesInWindow, OF_CLOSE_MISSED } from "./compare-window.ts";
import { formatEvidence } from "./evidence.ts";
import { addLosses, expectedLosses, type Range, steadyLosses } from "./losses.ts";
import type { Program } from "./program.ts";
import { shrink } from "./shrink.ts";
import type { Losses } from "./watch.ts";

/** Where programs are performed, and flowspan is asked what it saw. */
export interface Bench<Upheaval> {
  /** Checks that are not made of what is seen there. */
  readonly known: ReadonlySet<string>;
  /** @throws Error when an interpreter does not end in time or says nothing sensible */
  run(programs: readonly Program[], upheaval: Upheaval): Promise<BatchResult>;
}

export interface Failure {
  readonly program: Program;
  readonly differences: readonly string[];
  /** What happened in that very play and what was said of it: luck may not come again. */
  readonly evidence: () => string;
}

const ROUNDS = 4;
const MINIMIZE_MS = 60_000;

/** Runs them at once and gives those that differ, with what differed last. */
export async function judge<Upheaval>(
  bench: Bench<Upheaval>,
  programs: readonly Program[],
  upheaval: Upheaval,
): Promise<Failure[]> {
  let failures: Failure[] = [];
  let suspects = programs;
  for (let round = 0; round < ROUNDS && suspects.length > 0; round++) {
    const result = await bench.run(suspects, upheaval);
    failures = failuresOf(result, bench.known);
    if (result.hidden === 0) return failures;
    suspects = failures.map(({ program }) => program);
  }
  return failures;
}

/** Losses of records that have no program: how many ends have no record is told by the batch as a whole. */
const RECORD_LOSSES = ["agent_gone_records", "records_full"];

/** Of packets that anybody on this machine drops: a flood beside the programs fills the kernel's table for all probes. */
export const MACHINE_LOSSES: readonly string[] = ["evidence_full_detail"];

/** What is said of a whole batch has no program: it is said of those that differ, or of every one where none does. */
export function failuresOf(result: BatchResult, known: ReadonlySet<string>): Failure[] {
  const { performed, losses, beyond = [], hidden } = result;
  const lost = RECORD_LOSSES.reduce((sum, name) => sum + (losses[name] ?? 0), 0);
  const expected = addLosses(
    performed.flatMap(({ seen, phases }) => phases?.map(expectedLosses) ?? [steadyLosses(seen)]),
  );
  const unmade = losses.close_missed ? new Set([...known, OF_CLOSE_MISSED]) : known;
  const verdicts = performed.map((each) => {
    const verdict = verdictFor(each, unmade, lost > 0);
    const more = (each.beyond ?? []).filter((sentence) => !known.has(sentence.split(":")[0] ?? ""));
    return {
      program: each.program,
      verdict,
      differences: [...verdict.differences, ...more],
      evidence: () => formatEvidence(each),
    };
  });
  const general = [
    ...namedLosses(losses, { ...expected, namespace_unreadable: [0, churnsOf(performed)] }, lost),
    ...lostRecords(
      verdicts.map(({ verdict }) => verdict),
      lost,
      result,
    ),
    ...beyond,
  ];
  const failures = verdicts.filter(({ differences }) => differences.length > 0);
  const said = failures.length === 0 && general.length > 0 && hidden === 0 ? verdicts : failures;
  return said.map(({ program, differences, evidence }) => ({
    program,
    differences: [...differences, ...general],
    evidence,
  }));
}

/** By every probe that was there for some of it; of those that came late or went early no record is lost. */
function verdictFor(
  { program, trace, seen, phases }: Performed,
  known: ReadonlySet<string>,
  mayMiss: boolean,
): Verdict {
  if (!phases) return verdictOf(program, trace, seen, known, mayMiss);
  // It stood at no barrier: what a probe must tell of it nobody knows.
  if (phases.length === 0) return { differences: ["barrier: the program has none"], missing: 0, doubtful: 0 };
  const differences = phases.flatMap((phase) => differencesInWindow(program, trace, phase.seen, phase.window, known));
  return { differences, missing: 0, doubtful: 0 };
}

/** Net namespaces whose only task ends at once, perhaps while their books are read. */
function churnsOf(performed: readonly Performed[]): number {
  return performed.reduce((sum, { program }) => sum + program.filter((line) => line === ". churn").length, 0);
}

/** @param lost records: one of them may be what shows another loss */
function namedLosses(losses: Losses, ranges: Readonly<Record<string, Range>>, lost: number): string[] {
  const names = new Set([...Object.keys(losses), ...Object.keys(ranges)]);
  return [...names].flatMap((name) => {
    const [count, [least, most]] = [losses[name] ?? 0, ranges[name] ?? [0, 0]];
    const isShown = name.endsWith("_detail");
    if (
      MACHINE_LOSSES.includes(name) ||
      RECORD_LOSSES.includes(name) ||
      (count >= least && count <= most + (isShown ? lost : 0))
    )
      return [];
    return [`losses: ${count} ${name}, must be ${least}${most > least ? ` to ${most}` : ""}`];
  });
}

/** Each record that was lost is an end without one, and each of those is told as lost. */
function lostRecords(verdicts: readonly Verdict[], lost: number, { spare = 0 }: BatchResult): string[] {
  const missing = verdicts.reduce((sum, verdict) => sum + verdict.missing, 0);
  const doubtful = verdicts.reduce((sum, verdict) => sum + verdict.doubtful, 0);
  if (missing <= lost && lost <= missing + doubtful + spare) return [];
  return [`losses: ${lost} records are told as lost, ${missing} to ${missing + doubtful} ends have none`];
}

/** The smallest program found that differs in the same check. */
export async function minimize<Upheaval>(
  bench: Bench<Upheaval>,
  failure: Failure,
  upheaval: Upheaval,
  atOnce: number,
): Promise<Failure> {
  const check = checkOf(failure);
  const deadline = Date.now() + MINIMIZE_MS;
  const program = await shrink(failure.program, async (candidates) => {
    const verdicts: boolean[] = [];
    if (Date.now() > deadline) return candidates.map(() => false);
    for (let i = 0; i < candidates.length; i += atOnce) {
      const some = candidates.slice(i, i + atOnce);
      const failed = new Set(
        (await judge(bench, some, upheaval)).filter((each) => checkOf(each) === check).map(({ program }) => program),
      );
      verdicts.push(...some.map((candidate) => failed.has(candidate)));
    }
    return verdicts;
  });
  const [small] = (await judge(bench, [program], upheaval)).filter((each) => checkOf(each) === check);
  return small ?? failure;
}

function checkOf({ differences }: Failure): string | undefined {
  return differences[0]?.split(":")[0];
}
