/** Configurations by table and at random: see test/hostile. `npm run hostile` runs more of them. */
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { loadSchemaCheck } from "../../../agent/config/load.ts";
import { makeFixtures } from "../../hostile/fixtures.ts";
import { judge } from "../../hostile/judge.ts";
import { situations } from "../../hostile/situations.ts";

const fixtures = makeFixtures();
afterAll(() => fixtures[Symbol.dispose]());
const checkSchema = await loadSchemaCheck();

test("no configuration makes flowspan throw, print a secret, or refuse without saying what and why", async () => {
  const seed = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 2 ** 31);
  const runs = Number(process.env.FLOWSPAN_RUNS ?? 1_500);
  console.log(`${runs} configurations with seed ${seed}: FLOWSPAN_SEED=${seed} repeats them`);

  await fc.assert(
    fc.asyncProperty(situations(fixtures.paths), async (situation) => {
      expect(await judge(situation, fixtures, checkSchema)).toEqual([]);
    }),
    { numRuns: runs, seed, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false },
  );
});
