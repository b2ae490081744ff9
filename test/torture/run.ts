/**
 * `make torture`: random programs under one probe, each held against its own count, the wire and the kernel's books; every
 * fifth batch under a real agent too, by what a Collector holds of it. What differs is made small and left in
 * build/torture/, to become a program of test/torture/found/.
 *
 *     node test/torture/run.ts --seed 1 --programs 10000 --seconds 600 --at-once 100 --through-agent 5
 *
 * Batches take turns in what befalls probe (COURSE) and agent (AGENT_UPHEAVALS); FLOWSPAN_UPHEAVAL=late,kill names others.
 * A run of 1,000 programs has two batches for the agent: the seed decides with which upheaval they begin, so that many runs
 * play all.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { numberOptions } from "../number-options.ts";
import { AgentBench } from "./agent-bench.ts";
import { AGENT_UPHEAVALS, type AgentUpheaval } from "./agent-upheavals.ts";
import { TortureBench } from "./batch.ts";
import { keepPlay, OUTPUT } from "./evidence.ts";
import { type Bench, type Failure, judge, minimize } from "./judge.ts";
import { KNOWN_CHECKS, KNOWN_FEATURES } from "./known.ts";
import { formatProgram, type Program } from "./program.ts";
import { programsOf, SEED } from "./sample.ts";
import { UPHEAVALS, type Upheaval } from "./upheaval.ts";

const COURSE: readonly Upheaval[] = ["none", "late", "upgrade", "gap", "kill", "reader"];

const options = numberOptions({
  seed: SEED,
  programs: 1_000,
  seconds: 600,
  "at-once": 100,
  from: 0,
  "through-agent": 5,
});
const { seed, programs, "at-once": atOnce, "through-agent": throughAgent } = options;
const { course, agentCourse } = coursesOf(process.env.FLOWSPAN_UPHEAVAL);
const deadline = Date.now() + options.seconds * 1000;

console.log(`torture: seed ${seed}, ${programs} programs, ${atOnce} at once`);
for (const [name, why] of Object.entries({ ...KNOWN_CHECKS, ...KNOWN_FEATURES }))
  console.log(`torture: not looked at: ${name}: ${why}`);

let done = options.from;
let failed = 0;
let probeBatches = 0;
const benches: { probe?: TortureBench; agent?: AgentBench } = {};
try {
  for (let batch = 0; done < programs && Date.now() < deadline; batch++) {
    const count = Math.min(atOnce, programs - done);
    const batchPrograms = programsOf(seed, { from: done, count });
    if (throughAgent > 0 && batch % throughAgent === throughAgent - 1) {
      const turn = seed + Math.floor(batch / throughAgent);
      const upheaval = agentCourse[turn % agentCourse.length] ?? "none";
      benches.agent ??= await AgentBench.start();
      await play(benches.agent, batchPrograms, upheaval);
    } else {
      benches.probe ??= await TortureBench.start();
      const upheaval = course[probeBatches++ % course.length] ?? "none";
      await play<Upheaval>(benches.probe, batchPrograms, upheaval);
    }
    done += count;
    console.log(`torture: ${done} programs, ${failed} differ`);
  }
} finally {
  await benches.agent?.close();
  await benches.probe?.close();
}
process.exitCode = failed > 0 || done === options.from ? 1 : 0;

async function play<U extends string>(bench: Bench<U>, batch: readonly Program[], upheaval: U): Promise<void> {
  const failures = await judge(bench, batch, upheaval);
  for (const failure of failures) await report(bench, failure, done + batch.indexOf(failure.program), upheaval);
  failed += failures.length;
}

/** One that only the agent knows leaves the probe's batches as they are, and the other way round. */
function coursesOf(asked: string | undefined): {
  readonly course: readonly Upheaval[];
  readonly agentCourse: readonly AgentUpheaval[];
} {
  const names = new Set(asked?.split(","));
  const ofProbe = UPHEAVALS.filter((each) => names.has(each));
  const ofAgent = AGENT_UPHEAVALS.filter((each) => names.has(each));
  const all = new Set<string>([...UPHEAVALS, ...AGENT_UPHEAVALS]);
  if (asked && [...names].some((name) => !all.has(name)))
    throw new Error(`FLOWSPAN_UPHEAVAL is ${asked}, must be some of ${[...all].join(",")}`);
  return {
    course: ofProbe.length > 0 ? ofProbe : COURSE,
    agentCourse: ofAgent.length > 0 ? ofAgent : AGENT_UPHEAVALS,
  };
}

/** Prints the difference and writes the program, made small while there is time. */
async function report<U extends string>(bench: Bench<U>, failure: Failure, index: number, upheaval: U): Promise<void> {
  console.log(
    `torture: program ${index} of seed ${seed} (${upheaval}) differs:\n  ${failure.differences.slice(0, 5).join("\n  ")}`,
  );
  const evidence = failure.evidence();
  const small = Date.now() < deadline && failed < 10 ? await minimize(bench, failure, upheaval, atOnce) : failure;
  const remarks = small.differences.map((each) => `# ${each}\n`).join("");
  keepPlay(`${seed}-${index}`, evidence);
  const file = join(OUTPUT, `${seed}-${index}.txt`);
  writeFileSync(file, `# seed ${seed}, program ${index}, ${upheaval}\n${remarks}${formatProgram(small.program)}`);
  console.log(`torture: ${small.program.length} lines of it are in ${file}, the play that differed beside it (.play)`);
}
