import { expect, test } from "vitest";
import { untilNothingHidden } from "../../machine/witness.ts";

/** Each attempt hides as many as its number says. */
function machine(...hidden: readonly number[]) {
  let started = 0;
  return () => {
    const count = hidden[started++] ?? 0;
    return { stop: () => count };
  };
}

test("an attempt counts once nothing was hidden from it, whatever those before it said", async () => {
  const attempts: number[] = [];
  const result = await untilNothingHidden(
    async (attempt) => {
      attempts.push(attempt);
      if (attempt === 0) throw new Error("hidden, and differs");
      return `said ${attempt}`;
    },
    machine(1, 7, 0),
  );

  expect(attempts).toEqual([0, 1, 2]);
  expect(result).toBe("said 2");
});

test("what differs with nothing hidden fails at once", async () => {
  const attempts: number[] = [];
  const fails = untilNothingHidden(
    async (attempt) => {
      attempts.push(attempt);
      throw new Error("differs");
    },
    machine(3, 0, 0),
  );

  await expect(fails).rejects.toThrow("differs");
  expect(attempts).toEqual([0, 1]);
});

test("a machine that never stops hiding: none counts, not even one that found nothing wrong", async () => {
  const fails = untilNothingHidden(async () => {}, machine(3, 1, 4, 1, 5));

  await expect(fails).rejects.toThrow("hid state changes from BPF in each of 5 attempts (3, 1, 4, 1, 5): none counts");
});
