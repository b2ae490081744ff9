/**
 * Random histories of a cluster: every byte goes by the name of who had it, or is `unknown` where a rule of
 * ARCHITECTURE.md says so, whichever way names come.
 *
 * With a fresh seed each time, which a failure prints beside the smallest history that fails; `make torture-names`
 * runs more of them.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { anyHistory, play } from "../../histories/history.ts";
import type { Way } from "../../histories/machine.ts";
import { told } from "../../histories/report.ts";

const SECONDS = 6;
const WAYS: readonly Way[] = ["watch", "directory"];

test.each(WAYS)("whatever happens in a cluster, no byte goes by a wrong name, with a %s", (way) => {
  const seed = Date.now() & 0x7fffffff;
  const checked = fc.check(
    fc.property(anyHistory, (history) => {
      expect(play(history, [way]).wrong.map(told)).toEqual([]);
    }),
    { seed, numRuns: 100_000, interruptAfterTimeLimit: SECONDS * 1_000, markInterruptAsFailure: false },
  );

  console.log(`${checked.numRuns} histories with a ${way}, seed ${seed}`);
  expect(checked.failed, `seed ${seed}: ${fc.stringify(checked.counterexample)}\n${checked.errorInstance}`).toBe(false);
});
