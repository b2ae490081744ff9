/**
 * `make accuracy`: random scenarios on real sockets against what the agents of all nodes find. Prints each scenario that is not
 * found as it was made, and at the end recall and precision. Results are in build/accuracy/SEED.json, and a run with the same seed goes
 * on there. What is wrongly found makes the run fail.
 *
 * `--healthy 60` plays as many minutes of healthy traffic instead, in intervals that are so much shorter than 15 s.
 *
 *     node test/accuracy/run.ts --seed 1 --scenarios 300 --seconds 1500 --interval 2000 --from 0
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../lab/programs/run.ts";
import { numberOptions } from "../number-options.ts";
import { programSeed } from "../torture/program.ts";
import { Campaign } from "./campaign.ts";
import { playHealthy } from "./healthy.ts";
import type { ScenarioVerdict } from "./judge.ts";
import { type Results, renderReport } from "./report.ts";
import { scenarioOf } from "./scenario.ts";

/** The agent's default interval. */
const INTERVAL_MS = 15_000;

const options = numberOptions({
  seed: Math.floor(Math.random() * 2 ** 31),
  scenarios: 20,
  seconds: 3600,
  interval: 2000,
  from: 0,
  healthy: 0,
});
const { seed, scenarios, interval } = options;
const directory = join(ROOT, "build/accuracy");
mkdirSync(directory, { recursive: true });
const isRight = options.healthy > 0 ? await playHealthyMinutes(options.healthy) : await playScenarios();
process.exitCode = isRight ? 0 : 1;

async function playScenarios(): Promise<boolean> {
  const file = join(directory, `${seed}.json`);
  const verdicts = resumed(file);
  const deadline = Date.now() + options.seconds * 1000;
  const there = verdicts.length;
  console.log(
    `accuracy: seed ${seed}, scenarios ${options.from} to ${scenarios - 1}, ${interval} ms an interval; ${there} known`,
  );
  const campaign = await Campaign.start(interval);
  try {
    const turns = Array.from({ length: Math.max(0, scenarios - options.from) }, (_, i) => options.from + i);
    const left = turns.filter((turn) => !verdicts.some((verdict) => verdict.seed === programSeed(seed, turn)));
    const all = left.map((turn) => scenarioOf(programSeed(seed, turn), turn));
    for (const [at, scenario] of all.entries()) {
      if (Date.now() >= deadline) break;
      const { verdict, found, suspects } = await campaign.play(scenario, all[at + 1]);
      verdicts.push(verdict);
      const results: Results = { seed, interval, verdicts };
      writeFileSync(file, JSON.stringify(results));
      const isAsMade =
        verdict.wrong.length + verdict.wrongPlaces.length === 0 &&
        verdict.faults.every(({ outcome }) => outcome === "found");
      console.log(`${left[at]}: ${isAsMade ? "right" : JSON.stringify({ scenario, verdict, found, suspects })}`);
    }
  } finally {
    await campaign.close();
  }
  console.log(renderReport({ seed, interval, verdicts }));
  return verdicts.every(({ wrong, wrongPlaces }) => wrong.length + wrongPlaces.length === 0);
}

async function playHealthyMinutes(minutes: number): Promise<boolean> {
  const exchanges = Math.ceil((minutes * 60_000) / INTERVAL_MS);
  console.log(`accuracy: seed ${seed}, ${minutes} healthy minutes as ${exchanges} intervals of ${interval} ms`);
  const healthy = await playHealthy(seed, interval, exchanges);
  const results = { seed, interval, exchanges, ...healthy };
  writeFileSync(join(directory, `${seed}-healthy.json`), JSON.stringify(results));
  console.log(JSON.stringify(results, undefined, 1));
  return healthy.found.length === 0;
}

/** @throws where the file is of other intervals */
function resumed(file: string): ScenarioVerdict[] {
  try {
    const known = JSON.parse(readFileSync(file, "utf8")) as Results;
    if (known.interval !== interval) throw new Error(`${file} is of intervals of ${known.interval} ms: remove it`);
    return [...known.verdicts];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return [];
}
