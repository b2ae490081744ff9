/**
 * What an edge of TCP counts, as struct frame_edge lays it out: struct edge_counters, then the histograms' slots.
 *
 * Numbers are read where they lie, in the machine's byte order, which is the frames' wherever the probe runs.
 */
import { EDGE_COUNTERS, edgeKey, frameEdge, HistogramSlot, slotGrowth } from "../generated/layout.ts";
import type { EdgeRow, EdgeShape, EdgeValues } from "./edge-shape.ts";
import type { DecodeFailure } from "./frame-decoder.ts";
import { HIGH_LIMIT } from "./frame-fields.ts";
import { type RowPage, type RowPages, WORD } from "./rows.ts";

const IPPROTO_TCP = 6;
const TWO_32 = 2 ** 32;
const COUNTERS = EDGE_COUNTERS.length;

const GROWTH_AT = frameEdge.fields.growth.offset / WORD;
const OPEN_AT = frameEdge.fields.open.offset / WORD;
const LIMIT_AT = frameEdge.fields.limit.offset / WORD;
const SLOT_COUNT_AT = frameEdge.fields.slotCount.offset / WORD;
const SLOTS_AT = frameEdge.size / WORD;
const SLOT_WORDS = slotGrowth.size / WORD;
const SLOT_AT = SLOTS_AT + slotGrowth.fields.slot.offset / WORD;
const COUNT_AT = SLOTS_AT + slotGrowth.fields.count.offset / WORD;

/** One FRAME_EDGE's payload in a page. It must not be used once its pages are freed. */
class TcpEdgeRow implements EdgeRow {
  readonly #page: RowPage;
  /** Its first word. */
  readonly #at: number;

  constructor(page: RowPage, at: number) {
    this.#page = page;
    this.#at = at;
  }

  get kind(): "edge" {
    return "edge";
  }

  get id(): string {
    const at = this.#at * WORD + frameEdge.fields.key.offset;
    return this.#page.bytes.toString("latin1", at, at + edgeKey.size);
  }

  get exchange(): bigint {
    return this.#page.bytes.readBigUInt64LE(this.#at * WORD + frameEdge.fields.exchange.offset);
  }

  get sinceNs(): bigint {
    return this.#page.bytes.readBigUInt64LE(this.#at * WORD + frameEdge.fields.sinceNs.offset);
  }

  get open(): number {
    return this.#page.words[this.#at + OPEN_AT] as number;
  }

  get limit(): number {
    return this.#page.words[this.#at + LIMIT_AT] as number;
  }

  get slotCount(): number {
    return this.#page.words[this.#at + SLOT_COUNT_AT] as number;
  }

  /** Of all counters, the largest upper half. */
  get largestHigh(): number {
    const { words } = this.#page;
    const end = this.#at + GROWTH_AT + 2 * COUNTERS;
    let largest = 0;
    for (let at = this.#at + GROWTH_AT + 1; at < end; at += 2) {
      if ((words[at] as number) > largest) largest = words[at] as number;
    }
    return largest;
  }

  counter(index: number): number {
    const { words } = this.#page;
    const at = this.#at + GROWTH_AT + 2 * index;
    return (words[at + 1] as number) * TWO_32 + (words[at] as number);
  }

  slot(index: number): number {
    return this.#page.words[this.#at + SLOT_AT + index * SLOT_WORDS] as number;
  }

  count(index: number): number {
    return this.#page.words[this.#at + COUNT_AT + index * SLOT_WORDS] as number;
  }

  get counters(): Float64Array {
    return Float64Array.from({ length: COUNTERS }, (_, index) => this.counter(index));
  }

  get slots(): Uint32Array {
    const pairs = { length: 2 * this.slotCount };
    return Uint32Array.from(pairs, (_, i) => (i % 2 === 0 ? this.slot(i >> 1) : this.count(i >> 1)));
  }

  get row(): Buffer<ArrayBuffer> {
    const at = this.#at * WORD;
    return this.#page.bytes.subarray(at, at + frameEdge.size + this.slotCount * slotGrowth.size);
  }
}

function rowAt(payload: Uint8Array, pages: RowPages): TcpEdgeRow {
  return pages.add(payload, (page, at) => new TcpEdgeRow(page, at));
}

function decode(payload: Buffer, pages: RowPages): EdgeRow | DecodeFailure {
  if (payload.length < frameEdge.size) return "wrong_length";
  const slotCount = payload.readUInt32LE(frameEdge.fields.slotCount.offset);
  if (payload.length !== frameEdge.size + slotCount * slotGrowth.size) return "wrong_length";
  const row = rowAt(payload, pages);
  const failure = failureOf(row);
  if (failure !== undefined) pages.removeLast(payload.length);
  return failure ?? row;
}

function failureOf(row: TcpEdgeRow): DecodeFailure | undefined {
  if (row.largestHigh >= HIGH_LIMIT) return "number_too_large";
  for (let i = 0; i < row.slotCount; i++) if (row.slot(i) >= HistogramSlot.SLOT_COUNT) return "slot_out_of_range";
  return undefined;
}

function encode(growth: EdgeValues): Buffer {
  const at = frameEdge.fields;
  const slotCount = growth.slots.length / 2;
  const row = Buffer.alloc(frameEdge.size + slotCount * slotGrowth.size);
  row.write(growth.id, at.key.offset, "latin1");
  row.writeBigUInt64LE(growth.exchange, at.exchange.offset);
  row.writeBigUInt64LE(growth.sinceNs, at.sinceNs.offset);
  for (let i = 0; i < COUNTERS; i++) {
    row.writeBigUInt64LE(BigInt(growth.counters[i] as number), at.growth.offset + i * 8);
  }
  row.writeUInt32LE(growth.open, at.open.offset);
  row.writeUInt32LE(growth.limit, at.limit.offset);
  row.writeUInt32LE(slotCount, at.slotCount.offset);
  for (let i = 0; i < slotCount; i++) {
    const slotAt = frameEdge.size + i * slotGrowth.size;
    row.writeUInt32LE(growth.slots[2 * i] as number, slotAt + slotGrowth.fields.slot.offset);
    row.writeUInt32LE(growth.slots[2 * i + 1] as number, slotAt + slotGrowth.fields.count.offset);
  }
  return row;
}

export const TCP_EDGE: EdgeShape = { protocol: IPPROTO_TCP, decode, row: rowAt, encode };
