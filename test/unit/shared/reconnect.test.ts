/** One session after the other: pauses grow while they fail, and begin anew after a good one. */
import { expect, test } from "vitest";
import { keepReconnecting } from "../../../agent/shared/reconnect.ts";

const BACKOFF = { firstMs: 100, maxMs: 400 };

/** Runs sessions of these lengths on a clock of its own, then one that ends it all. */
async function run(lengthsMs: readonly number[]) {
  const stop = new AbortController();
  const left = [...lengthsMs];
  const told: string[] = [];
  const pausesMs: number[] = [];
  let nowMs = 0;
  const session = async () => {
    const lengthMs = left.shift();
    if (lengthMs === undefined) stop.abort();
    nowMs += lengthMs ?? 0;
    return `after ${lengthMs} ms`;
  };
  await keepReconnecting(session, {
    backoff: BACKOFF,
    random: () => 0.5, // half of a pause is fixed, and of the other half this share is taken
    steadyMs: 5_000,
    stop: stop.signal,
    onTrouble: (trouble) => told.push(trouble),
    nowMs: () => nowMs,
    pause: async (ms) => {
      pausesMs.push(ms);
      nowMs += ms;
    },
  });
  return { pausesMs, told };
}

test("pauses double up to their limit while sessions fail", async () => {
  expect((await run([0, 0, 4_999, 0])).pausesMs).toEqual([75, 150, 300, 300]);
});

test("after a session that lived long enough the next pause is the first again", async () => {
  expect((await run([0, 0, 5_000, 0])).pausesMs).toEqual([75, 150, 75, 150]);
});

test("each trouble is told, but not the end that was asked for", async () => {
  expect((await run([0, 23])).told).toEqual(["after 0 ms", "after 23 ms"]);
});

test("told to stop, it does not wait for the pause to be over", async () => {
  const stop = new AbortController();
  const startedMs = performance.now();
  await keepReconnecting(async () => "over", {
    backoff: { firstMs: 600_000, maxMs: 600_000 },
    random: () => 0,
    steadyMs: 5_000,
    stop: stop.signal,
    onTrouble: () => setTimeout(() => stop.abort(), 1),
  });

  expect(performance.now() - startedMs).toBeLessThan(10_000);
});
