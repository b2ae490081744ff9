/**
 * The container of a recording: what recorder.ts writes and recorded-source.ts reads.
 *
 *   file   = head, entries…, the end entry; all of it through gzip when the name ends in .gz
 *   head   = "FLOWSPAN" (8 bytes), u32 container version, u32 protocol of the frames
 *   entry  = u32 length, u32 kind, u64 Unix time in nanoseconds, then `length` bytes
 *
 * Entries hold the socket's bytes as they came, not frames: also what could not be split is kept. All
 * integers are little-endian. A file without its end entry was cut, wherever that happened.
 */

const RECORDING_MAGIC = "FLOWSPAN";
const RECORDING_VERSION = 1;
const HEAD_SIZE = 16;
const ENTRY_HEADER_SIZE = 16;
/** Longer than any write of source/probe-connection.ts and any read of a socket: more is damage. */
const ENTRY_LENGTH_MAX = 1024 * 1024;

export const EntryKind = {
  /** No bytes: a connection to the probe was made. */
  CONNECTED: 1,
  FROM_PROBE: 2,
  /** COMMAND_EXCHANGE begins an exchange, COMMAND_SETTLE says what the Collector accepted of it. */
  TO_PROBE: 3,
  DISCONNECTED: 4,
  /** The recorder was closed; nothing follows. */
  END: 5,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export interface Entry {
  /** Where it begins, in uncompressed bytes of the file. */
  readonly at: number;
  readonly kind: EntryKind;
  readonly timeUnixNs: bigint;
  readonly bytes: Buffer;
}

export function encodeHead(protocol: number): Buffer {
  const head = Buffer.alloc(HEAD_SIZE);
  head.write(RECORDING_MAGIC, "latin1");
  head.writeUInt32LE(RECORDING_VERSION, 8);
  head.writeUInt32LE(protocol, 12);
  return head;
}

/** The 16 bytes in front of an entry's own bytes. */
export function encodeEntryHeader(kind: EntryKind, length: number, timeUnixNs: bigint): Buffer {
  const header = Buffer.allocUnsafe(ENTRY_HEADER_SIZE);
  header.writeUInt32LE(length, 0);
  header.writeUInt32LE(kind, 4);
  header.writeBigUInt64LE(timeUnixNs, 8);
  return header;
}

/** Why a file cannot be read on, and where: `at` counts uncompressed bytes from the beginning. */
export class RecordingDamage extends Error {
  override readonly name = "RecordingDamage";
  readonly at: number;

  constructor(at: number, why: string, options?: ErrorOptions) {
    super(`the recording is damaged at byte ${at}: ${why}`, options);
    this.at = at;
  }
}

/**
 * Takes a recording's uncompressed bytes apart, chunk by chunk. Reads on behind the end entry, so that gzip's checksum is
 * compared.
 *
 * @param protocol the only protocol of frames that the caller can decode
 * @throws RecordingDamage after the last good entry, also when the chunks themselves fail, or when more bytes follow
 */
export async function* readEntries(chunks: AsyncIterable<Buffer>, protocol: number): AsyncGenerator<Entry> {
  const bytes = new ByteQueue(chunks);
  try {
    checkHead(await bytes.take(HEAD_SIZE, "its head"), protocol);
    for (;;) {
      const entry = await takeEntry(bytes);
      if (entry.kind === EntryKind.END) {
        await bytes.expectEnd();
        return;
      }
      yield entry;
    }
  } finally {
    await bytes.close();
  }
}

async function takeEntry(bytes: ByteQueue): Promise<Entry> {
  const at = bytes.at;
  const header = await bytes.take(ENTRY_HEADER_SIZE, "an entry's header: the recorder was killed or the file cut");
  const length = header.readUInt32LE(0);
  const kind = header.readUInt32LE(4);
  if (kind < EntryKind.CONNECTED || kind > EntryKind.END) throw new RecordingDamage(at, `no entry has kind ${kind}`);
  if (length > ENTRY_LENGTH_MAX) throw new RecordingDamage(at, `no entry has ${length} bytes`);
  const content = await bytes.take(length, "an entry");
  return { at, kind: kind as EntryKind, timeUnixNs: header.readBigUInt64LE(8), bytes: content };
}

function checkHead(head: Buffer, protocol: number): void {
  if (head.toString("latin1", 0, 8) !== RECORDING_MAGIC) throw new RecordingDamage(0, "this is no flowspan recording");
  const version = head.readUInt32LE(8);
  if (version !== RECORDING_VERSION) {
    throw new RecordingDamage(8, `the container has version ${version}, this flowspan reads ${RECORDING_VERSION}`);
  }
  const recorded = head.readUInt32LE(12);
  if (recorded !== protocol) {
    throw new RecordingDamage(
      12,
      `it holds protocol ${recorded}, this flowspan reads ${protocol}: use the one that recorded it`,
    );
  }
}

/** Hands out exact numbers of bytes from chunks of any size. */
class ByteQueue {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  at = 0;

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Lets the source of the chunks close its file. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async expectEnd(): Promise<void> {
    while (this.#rest.length === 0) {
      const next = await this.#next(0);
      if (next.done === true) return;
      this.#rest = next.value;
    }
    throw new RecordingDamage(this.at, "more bytes follow its end entry");
  }

  #next(have: number): Promise<IteratorResult<Buffer>> {
    return this.#chunks.next().catch((error: Error) => {
      throw new RecordingDamage(this.at + have, error.message, { cause: error });
    });
  }

  async take(size: number, what: string): Promise<Buffer> {
    const parts = [this.#rest];
    let have = this.#rest.length;
    while (have < size) {
      const next = await this.#next(have);
      if (next.done === true) throw new RecordingDamage(this.at + have, `it ends within ${what}`);
      parts.push(next.value);
      have += next.value.length;
    }
    const all = parts.length === 1 ? this.#rest : Buffer.concat(parts);
    this.#rest = all.subarray(size);
    this.at += size;
    return all.subarray(0, size);
  }
}
