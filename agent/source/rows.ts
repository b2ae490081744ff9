/**
 * The memory of an exchange's rows, kept as the bytes that they came in.
 *
 *   page ─ row ─ row ─ row ─ …      a row is a place in a page: its numbers are read where they lie
 *
 * A node has thousands of rows in every exchange. Decoded into objects and arrays they would cost ten times
 * their bytes and be the collector's main work; here they are freed at once, a page at a time. What lies
 * in a row is the business of its protocol's shape (edge-shape.ts).
 */

/** Large enough for malloc to give it back to the kernel at once. */
const PAGE_BYTES = 256 * 1024;
/** Bytes; each row is a multiple of them long. */
export const WORD = 4;

export interface RowPage {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly words: Uint32Array;
}

/** Where the rows of one exchange lie. */
export class RowPages {
  readonly #pageBytes: number;
  #pages: RowPage[] = [];
  /** Bytes used of the last page. */
  #used = 0;

  /** @param pageBytes 0 for rows that are not many: each gets what it needs */
  constructor(pageBytes = PAGE_BYTES) {
    this.#pageBytes = pageBytes;
  }

  /**
   * @param payload of a FRAME_EDGE, whole; copied
   * @param make a row whose first word is `page.words[at]`
   */
  add<Row>(payload: Uint8Array, make: (page: RowPage, at: number) => Row): Row {
    let page = this.#pages.at(-1);
    if (page === undefined || this.#used + payload.length > page.bytes.length) {
      const buffer = new ArrayBuffer(Math.max(this.#pageBytes, payload.length));
      page = { bytes: Buffer.from(buffer), words: new Uint32Array(buffer) };
      this.#pages.push(page);
      this.#used = 0;
    }
    page.bytes.set(payload, this.#used);
    const row = make(page, this.#used / WORD);
    this.#used += payload.length;
    return row;
  }

  /** Takes back the row that was added last, of `length` bytes. */
  removeLast(length: number): void {
    this.#used -= length;
  }

  /** Gives the memory back at once. Without it the rows live as long as somebody holds one. */
  free(): void {
    for (const { bytes } of this.#pages) bytes.buffer.transfer(0);
    this.#pages = [];
  }
}
