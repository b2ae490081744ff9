/**
 * A row that outlives its exchange, with numbers of its own: what is sent before the rest of its edge's
 * growth is, and what is left when that was settled.
 *
 * Rows of an exchange lie in memory that is given back with the exchange; these do not.
 */
import type { EdgeGrowth } from "../model/edge.ts";

export class KeptRow implements EdgeGrowth {
  readonly id: string;
  readonly exchange: bigint;
  readonly sinceNs: bigint;
  readonly open: number;
  readonly limit: number;
  readonly counters: Float64Array;
  readonly slots: Uint32Array;
  readonly row: Uint8Array;

  private constructor(of: EdgeGrowth, counters: Float64Array, slots: Uint32Array, row: Uint8Array) {
    this.id = of.id;
    this.exchange = of.exchange;
    this.sinceNs = of.sinceNs;
    this.open = of.open;
    this.limit = of.limit;
    this.counters = counters;
    this.slots = slots;
    this.row = row;
  }

  static copy(of: EdgeGrowth): KeptRow {
    return new KeptRow(of, of.counters.slice(), of.slots.slice(), of.row.slice());
  }

  /** What is left of a row when `part` of it is settled: for comparing the next row with, never for sending. */
  static rest(of: EdgeGrowth, part: EdgeGrowth): KeptRow {
    const { counters: settled } = part;
    const counters = of.counters.map((count, index) => count - (settled[index] as number));
    const slots = new Map(pairs(of.slots));
    for (const [slot, count] of pairs(part.slots)) slots.set(slot, (slots.get(slot) ?? 0) - count);
    const left = [...slots].filter(([, count]) => count > 0);
    return new KeptRow(of, counters, Uint32Array.from(left.flat()), new Uint8Array(0));
  }

  get slotCount(): number {
    return this.slots.length / 2;
  }

  counter(index: number): number {
    return this.counters[index] as number;
  }

  slot(index: number): number {
    return this.slots[2 * index] as number;
  }

  count(index: number): number {
    return this.slots[2 * index + 1] as number;
  }
}

function pairs(flat: Uint32Array): [slot: number, count: number][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as number, flat[2 * i + 1] as number]);
}
