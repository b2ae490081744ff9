/**
 * Runs hostile configurations for as long as it is told, in this process and as real processes, and damaged recordings.
 * Prints each kind of fault once with the seed that repeats it, and the most memory that a replay took:
 *
 *   npm run hostile -- [--runs N] [--processes N] [--recordings N] [--seed N]
 */
import fc from "fast-check";
import { loadSchemaCheck } from "../../agent/config/load.ts";
import { numberOptions } from "../number-options.ts";
import { type FixtureFiles, makeFixtures } from "./fixtures.ts";
import { judge } from "./judge.ts";
import { runs, startWorld } from "./processes.ts";
import { ALLOWED_MIB, makeMutants, mutations } from "./recordings.ts";
import { situations } from "./situations.ts";

const BATCH = 1_000;

/** @returns how many kinds of fault there were */
async function inThisProcess(count: number, seed: number, fixtures: FixtureFiles): Promise<number> {
  const checkSchema = await loadSchemaCheck();
  const kinds = new Set<string>();
  for (let done = 0; done < count; done += BATCH) {
    const property = fc.asyncProperty(situations(fixtures.paths), async (situation) => {
      const [fault] = await judge(situation, fixtures, checkSchema);
      if (fault !== undefined && !kinds.has(kindOf(fault))) throw new Error(fault);
    });
    const result = await fc.check(property, { numRuns: Math.min(BATCH, count - done), seed: seed + done });
    if (!result.failed) continue;
    const fault = (result.errorInstance as Error).message;
    kinds.add(kindOf(fault));
    const [situation] = result.counterexample ?? [];
    const file = situation?.file === undefined ? undefined : Buffer.from(situation.file).toString();
    console.log(`seed ${seed + done}: ${fault}\n  ${JSON.stringify({ ...situation, file })}\n`);
  }
  return kinds.size;
}

/** @returns how many kinds of fault there were */
async function asProcesses(count: number, seed: number, fixtures: FixtureFiles): Promise<number> {
  await using world = await startWorld(fixtures);
  const kinds = new Set<string>();
  for (const run of fc.sample(runs(fixtures), { numRuns: count, seed })) {
    for (const fault of await world.judge(run)) {
      if (kinds.has(kindOf(fault))) continue;
      kinds.add(kindOf(fault));
      const file = run.file === undefined ? undefined : Buffer.from(run.file).toString();
      console.log(`process: ${fault}\n  ${JSON.stringify({ ...run, file })}\n`);
    }
  }
  return kinds.size;
}

/** @returns how many kinds of fault there were */
async function asRecordings(count: number, seed: number): Promise<number> {
  using mutants = makeMutants();
  const kinds = new Set<string>();
  for (let done = 0; done < count; done += BATCH) {
    const options = { numRuns: Math.min(BATCH, count - done), seed: seed + done };
    for (const mutation of fc.sample(mutations, options)) {
      const fault = await mutants.judge(mutation);
      if (fault === undefined || kinds.has(kindOf(fault))) continue;
      kinds.add(kindOf(fault));
      console.log(`recording: ${fault}\n  ${JSON.stringify(mutation)}\n`);
    }
  }
  console.log(`replays took ${mutants.peakMib} MiB at most, ${ALLOWED_MIB} are allowed`);
  return kinds.size;
}

/** Faults that differ only in what was given are of one kind. */
const kindOf = (fault: string): string => fault.replace(/[^A-Za-z ]+/g, "").slice(0, 60);

const {
  seed,
  runs: configurations,
  processes,
  recordings,
} = numberOptions({ seed: Date.now() % 2 ** 31, runs: 20_000, processes: 100, recordings: 5_000 });
console.log(`${configurations} configurations, ${processes} processes and ${recordings} recordings with seed ${seed}`);
const fixtures = makeFixtures();
try {
  const read = await inThisProcess(configurations, seed, fixtures);
  const run = await asProcesses(processes, seed, fixtures);
  const replayed = await asRecordings(recordings, seed);
  console.log(
    `${configurations} configurations, ${read} kinds of fault; ${processes} processes, ${run} kinds of fault; ${recordings} recordings, ${replayed} kinds of fault`,
  );
  process.exitCode = read + run + replayed === 0 ? 0 : 1;
} finally {
  fixtures[Symbol.dispose]();
}
