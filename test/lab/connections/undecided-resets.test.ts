/**
 * More resets that do not show yet who sent them than there are places for: a thread keeps the lock of each closed
 * socket, as if its segment were worked on at this moment (held.c). What then cannot be known is a loss by its name.
 *
 *   both ends on one loopback ── client: shut down both ways, with data unread ── server: aborts, or sends more
 */
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { untilNothingHidden } from "../../machine/witness.ts";
import { NEEDS, useCallLab } from "../agents/call-lab.ts";
import { eventually } from "../programs/process.ts";
import { program } from "../programs/run.ts";

/** bpf/tcp/undecided.h */
const PLACES = 64;
const ABORTED = 211;
const REFUSED = 23;

const test = needs(...NEEDS);
const calls = useCallLab();

test("a reset that no place is left for counts as received, also where this end sent it, and is a loss", async () => {
  await untilNothingHidden((attempt) => fill(7600 + attempt));
}, 120_000);

async function fill(port: number): Promise<void> {
  const { tally, pod } = calls();
  await tally.take();
  const before = losses();
  const held = pod.spawn([program("held"), ...[port, ABORTED, REFUSED].map(String)]);
  const said = (word: string) =>
    eventually(
      () => `${word} of ${held.describe()}`,
      () => held.stdout.includes(word),
    );

  await said("aborted");
  await tally.take();
  const ofAborted = losses() - before;
  held.command("go on");
  await said("refused");
  await tally.take();
  const ofRefused = losses() - before - ofAborted;
  held.command("end");
  await held.ended;
  const records = await calls().records(port, 2 * (ABORTED + REFUSED));
  const client = calls().counters(port, "client");
  const server = calls().counters(port, "server");

  expect(ofAborted).toBeGreaterThanOrEqual(ABORTED - PLACES);
  expect(ofRefused).toBeGreaterThan(0);
  expect(client.resetReceived).toBe(ABORTED + ofRefused);
  expect(client.resetSent).toBe(REFUSED);
  expect([server.resetSent, server.resetReceived]).toEqual([ABORTED, REFUSED]);
  expect(records).toHaveLength(2 * (ABORTED + REFUSED));
}

function losses(): number {
  return calls().tally.losses.reset_undecided ?? 0;
}
