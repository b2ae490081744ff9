/** Reads the fields of one payload by their offsets, and remembers whether a number did not fit. */

export interface At {
  readonly offset: number;
}

export interface BytesAt extends At {
  readonly length: number;
}

/** Past this high half a u64 is 2^53 or more. */
export const HIGH_LIMIT = 0x200000;
const HIGH_UNIT = 2 ** 32;

export class Fields {
  readonly #bytes: Buffer;
  tooLarge = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u32({ offset }: At): number {
    return this.#bytes.readUInt32LE(offset);
  }

  /** For identifiers and times: any value. */
  u64({ offset }: At): bigint {
    return this.#bytes.readBigUInt64LE(offset);
  }

  /** For counts: below 2^53, else the frame fails. */
  count({ offset }: At): number {
    const high = this.#bytes.readUInt32LE(offset + 4);
    if (high >= HIGH_LIMIT) this.tooLarge = true;
    return high * HIGH_UNIT + this.#bytes.readUInt32LE(offset);
  }

  latin1({ offset }: At, length: number): string {
    return this.#bytes.toString("latin1", offset, offset + length);
  }

  /** A char array up to its NUL. Bytes that are no UTF-8 become U+FFFD. */
  text({ offset, length }: BytesAt): string {
    const nul = this.#bytes.indexOf(0, offset);
    return this.#bytes.toString("utf8", offset, nul < 0 || nul > offset + length ? offset + length : nul);
  }
}
