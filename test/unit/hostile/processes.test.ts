/** A sample of the same configurations, given to real processes: see test/hostile. `npm run hostile` runs more of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { makeFixtures } from "../../hostile/fixtures.ts";
import { runs, startWorld } from "../../hostile/processes.ts";

/** As many as fit, and one at least: a process takes a second or two. */
const TIME_MS = 8_000;

test("no command that is given any of them prints a stack trace or a secret, or ends without a word", async () => {
  const seed = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 2 ** 31);
  using fixtures = makeFixtures();
  await using world = await startWorld(fixtures);
  const startMs = performance.now();
  let done = 0;

  for (const run of fc.sample(runs(fixtures), { numRuns: 20, seed })) {
    expect(await world.judge(run)).toEqual([]);
    done++;
    if (performance.now() - startMs > TIME_MS) break;
  }

  console.log(`${done} processes with seed ${seed}: FLOWSPAN_SEED=${seed} repeats them`);
}, 60_000);
