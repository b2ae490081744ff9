/** Damaged recordings at random: see test/hostile/recordings.ts. `npm run hostile` runs more of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { makeMutants, mutations } from "../../hostile/recordings.ts";

test("a damaged recording never holds a replay or takes more than 256 MiB, and its error says what is wrong and where", async () => {
  const seed = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 2 ** 31);
  const runs = Number(process.env.FLOWSPAN_RUNS ?? 400);
  console.log(`${runs} recordings with seed ${seed}: FLOWSPAN_SEED=${seed} repeats them`);
  using mutants = makeMutants();

  await fc.assert(
    fc.asyncProperty(mutations, async (mutation) => {
      expect(await mutants.judge(mutation)).toBeUndefined();
    }),
    { numRuns: runs, seed, interruptAfterTimeLimit: 12_000, markInterruptAsFailure: false },
  );
  console.log(`replays took ${mutants.peakMib} MiB at most`);
}, 60_000);
