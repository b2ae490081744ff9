/**
 * `make torture-names`: random histories of a cluster for a time, with a seed of its own or a given one.
 *
 *   node test/histories/main.ts [--seed N] [--seconds N]
 *
 * Prints how many ran; of one that fails, the smallest that does, and what was wrong.
 */
import fc from "fast-check";
import { numberOptions } from "../number-options.ts";
import { anyHistory, play } from "./history.ts";
import { told } from "./report.ts";

const { seed, seconds } = numberOptions({ seed: Date.now() & 0x7fffffff, seconds: 60 });
const sum = { histories: 0, named: 0, unknown: 0 };
const checked = fc.check(
  fc.property(anyHistory, (history) => {
    const { wrong, counts } = play(history);
    sum.histories++;
    sum.named += counts.named;
    sum.unknown += counts.unknown;
    if (wrong.length > 0) throw new Error(wrong.map(told).join("\n"));
  }),
  { seed, numRuns: 1e9, interruptAfterTimeLimit: seconds * 1_000, markInterruptAsFailure: false },
);
process.stdout.write(
  `seed ${seed}: ${sum.histories} histories, each with a watch and with a directory; ` +
    `of what was sent ${sum.named} went by the right name and ${sum.unknown} by none\n`,
);
if (checked.failed) {
  process.stdout.write(`${fc.stringify(checked.counterexample)}\n${(checked.errorInstance as Error).message}\n`);
  process.exitCode = 1;
}
