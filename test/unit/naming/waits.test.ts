/** Waiting for owners of addresses stays bounded, and comes to an end, however many addresses there are. */
import { expect, test } from "vitest";
import { PENDING_MS } from "../../../agent/naming/identify.ts";
import { Waits } from "../../../agent/naming/waits.ts";
import { clusterIdentity, edge, ns, START_MS } from "./cluster-builders.ts";

const FORGET_MS = 600_000;
const INTERVAL_MS = 10_000;

test("more addresses than are waited for at once all get a name after the time of one wait", () => {
  const identity = clusterIdentity();
  const addresses = Array.from({ length: 70_000 }, (_, i) => `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`);
  const pendingAt = (nowMs: number) =>
    addresses.filter((remoteAddress) => {
      const key = edge({ remoteAddress, role: "server" });
      return identity.identify(key, ns(nowMs - INTERVAL_MS), ns(nowMs)).state === "pending";
    }).length;

  const pending = [START_MS, START_MS + PENDING_MS].map(pendingAt);

  // Those that find no room are not waited for; without room for all of them, none would ever be done.
  expect(pending).toEqual([65_536, 0]);
});

test("a wait begins with the first question, and anew after the thing was there or nobody has asked for long", () => {
  const waits = new Waits(PENDING_MS, 3);
  const asked = (atMs: number) => waits.isOver("a", atMs, FORGET_MS);

  expect([0, PENDING_MS - 1, PENDING_MS].map(asked)).toEqual([false, false, true]);
  waits.end("a");
  expect([PENDING_MS, 2 * PENDING_MS].map(asked)).toEqual([false, true]);
  expect(asked(2 * PENDING_MS + FORGET_MS)).toBe(true);
  expect(asked(2 * PENDING_MS + 2 * FORGET_MS + 1)).toBe(false);
});

test("at the limit what nobody asks for any more makes room, and nothing else does", () => {
  const waits = new Waits(PENDING_MS, 2);
  const over = (thing: string, atMs: number) => waits.isOver(thing, atMs, FORGET_MS);
  over("a", 0);
  over("b", 0);
  over("b", PENDING_MS);

  const refused = over("c", PENDING_MS);
  const admitted = over("c", PENDING_MS + 1);

  expect([refused, admitted, waits.size]).toEqual([true, false, 2]);
  expect(over("b", PENDING_MS + 1)).toBe(true);
});

test("a sweep forgets what was asked for long ago", () => {
  const waits = new Waits(PENDING_MS, 9);
  waits.isOver("a", 0, FORGET_MS);
  waits.isOver("b", 0, FORGET_MS);
  waits.isOver("a", 1, FORGET_MS);

  waits.sweep(FORGET_MS + 1, FORGET_MS);

  expect([waits.size, waits.isOver("a", PENDING_MS + 1, FORGET_MS)]).toEqual([1, true]);
});
