/**
 * What is reported to the probe of connection records: how many came to this agent, and how many of them have an end.
 *
 * The probe keeps both sums with its maps, so that whoever comes next finds what is in nobody's hands
 * (bpf/records/ledger.h).
 */
import { randomBytes } from "node:crypto";
import { recordsCommand } from "./commands.ts";
import type { Frame } from "./frames.ts";

export class RecordAccount {
  /** Tells this agent from others that the probe has served. */
  readonly #agent = randomBytes(8).readBigUInt64LE();
  readonly #pending: () => number;
  /** Of connections before this one. */
  #before = 0;
  /** What the probe knows; undefined on a connection that reported nothing yet. */
  #reported: { readonly received: number; readonly resolved: number } | undefined;

  /** @param pending of the records that came: how many are neither accepted nor counted as lost yet */
  constructor(pending: () => number) {
    this.#pending = pending;
  }

  /** @returns what there is to report of the records that came on this connection; undefined where it is known */
  news(records: number): Frame | undefined {
    const received = this.#before + records;
    const resolved = received - this.#pending();
    if (this.#reported?.received === received && this.#reported.resolved === resolved) return undefined;
    this.#reported = { received, resolved };
    return recordsCommand({ agent: this.#agent, received, resolved });
  }

  /** The connection has ended; the next probe knows nothing. */
  end(records: number): void {
    this.#before += records;
    this.#reported = undefined;
  }
}
