/**
 * What a recording settled of evidence, and what its replay settles: rows as the kernel would have reported them to the replaying agent.
 *
 * Both begin with the same rows. Where the recording has settled more, a row misses what the replay has not settled; where it has settled
 * less, a row repeats what the replay has. The difference of both is added.
 */
import { frameEvidence } from "../generated/layout.ts";
import type { EvidenceRow } from "../model/kernel-evidence.ts";
import { decodeEvidence } from "../source/decode-evidence.ts";
import type { DecodeFailure } from "../source/frame-decoder.ts";
import { LedgerImbalance } from "./settle-ledger.ts";

interface Account {
  /** Settled by the recording minus settled by the replay. */
  ahead: number;
  /** The last exchange that the recording settled: it repeats settles after a reconnect. */
  recordedExchange: bigint;
  /** The last row, for one that has to be made up. */
  last: EvidenceRow;
}

export class EvidenceLedger {
  #accounts = new Map<string, Account>();

  /** New maps in the kernel: nothing of the old ones counts. */
  clear(): void {
    this.#accounts = new Map();
  }

  /** The recorded agent settled this row. */
  recorded(payload: Buffer): DecodeFailure | undefined {
    const row = decodeEvidence(payload);
    if (typeof row === "string") return row;
    const account = this.#account(row);
    if (row.exchange <= account.recordedExchange) return undefined;
    account.recordedExchange = row.exchange;
    account.ahead += row.count;
    return undefined;
  }

  /** The replaying agent settled this row, which rows() handed out. */
  replayed(payload: Buffer): DecodeFailure | undefined {
    const row = decodeEvidence(payload);
    if (typeof row === "string") return row;
    this.#account(row).ahead -= row.count;
    return undefined;
  }

  /**
   * The rows of an exchange as the replaying agent's kernel would have sent them.
   *
   * @throws LedgerImbalance
   */
  rows(recorded: readonly EvidenceRow[], exchange: bigint): EvidenceRow[] {
    const seen = new Set(recorded.map(({ id }) => id));
    const madeUp = [...this.#accounts.values()].filter(({ last, ahead }) => ahead !== 0 && !seen.has(last.id));
    return [...recorded, ...madeUp.map(({ last }) => withCount({ ...last, exchange }, 0))]
      .map((row) => {
        const account = this.#account(row);
        account.last = row;
        if (row.count + account.ahead < 0) throw new LedgerImbalance("evidence has grown by less than nothing");
        return account.ahead === 0 ? row : withCount(row, row.count + account.ahead);
      })
      .filter(({ count }) => count > 0);
  }

  #account(row: EvidenceRow): Account {
    const known = this.#accounts.get(row.id);
    if (known !== undefined) return known;
    const account = { ahead: 0, recordedExchange: 0n, last: row };
    this.#accounts.set(row.id, account);
    return account;
  }
}

/** The same row, as if it had come in a frame with this count. */
function withCount(row: EvidenceRow, count: number): EvidenceRow {
  const payload = Buffer.from(row.row);
  payload.writeBigUInt64LE(BigInt(count), frameEvidence.fields.count.offset);
  payload.writeBigUInt64LE(row.exchange, frameEvidence.fields.exchange.offset);
  return { ...row, count, row: payload };
}
