/**
 * How much of a directory's answers an agent takes in: at once, and over the time for which it remembers former owners.
 *
 * Agents trust a directory with names, and not with their memory. The budget grows with the addresses that the agent asked for,
 * and is several times what honest answers to them cost. Pure; times are CLOCK_BOOTTIME milliseconds.
 */
import { GONE_MS } from "../../naming/identify.ts";

const RESERVE_BYTES = 4 * 1024 * 1024;
const BYTES_PER_KEY = 3 * 1024;
const MAX_BYTES = 64 * 1024 * 1024;
/** Every new stream brings all answers again; replicas are restarted one after the other. */
const ROUNDS = 4;

/** An answer, or a stream of them, that is more than an agent takes in. */
export class OverBudget extends Error {}

/** What the last answers to this many keys may cost together. */
export function budgetOf(keys: number): number {
  return Math.min(MAX_BYTES, RESERVE_BYTES + keys * BYTES_PER_KEY);
}

/** Counts what comes in, and forgets it as the tables of names forget former owners. */
export class AnswerFlow {
  #taken = 0;
  #atMs = 0;

  /** @throws OverBudget when the last minutes brought more than `keys` answers can be */
  take(cost: number, keys: number, nowMs: number): void {
    const limit = ROUNDS * budgetOf(keys);
    const sinceMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    this.#taken = Math.max(0, this.#taken - (limit * sinceMs) / GONE_MS) + cost;
    if (this.#taken <= limit) return;
    this.#taken = limit;
    const minutes = GONE_MS / 60_000;
    throw new OverBudget(`its answers of ${minutes} minutes are more than ${keys} addresses can need`);
  }
}
