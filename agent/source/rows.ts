/**
 * The rows of an exchange, kept as the bytes that they came in, and the way back from a row to bytes.
 *
 *   page ─ row ─ row ─ row ─ …      an EdgeRow is a place in a page: its numbers are read where they lie
 *
 * A node has thousands of rows in every exchange. Decoded into objects and arrays they would cost ten times
 * their bytes and be the collector's main work; here they are freed at once, a page at a time. Numbers are
 * read in the machine's byte order, which is the frames' wherever the probe runs.
 */
import { EDGE_COUNTERS, edgeKey, frameEdge, slotGrowth } from "../generated/layout.ts";
import type { EdgeGrowth } from "../model/edge.ts";

/** Large enough for malloc to give it back to the kernel at once. */
const PAGE_BYTES = 256 * 1024;
const WORD = 4;
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

interface Page {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly words: Uint32Array;
}

/** One FRAME_EDGE's payload in a page. It must not be used once its pages are freed. */
export class EdgeRow implements EdgeGrowth {
  readonly #page: Page;
  /** Its first word. */
  readonly #at: number;

  constructor(page: Page, at: number) {
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

/** Where the rows of one exchange lie. */
export class RowPages {
  readonly #pageBytes: number;
  #pages: Page[] = [];
  /** Bytes used of the last page. */
  #used = 0;

  /** @param pageBytes 0 for rows that are not many: each gets what it needs */
  constructor(pageBytes = PAGE_BYTES) {
    this.#pageBytes = pageBytes;
  }

  /** @param payload of a FRAME_EDGE, whole; copied */
  add(payload: Uint8Array): EdgeRow {
    let page = this.#pages.at(-1);
    if (page === undefined || this.#used + payload.length > page.bytes.length) {
      const buffer = new ArrayBuffer(Math.max(this.#pageBytes, payload.length));
      page = { bytes: Buffer.from(buffer), words: new Uint32Array(buffer) };
      this.#pages.push(page);
      this.#used = 0;
    }
    page.bytes.set(payload, this.#used);
    const row = new EdgeRow(page, this.#used / WORD);
    this.#used += payload.length;
    return row;
  }

  /** Gives the memory back at once. Without it the rows live as long as somebody holds one. */
  free(): void {
    for (const { bytes } of this.#pages) bytes.buffer.transfer(0);
    this.#pages = [];
  }
}

/** A row with the same key that says something else: the payload of its FRAME_EDGE. */
export function encodeEdge(
  growth: Pick<EdgeGrowth, "id" | "exchange" | "sinceNs" | "counters" | "slots" | "open" | "limit">,
): Buffer {
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
