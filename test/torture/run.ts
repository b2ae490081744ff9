/**
 * `make torture`: random programs under one probe, each held against its own count, the wire and the kernel's books. What
 * differs is made small and left in build/torture/, to become a program of test/torture/found/.
 *
 *     node test/torture/run.ts --seed 1 --programs 10000 --seconds 600 --at-once 100
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lab/run.ts";
import { numberOptions } from "../number-options.ts";
import { TortureBench, type Upheaval } from "./batch.ts";
import { generate } from "./generate.ts";
import { type Failure, judge, minimize } from "./judge.ts";
import { KNOWN_CHECKS, KNOWN_FEATURES, SOUND_FEATURES } from "./known.ts";
import { formatProgram, programSeed } from "./program.ts";

const OUTPUT = join(ROOT, "build/torture");
const UPHEAVALS: readonly Upheaval[] = ["none", "none", "upgrade", "none", "kill"];

const options = numberOptions({
  seed: Number(process.env.FLOWSPAN_SEED ?? Date.now() % 1_000_000),
  programs: 1_000,
  seconds: 600,
  "at-once": 100,
  from: 0,
});
const { seed, programs, "at-once": atOnce } = options;
const deadline = Date.now() + options.seconds * 1000;

console.log(`torture: seed ${seed}, ${programs} programs, ${atOnce} at once`);
for (const [name, why] of Object.entries({ ...KNOWN_CHECKS, ...KNOWN_FEATURES }))
  console.log(`torture: not looked at: ${name}: ${why}`);

let done = options.from;
let failed = 0;
const bench = await TortureBench.start();
try {
  for (let batch = 0; done < programs && Date.now() < deadline; batch++) {
    const count = Math.min(atOnce, programs - done);
    const upheaval = UPHEAVALS[batch % UPHEAVALS.length] ?? "none";
    const batchPrograms = Array.from({ length: count }, (_, i) =>
      generate(programSeed(seed, done + i), SOUND_FEATURES),
    );
    const failures = await judge(bench, batchPrograms, upheaval);
    for (const failure of failures) await report(failure, done + batchPrograms.indexOf(failure.program), upheaval);
    failed += failures.length;
    done += count;
    console.log(`torture: ${done} programs, ${failed} differ`);
  }
} finally {
  await bench.close();
}
process.exitCode = failed > 0 || done === 0 ? 1 : 0;

/** Prints the difference and writes the program, made small while there is time. */
async function report(failure: Failure, index: number, upheaval: Upheaval): Promise<void> {
  console.log(
    `torture: program ${index} of seed ${seed} (${upheaval}) differs:\n  ${failure.differences.slice(0, 5).join("\n  ")}`,
  );
  const small = Date.now() < deadline && failed < 10 ? await minimize(bench, failure, upheaval, atOnce) : failure;
  const remarks = small.differences.map((each) => `# ${each}\n`).join("");
  mkdirSync(OUTPUT, { recursive: true });
  const file = join(OUTPUT, `${seed}-${index}.txt`);
  writeFileSync(file, `# seed ${seed}, program ${index}, ${upheaval}\n${remarks}${formatProgram(small.program)}`);
  console.log(`torture: ${small.program.length} lines of it are in ${file}`);
}
