/** What `make torture`, `make torture-names` and `npm run hostile` take. */
import { expect, test } from "vitest";
import { parseNumbers } from "../../number-options.ts";

const DEFAULTS = { seed: 23, "at-once": 100 };

test("what is written counts, and what is not has its default", () => {
  expect(parseNumbers(DEFAULTS, ["--seed", "0"])).toEqual({ seed: 0, "at-once": 100 });
  expect(parseNumbers(DEFAULTS, ["--at-once=7"])).toEqual({ seed: 23, "at-once": 7 });
});

test.each([
  [["--seed", "x"], '--seed "x": write a whole number'],
  [["--seed", ""], '--seed "": write a whole number'],
  [["--seed", "1.5"], '--seed "1.5": write a whole number'],
  [["--sede", "1"], "--sede"],
  [["7"], "7"],
])("%j is refused by its name", (args, words) => {
  expect(() => parseNumbers(DEFAULTS, args)).toThrow(words);
});
