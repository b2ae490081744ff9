/**
 * From batches to verdicts: which programs differ, and do so again. On a machine whose kernel hides state changes from
 * BPF (ARCHITECTURE.md, "What is lost where") a difference counts only where it comes again, or nothing was hidden.
 */
import type { BatchResult } from "./batch.ts";
import { differences } from "./compare.ts";
import type { Program } from "./program.ts";
import { shrink } from "./shrink.ts";

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
}

const ROUNDS = 4;
const MINIMIZE_MS = 60_000;

/**
 * Runs them at once and gives those that fail and fail again, with what differed last. A fault that needs luck shows in
 * other programs, too; a program that fails once in a while cannot be made small.
 */
export async function judge<Upheaval>(
  bench: Bench<Upheaval>,
  programs: readonly Program[],
  upheaval: Upheaval,
): Promise<Failure[]> {
  let failures: Failure[] = [];
  let suspects = programs;
  for (let round = 0; round < ROUNDS && suspects.length > 0; round++) {
    failures = failuresOf(await bench.run(suspects, upheaval), bench.known);
    suspects = failures.map(({ program }) => program);
  }
  return failures;
}

/** What needs every record: one that was on its way when its probe went is a named loss. */
const OF_RECORDS = ["record", "sums", "busy", "reset-sums", "estab-resets"];

/** A loss has no program, as other things that are said of a whole batch: where nothing else differs it is every program's. */
export function failuresOf({ performed, losses, beyond, hidden }: BatchResult, known: ReadonlySet<string>): Failure[] {
  const left = losses.agent_gone_records ? new Set([...known, ...OF_RECORDS]) : known;
  const failures = performed
    .map(({ program, trace, seen, beyond = [] }) => ({
      program,
      differences: [
        ...differences(program, trace, seen, left),
        ...beyond.filter((sentence) => !left.has(sentence.split(":")[0] ?? "")),
      ],
    }))
    .filter(({ differences }) => differences.length > 0);
  const names = Object.entries(losses)
    .filter(([name]) => name !== "agent_gone_records")
    .map(([name, count]) => `losses: ${count} ${name}`);
  const general = [...names, ...(beyond ?? [])];
  if (failures.length > 0 || general.length === 0 || hidden > 0) return failures;
  return performed.map(({ program }) => ({ program, differences: general }));
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
