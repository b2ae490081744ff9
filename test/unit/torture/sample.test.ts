/** The suites' sample of random programs: what differs counts at its first play, and the play is kept. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { OUTPUT } from "../../torture/evidence.ts";
import type { Bench } from "../../torture/judge.ts";
import { formatProgram, type Program } from "../../torture/program.ts";
import { playSample, programsOf, SEED } from "../../torture/sample.ts";
import { PLAIN_BOOKS, PLAIN_CALLS, PLAIN_WIRE, plainSeen, traceOf } from "./traces.ts";

const FROM = 1_000_003;

test("a program that differs once is told with its number in the seed, and its play is in a file", async () => {
  const file = join(OUTPUT, `${SEED}-${FROM + 1}.play`);
  onTestFinished(() => rmSync(file, { force: true }));
  const asked: number[] = [];
  // Only the second program is performed, and none of its ends has a record.
  const bench: Bench<string> = {
    known: new Set(),
    run: async (programs: readonly Program[]) => {
      asked.push(programs.length);
      const trace = traceOf(PLAIN_CALLS + PLAIN_WIRE + PLAIN_BOOKS);
      const seen = { ...plainSeen(), records: [] };
      return { performed: [{ program: programs[1] as Program, trace, seen }], losses: {}, hidden: 0 };
    },
  };

  const different = await playSample(bench, { from: FROM, count: 2 }, "late", 0);

  const [second] = programsOf(SEED, { from: FROM + 1, count: 1 });
  expect(different).toMatchObject([{ upheaval: "late", program: formatProgram(second as Program) }]);
  expect(different[0]?.differences.length).toBeGreaterThan(0);
  expect(asked).toEqual([2]);
  expect(existsSync(file)).toBe(true);
});
