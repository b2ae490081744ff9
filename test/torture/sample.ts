/**
 * Some of the random programs of a seed, played by the suites with nobody watching: it prints how to have them again, and
 * leaves the plays that differed in build/torture/, since luck may not come again.
 */
import { keepPlay } from "./evidence.ts";
import { generate } from "./generate.ts";
import { type Bench, judge } from "./judge.ts";
import { SOUND_FEATURES } from "./known.ts";
import { formatProgram, type Program, programSeed } from "./program.ts";

export const SEED = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 1_000_000);

/** Programs by their numbers in a seed. */
export interface ProgramNumbers {
  readonly from: number;
  readonly count: number;
}

export interface Difference {
  readonly upheaval: string;
  readonly differences: readonly string[];
  readonly program: string;
}

export function programsOf(seed: number, { from, count }: ProgramNumbers): Program[] {
  return Array.from({ length: count }, (_, i) => generate(programSeed(seed, from + i), SOUND_FEATURES));
}

/** @param through as run.ts takes it: 1 for the agent's bench, 0 for the probe's */
export async function playSample<U extends string>(
  bench: Bench<U>,
  numbers: ProgramNumbers,
  upheaval: U,
  through: 0 | 1,
): Promise<Difference[]> {
  const { from, count } = numbers;
  const alone = `FLOWSPAN_UPHEAVAL=${upheaval} node test/torture/run.ts --through-agent ${through}`;
  const which = `--seed ${SEED} --from ${from} --programs ${from + count}`;
  console.log(`torture: FLOWSPAN_SEED=${SEED} repeats this; ${alone} ${which} makes it small`);
  const programs = programsOf(SEED, numbers);
  const failures = await judge(bench, programs, upheaval);
  return failures.map(({ program, differences, evidence }) => {
    console.log(`torture: the play is in ${keepPlay(`${SEED}-${from + programs.indexOf(program)}`, evidence())}`);
    return { upheaval, differences, program: formatProgram(program) };
  });
}
