import fc from "fast-check";
import { expect, test } from "vitest";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { EdgeGrowth } from "../../../agent/model/edge.ts";
import { SettleLedger } from "../../../agent/recording/settle-ledger.ts";
import { edgeGrowth } from "../source/frames-builder.ts";

const BYTES = EDGE_COUNTERS.indexOf("bytesSent");

function bytesOf(rows: readonly EdgeGrowth[]): (number | undefined)[] {
  return rows.map((row) => row.counters[BYTES]);
}

test("rows pass untouched while recording and replay settle the same", () => {
  const ledger = new SettleLedger();
  const first = edgeGrowth({ exchange: 1n, counters: { bytesSent: 23 } });
  const second = edgeGrowth({ exchange: 2n, counters: { bytesSent: 29 } });

  ledger.rows([first], 1n);
  ledger.replayed(first.row as Buffer, 1n);
  ledger.recorded(first.row as Buffer);

  expect(ledger.rows([second], 2n)[0]).toBe(second);
});

test("growth that only the replay has settled is taken off the next row", () => {
  const ledger = new SettleLedger();
  const first = edgeGrowth({ exchange: 1n, counters: { bytesSent: 23 }, slots: [[5, 2]] });
  const second = edgeGrowth({
    exchange: 2n,
    counters: { bytesSent: 23 + 29 },
    slots: [
      [5, 2],
      [7, 3],
    ],
  });

  ledger.rows([first], 1n);
  ledger.replayed(first.row as Buffer, 115n);
  const [row] = ledger.rows([second], 2n);

  expect({ bytes: row?.counters[BYTES], slots: [...(row?.slots ?? [])], sinceNs: row?.sinceNs }).toEqual({
    bytes: 29,
    slots: [7, 3],
    sinceNs: 115n,
  });
});

test("growth that only the recording has settled is added to the next row, with its older start", () => {
  const ledger = new SettleLedger();
  const first = edgeGrowth({ exchange: 1n, sinceNs: 100n, counters: { bytesSent: 23 }, slots: [[5, 2]] });
  const second = edgeGrowth({ exchange: 2n, sinceNs: 115n, counters: { bytesSent: 29 }, slots: [[5, 1]] });

  ledger.rows([first], 1n);
  ledger.recorded(first.row as Buffer);
  const [row] = ledger.rows([second], 2n);

  expect({ bytes: row?.counters[BYTES], slots: [...(row?.slots ?? [])], sinceNs: row?.sinceNs }).toEqual({
    bytes: 52,
    slots: [5, 3],
    sinceNs: 100n,
  });
});

test("an edge that the recording has settled and that was never said again is still said", () => {
  const ledger = new SettleLedger();
  const first = edgeGrowth({ exchange: 1n, counters: { bytesSent: 23 } });

  ledger.rows([first], 1n);
  ledger.recorded(first.row as Buffer);

  const rows = ledger.rows([], 2n);
  expect({ bytes: bytesOf(rows), exchange: rows[0]?.exchange, id: rows[0]?.id }).toEqual({
    bytes: [23],
    exchange: 2n,
    id: first.id,
  });
});

test("a settle that the recorded agent sent again counts once", () => {
  const ledger = new SettleLedger();
  const first = edgeGrowth({ exchange: 1n, counters: { bytesSent: 23 } });

  ledger.rows([first], 1n);
  ledger.recorded(first.row as Buffer);
  ledger.recorded(first.row as Buffer);
  ledger.replayed(first.row as Buffer, 1n);

  expect(ledger.rows([], 2n)).toEqual([]);
});

test("new maps in the kernel owe nothing of the old ones", () => {
  const ledger = new SettleLedger();
  const first = edgeGrowth({ exchange: 1n, counters: { bytesSent: 23 } });
  ledger.rows([first], 1n);
  ledger.recorded(first.row as Buffer);

  ledger.clear();

  expect(ledger.rows([], 2n)).toEqual([]);
});

test("whatever each of the two settles, the replay's settled growth and its last row sum to all growth", () => {
  const steps = fc.array(
    fc.record({ grows: fc.nat(1000), recordingSettles: fc.boolean(), replaySettles: fc.boolean() }),
    { minLength: 1, maxLength: 20 },
  );
  fc.assert(
    fc.property(steps, (exchanges) => {
      const ledger = new SettleLedger();
      let inKernel = 0;
      let settledByReplay = 0;
      let said = 0;
      for (const [index, { grows, recordingSettles, replaySettles }] of exchanges.entries()) {
        const exchange = BigInt(index + 1);
        inKernel += grows;
        const recorded = edgeGrowth({ exchange, counters: { bytesSent: inKernel } });
        const [row] = ledger.rows([recorded], exchange);
        said = row?.counters[BYTES] ?? 0;
        if (replaySettles) {
          settledByReplay += said;
          said = 0;
          ledger.replayed(row?.row as Buffer, exchange);
        }
        if (recordingSettles) {
          inKernel = 0;
          ledger.recorded(recorded.row as Buffer);
        }
      }

      expect(settledByReplay + said).toBe(exchanges.reduce((sum, { grows }) => sum + grows, 0));
    }),
  );
});

test("a recording that settles edges without end fills no memory: those that are even are forgotten, others refused", () => {
  const ledger = new SettleLedger(100);
  const settle = (netns: number, byReplay: boolean) => {
    const { row } = edgeGrowth({ exchange: 1n, key: { netns }, counters: { bytesSent: 23 } });
    ledger.recorded(row as Buffer);
    if (byReplay) ledger.replayed(row as Buffer, 1n);
  };
  for (let netns = 0; netns < 1_000; netns++) settle(netns, true);
  for (let netns = 2_000; netns < 2_090; netns++) settle(netns, false);

  // All that the replay has not settled is still said.
  expect(ledger.rows([], 2n)).toHaveLength(90);
  expect(() => {
    for (let netns = 3_000; netns < 3_100; netns++) settle(netns, false);
  }).toThrow("more than 90 edges were settled on one side alone");
});
