/** A recording's file → its uncompressed bytes. Whatever the file holds, it ends: in bytes, or in an error after them. */
import { open } from "node:fs/promises";
import { constants, createGunzip, type Gunzip } from "node:zlib";

const GZIP_MAGIC = 0x1f8b;
/** gzip makes up to a thousand times as many bytes of these, which all wait in memory. */
const CHUNK_BYTES = 16 * 1024;

/** gzip is known by its content. */
export async function* readChunks(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    const magic = Buffer.alloc(2);
    await file.read(magic, 0, 2, 0);
    const options = { start: 0, autoClose: false, highWaterMark: CHUNK_BYTES };
    const chunks = file.createReadStream(options) as AsyncIterable<Buffer>;
    yield* magic.readUInt16BE() === GZIP_MAGIC ? gunzipped(chunks) : chunks;
  } finally {
    await file.close();
  }
}

/**
 * Unpacks chunk by chunk, and yields all that was unpacked before an error. A stream would drop what it
 * has unpacked when damage follows. A cut at the end is no error here: the end entry is missing then.
 */
async function* gunzipped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH });
  const unpacked: Buffer[] = [];
  const stream = new StreamEnd(gunzip);
  gunzip.on("data", (chunk: Buffer) => unpacked.push(chunk));
  try {
    for await (const chunk of chunks) {
      await stream.unless((done) => gunzip.write(chunk, done));
      yield* unpacked.splice(0);
      stream.mustGoOn();
    }
    await stream.unless(() => gunzip.end());
    yield* unpacked.splice(0);
    stream.mustBeWhole();
  } finally {
    gunzip.destroy();
  }
}

/**
 * How a stream of gzip has ended. It calls no writer back after an error, nor when it meets bytes behind its own: only its
 * events say so.
 */
class StreamEnd {
  #failure: Error | undefined;
  #ended = false;
  #wake = (): void => {};

  constructor(gunzip: Gunzip) {
    gunzip.on("error", (error) => {
      this.#failure = error;
      this.#wake();
    });
    gunzip.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Resolves when `step` has called back, or the stream has ended. */
  unless(step: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#ended || this.#failure !== undefined) resolve();
      else step(() => resolve());
    });
  }

  /** @throws Error when nothing can follow any more */
  mustGoOn(): void {
    this.mustBeWhole();
    if (this.#ended) throw new Error("other bytes follow the compressed ones");
  }

  /** @throws Error */
  mustBeWhole(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
