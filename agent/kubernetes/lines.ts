/**
 * Chunks of a watch's stream → its lines, each one event.
 *
 * Chunks may end anywhere, also inside a character. Only the line that is not whole yet is kept. A line
 * over the limit is passed over and counted: one huge object must not stop the watch of all others.
 */
const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;
  #skipping = false;
  #oversized = 0;

  /** @param limit longest line in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Lines that were longer than the limit. */
  get oversized(): number {
    return this.#oversized;
  }

  /** @returns the lines that `chunk` completes, without their ends; `chunk` may be kept */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#append(chunk.subarray(start, end));
      start = end + 1;
      if (!this.#skipping && this.#length > 0) lines.push(this.#take());
      this.#skipping = false;
    }
    this.#append(chunk.subarray(start));
    return lines;
  }

  #append(part: Buffer): void {
    if (this.#skipping || part.length === 0) return;
    this.#length += part.length;
    this.#parts.push(part);
    if (this.#length <= this.#limit) return;
    this.#takeParts();
    this.#skipping = true;
    this.#oversized++;
  }

  #take(): string {
    const parts = this.#takeParts();
    return (parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)).toString("utf8");
  }

  #takeParts(): Buffer[] {
    const parts = this.#parts;
    this.#parts = [];
    this.#length = 0;
    return parts;
  }
}
