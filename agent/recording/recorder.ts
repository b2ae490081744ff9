/**
 * The raw bytes of all connections to the probe → a recording (container.ts), for `--record FILE`.
 *
 * Never holds up the agent: when the disk fails or falls behind, the recording ends with a named error
 * and the agent goes on. The file holds addresses and process names: only its owner may read it.
 */

import { createWriteStream, type WriteStream } from "node:fs";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { createGzip, type Gzip } from "node:zlib";
import { FLOWSPAN_PROTOCOL } from "../generated/layout.ts";
import type { ErrorLogger } from "../shared/logger.ts";
import type { Tap } from "../source/probe-connection.ts";
import { EntryKind, encodeEntryHeader, encodeHead } from "./container.ts";
import { openNewFile } from "./new-file.ts";

/** What may wait for the disk: some exchanges of the largest edge table. */
const BACKLOG_MAX_BYTES = 64 * 1024 * 1024;

export interface RecorderOptions {
  /** Compressed when it ends in `.gz`. An existing file is replaced. */
  readonly path: string;
  /** A descriptor to write to. Undefined: a new file at `path`. */
  readonly file?: number;
  readonly log: ErrorLogger;
  readonly nowUnixNs?: () => bigint;
}

const NO_BYTES = Buffer.alloc(0);

export class Recorder implements Tap {
  readonly #path: string;
  readonly #log: ErrorLogger;
  readonly #nowUnixNs: () => bigint;
  readonly #file: WriteStream;
  readonly #gzip: Gzip | undefined;
  readonly #done: Promise<void>;
  #failed = false;
  #closed = false;

  /** @throws Error when the file cannot be made, or must not */
  constructor(options: RecorderOptions) {
    this.#path = options.path;
    this.#log = options.log;
    this.#nowUnixNs = options.nowUnixNs ?? (() => BigInt(Date.now()) * 1_000_000n);
    this.#file = createWriteStream(options.path, { fd: options.file ?? openNewFile(options.path) });
    this.#gzip = options.path.endsWith(".gz") ? createGzip() : undefined;
    this.#gzip?.pipe(this.#file);
    this.#done = finished(this.#file).catch((error: Error) => this.#fail(error.message));
    this.#out.write(encodeHead(FLOWSPAN_PROTOCOL));
  }

  /** True once the recording has ended early; the log had it when it happened. */
  get failed(): boolean {
    return this.#failed;
  }

  connected(): void {
    this.#write(EntryKind.CONNECTED, NO_BYTES);
  }

  fromProbe(chunk: Buffer): void {
    this.#write(EntryKind.FROM_PROBE, chunk);
  }

  toProbe(chunk: Buffer): void {
    this.#write(EntryKind.TO_PROBE, chunk);
    // A crash loses no more than the exchange under way.
    if (!this.#failed && !this.#closed) this.#gzip?.flush();
  }

  disconnected(): void {
    this.#write(EntryKind.DISCONNECTED, NO_BYTES);
  }

  /** Writes the end mark; resolves when the file is complete. What comes after it is not recorded. */
  async close(): Promise<void> {
    this.#write(EntryKind.END, NO_BYTES);
    this.#closed = true;
    if (!this.#failed) this.#out.end();
    await this.#done;
  }

  get #out(): Writable {
    return this.#gzip ?? this.#file;
  }

  #write(kind: EntryKind, bytes: Buffer): void {
    if (this.#failed || this.#closed) return;
    this.#out.write(encodeEntryHeader(kind, bytes.length, this.#nowUnixNs()));
    // A copy: the connection reuses its buffers, the disk takes its time.
    if (bytes.length > 0) this.#out.write(Buffer.from(bytes));
    if (this.#out.writableLength > BACKLOG_MAX_BYTES) {
      this.#fail("the disk is slower than the probe");
      this.#file.destroy();
    }
  }

  #fail(why: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#gzip?.destroy();
    this.#log.error({ file: this.#path }, `the recording has ended early, the agent goes on: ${why}`);
  }
}
