/**
 * What settles would have done to the kernel, for a replay.
 *
 * A recorded row is growth since the recorded agent settled its edge; the replaying pipeline settles other
 * exchanges (its Collector was there when the recorded one was away, or the other way round). The ledger
 * keeps, for each edge, what the recording has settled and the replay has not, and adds it to the
 * edge's next row: what comes out is what the kernel would have reported to the replaying agent.
 *
 * Bounded: a recording may settle edges without end. Edges that are even on both sides are forgotten first.
 */
import type { EdgeGrowth } from "../model/edge.ts";
import { decodeEdge, edgeRowOf } from "../source/decode-edge.ts";
import type { DecodeFailure } from "../source/frame-decoder.ts";
import { RowPages } from "../source/rows.ts";

/** The recording settles more than it has reported, or than the ledger holds: no probe and no agent made both. */
export class LedgerImbalance extends Error {
  override readonly name = "LedgerImbalance";
}

/** Edges with an account. A table of the default size has 65,536. */
const ACCOUNTS_MAX = 100_000;
const SLOT_MAX = 2 ** 32 - 1;

interface Account {
  /** Settled by the recording minus settled by the replay; below zero where the replay is ahead. */
  readonly counters: Float64Array;
  readonly slots: Map<number, number>;
  /** The last exchange that the recording settled: it repeats settles after a reconnect. */
  recordedExchange: bigint;
  /** When the replay last settled it, or since when its first row was. */
  sinceNs: bigint;
  /** Of the last row, for a row that has to be made up. */
  limit: number;
}

export class SettleLedger {
  #accounts = new Map<string, Account>();
  readonly #max: number;

  /** @param max edges with an account */
  constructor(max = ACCOUNTS_MAX) {
    this.#max = max;
  }

  /** New maps in the kernel: nothing of the old ones counts. */
  clear(): void {
    this.#accounts = new Map();
  }

  /** The recorded agent settled this row. */
  recorded(row: Buffer): DecodeFailure | undefined {
    const growth = decodeEdge(row, new RowPages(0));
    if (typeof growth === "string") return growth;
    const account = this.#account(growth);
    if (growth.exchange > account.recordedExchange) {
      account.recordedExchange = growth.exchange;
      add(account, growth, 1);
    }
    return undefined;
  }

  /** The replaying agent settled this row, which rows() handed out at `bootNs`. */
  replayed(row: Buffer, bootNs: bigint): DecodeFailure | undefined {
    const growth = decodeEdge(row, new RowPages(0));
    if (typeof growth === "string") return growth;
    const account = this.#account(growth);
    account.sinceNs = bootNs;
    add(account, growth, -1);
    return undefined;
  }

  /**
   * The rows of an exchange as the replaying agent's kernel would have sent them.
   *
   * @throws LedgerImbalance
   */
  rows(recorded: readonly EdgeGrowth[], exchange: bigint): EdgeGrowth[] {
    const rows = recorded.map((row) => this.#adjusted(row));
    const seen = new Set(recorded.map((row) => row.id));
    for (const [id, account] of this.#accounts) {
      if (seen.has(id) || !owes(account)) continue;
      rows.push(this.#adjusted(withNothing(id, exchange, account)));
    }
    return rows;
  }

  #adjusted(row: EdgeGrowth): EdgeGrowth {
    const account = this.#account(row);
    account.limit = row.limit;
    if (!owes(account)) {
      account.sinceNs = row.sinceNs;
      return row;
    }
    const counters = row.counters.map((value, index) => value + (account.counters[index] as number));
    const merged = new Map(account.slots);
    for (let i = 0; i < row.slotCount; i++) bump(merged, row.slot(i), row.count(i));
    mustBalance(counters, merged);
    const slots = Uint32Array.from([...merged].sort(([a], [b]) => a - b).flat());
    const { id, exchange, open, limit } = row;
    return edgeRowOf({ id, exchange, sinceNs: account.sinceNs, counters, slots, open, limit });
  }

  #account(row: EdgeGrowth): Account {
    const known = this.#accounts.get(row.id);
    if (known !== undefined) return known;
    if (this.#accounts.size >= this.#max) this.#forgetEven();
    const counters = new Float64Array(row.counters.length);
    const account = { counters, slots: new Map(), recordedExchange: 0n, sinceNs: row.sinceNs, limit: row.limit };
    this.#accounts.set(row.id, account);
    return account;
  }

  /** Makes room: the oldest accounts in which neither side is ahead. @throws LedgerImbalance where there is none */
  #forgetEven(): void {
    for (const [id, account] of this.#accounts) {
      if (this.#accounts.size <= this.#max / 2) return;
      if (!owes(account)) this.#accounts.delete(id);
    }
    // Less room than that would be looked for again and again.
    const tooMany = Math.floor(this.#max * 0.9);
    if (this.#accounts.size > tooMany)
      throw new LedgerImbalance(`more than ${tooMany} edges were settled on one side alone`);
  }
}

function add(account: Account, growth: EdgeGrowth, sign: 1 | -1): void {
  for (const [index, value] of growth.counters.entries())
    account.counters[index] = (account.counters[index] as number) + sign * value;
  for (let i = 0; i < growth.slotCount; i++) bump(account.slots, growth.slot(i), sign * growth.count(i));
}

function bump(slots: Map<number, number>, slot: number, by: number): void {
  const count = (slots.get(slot) ?? 0) + by;
  if (count === 0) slots.delete(slot);
  else slots.set(slot, count);
}

function mustBalance(counters: Float64Array, slots: ReadonlyMap<number, number>): void {
  const isGrowth = counters.every((value) => value >= 0 && Number.isSafeInteger(value));
  if (isGrowth && [...slots.values()].every((count) => count >= 0 && count <= SLOT_MAX)) return;
  throw new LedgerImbalance("an edge has grown by less than nothing, or by more than a counter holds");
}

function owes(account: Account): boolean {
  return account.slots.size > 0 || account.counters.some((value) => value !== 0);
}

function withNothing(id: string, exchange: bigint, { sinceNs, limit, counters }: Account): EdgeGrowth {
  const nothing = { counters: new Float64Array(counters.length), slots: new Uint32Array(0), open: 0 };
  return edgeRowOf({ id, exchange, sinceNs, limit, ...nothing });
}
