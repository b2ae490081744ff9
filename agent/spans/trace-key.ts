/**
 * The key of the trace ids: from a file, read again when it changes, or one that everybody knows.
 *
 * Both ends of a connection meet in one trace only under the same key. Without a file there still must be one
 * that all agents have, so it is in the source: spans meet, but whoever sees both sequence numbers on the wire can
 * tell the trace id, and one who sees trace ids and one number can test guesses of the other. So a cluster sets its own.
 */

import { readFileSync } from "node:fs";
import type { Logger } from "../shared/logger.ts";
import { type FileWatch, watchFile } from "../shared/watched-file.ts";

/** SipHash's key as its two little-endian words. */
export type TraceKey = readonly [bigint, bigint];

const KEY_BYTES = 16;

/** What a key file may hold, with its meaning; undefined: neither 16 bytes nor 32 hex digits. */
export function parseTraceKey(content: Buffer): TraceKey | undefined {
  if (content.length === KEY_BYTES) return keyOf(content);
  const digits = content.toString("latin1").trim();
  return /^[0-9a-fA-F]{32}$/.test(digits) ? keyOf(Buffer.from(digits, "hex")) : undefined;
}

function keyOf(bytes: Buffer): TraceKey {
  return [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)];
}

export const DEFAULT_TRACE_KEY: TraceKey = keyOf(Buffer.from("flowspan-default", "latin1"));

/** For whoever makes spans without a key of their own. */
export const DEFAULT_KEY_WARNING =
  "trace ids are made with the key that everybody knows: whoever sees them can test guesses of TCP sequence numbers";

/** A key that follows its file. */
export class TraceKeyFile {
  readonly #file: string | undefined;
  readonly #log: Logger;
  readonly #watch: FileWatch | undefined;
  #key: TraceKey = DEFAULT_TRACE_KEY;

  /** @param onChange called when another key is in effect */
  constructor(file: string | undefined, log: Logger, onChange: () => void) {
    this.#file = file;
    this.#log = log;
    if (file === undefined) return;
    this.#read();
    this.#watch = watchFile(file, () => {
      const before = this.#key;
      this.#read();
      if (before[0] === this.#key[0] && before[1] === this.#key[1]) return;
      log.info({ file }, "another key for trace ids: connections that end from now on are in traces of their own");
      onChange();
    });
  }

  get key(): TraceKey {
    return this.#key;
  }

  close(): void {
    this.#watch?.close();
  }

  get #instead(): string {
    return this.#key === DEFAULT_TRACE_KEY ? "the one that everybody knows is used" : "the former one stays";
  }

  /** A file that cannot be used changes nothing: its spans would only be in other traces than their peers'. */
  #read(): void {
    const file = this.#file as string;
    const remedy = "write 16 random bytes or 32 hex digits: openssl rand -hex 16";
    let content: Buffer;
    try {
      content = readFileSync(file);
    } catch (error) {
      const found = (error as NodeJS.ErrnoException).code ?? String(error);
      this.#log.warn({ file, found, remedy }, `the key of the trace ids cannot be read: ${this.#instead}`);
      return;
    }
    const key = parseTraceKey(content);
    if (key !== undefined) this.#key = key;
    else
      this.#log.warn(
        { file, found: `${content.length} bytes`, remedy },
        `this is no key for trace ids: ${this.#instead}`,
      );
  }
}
