/** A replay that settles other exchanges than the recorded agent did: each packet is told once all the same. */
import { expect, test } from "vitest";
import type { EvidenceRow } from "../../../agent/model/kernel-evidence.ts";
import { EvidenceLedger } from "../../../agent/recording/evidence-ledger.ts";
import { decodeEvidence } from "../../../agent/source/decode-evidence.ts";
import { evidenceFrame } from "../source/frames-builder.ts";

function row(count: number, exchange: bigint): EvidenceRow {
  const decoded = decodeEvidence(Buffer.from(evidenceFrame({ count, exchange }).payload));
  if (typeof decoded === "string") throw new Error(decoded);
  return decoded;
}

test("what the recorded agent did not settle and the replay did is not told again", () => {
  const ledger = new EvidenceLedger();
  const [first] = ledger.rows([row(5, 1n)], 1n);
  ledger.replayed(Buffer.from(first?.row ?? []));

  expect(ledger.rows([row(7, 2n)], 2n).map(({ count }) => count)).toEqual([2]);
});

test("what the recorded agent settled and the replay did not is told again, also without a recorded row", () => {
  const ledger = new EvidenceLedger();
  ledger.rows([row(5, 1n)], 1n);
  ledger.recorded(Buffer.from(row(5, 1n).row));
  // It said so again after a reconnect.
  ledger.recorded(Buffer.from(row(5, 1n).row));

  expect(ledger.rows([], 2n).map(({ count, exchange }) => [count, exchange])).toEqual([[5, 2n]]);
  expect(ledger.rows([row(3, 3n)], 3n).map(({ count }) => count)).toEqual([8]);
});
