/**
 * Chunks of a list's answer → its items, one by one, as text.
 *
 * A page of 500 pods is 5 to 10 MiB, and parsed at once takes 170 MiB; read so, it takes as much as its largest
 * item. Chunks may end anywhere. An item over the limit is passed over and counted, as a line of a watch is.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const BEFORE_ITEMS = /"items"\s*:\s*$/;
/** Of the levels of brackets: the answer's own, then that of the list of items. */
const ITEMS_DEPTH = 2;
/** The answer without its items has a version, a token to go on with, and little else. */
const FRAME_MAX = 64 * 1024;

export class ItemSplitter {
  readonly #limit: number;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inItems = false;
  #item: Buffer[] = [];
  #itemLength = 0;
  #oversized = 0;
  #frame = "";

  /** @param limit longest item in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Items that were longer than the limit. */
  get oversized(): number {
    return this.#oversized;
  }

  /** The answer without its items: JSON once the answer is whole. Cut when it is too long to be one. */
  get frame(): string {
    return this.#frame;
  }

  /** @returns the items that `chunk` completes; `chunk` may be kept */
  push(chunk: Buffer): string[] {
    const items: string[] = [];
    let start = 0;
    const takeUpTo = (end: number) => {
      this.#append(chunk.subarray(start, end));
      start = end;
    };
    for (let i = 0; i < chunk.length; i++) {
      if (this.#inString) {
        i = this.#endOfString(chunk, i);
        continue;
      }
      const byte = chunk[i];
      if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        takeUpTo(i);
        this.#open(byte);
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        const closesItem = this.#inItems && this.#depth === ITEMS_DEPTH + 1;
        if (closesItem) takeUpTo(i + 1);
        this.#close();
        if (closesItem) items.push(...this.#takeItem());
      } else if (byte === COMMA && this.#inItems && this.#depth === ITEMS_DEPTH) {
        takeUpTo(i);
        start = i + 1;
      }
    }
    takeUpTo(chunk.length);
    return items;
  }

  #open(byte: number): void {
    if (this.#depth === ITEMS_DEPTH - 1 && byte === OPEN_LIST) this.#inItems = BEFORE_ITEMS.test(this.#frame);
    this.#depth++;
  }

  #close(): void {
    this.#depth--;
    if (this.#depth < ITEMS_DEPTH) this.#inItems = false;
  }

  /** @returns where the string closes, or the last place of the chunk */
  #endOfString(chunk: Buffer, from: number): number {
    for (let i = from; i < chunk.length; i++) {
      if (this.#escaped) this.#escaped = false;
      else if (chunk[i] === BACKSLASH) this.#escaped = true;
      else if (chunk[i] === QUOTE) {
        this.#inString = false;
        return i;
      }
    }
    return chunk.length;
  }

  #append(part: Buffer): void {
    if (part.length === 0) return;
    if (!this.#inItems || this.#depth <= ITEMS_DEPTH) {
      this.#frame = (this.#frame + part.toString("latin1")).slice(0, FRAME_MAX);
      return;
    }
    this.#itemLength += part.length;
    if (this.#itemLength <= this.#limit) this.#item.push(part);
    else this.#item = [];
  }

  /** @returns the item, unless it was too long */
  #takeItem(): string[] {
    const isWhole = this.#itemLength <= this.#limit;
    const item = Buffer.concat(this.#item).toString("utf8");
    this.#item = [];
    this.#itemLength = 0;
    if (isWhole) return [item];
    this.#oversized++;
    return [];
  }
}
