/** One connection's bytes become events and exchanges, wherever they are cut. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ExchangeReader } from "../../../agent/source/exchange-reader.ts";
import { packFrames } from "../../../agent/source/frames.ts";
import { beginFrame, connectionFrame, edgeFrame, endFrame, helloFrame, statusFrame } from "./frames-builder.ts";

const WHOLE = [
  helloFrame(),
  beginFrame({ exchange: 5n }),
  edgeFrame({ key: { serverPort: 23 } }),
  edgeFrame({ key: { serverPort: 29 } }),
  connectionFrame(),
  statusFrame(),
  endFrame({ exchange: 5n, edges: 2 }),
];

function reading(stopAt?: string) {
  const told: string[] = [];
  const reader = new ExchangeReader({
    event: ({ kind }) => {
      told.push(kind);
      if (kind === stopAt) reader.stop();
    },
    exchange: ({ rows, end }) => told.push(`exchange ${end.exchange} of ${rows.length} rows`),
    outOfOrder: (kind) => told.push(`${kind} out of order`),
    failure: (name, count) => told.push(`${name} ${count}`),
  });
  return { reader, told };
}

test("however its bytes are cut, an exchange is told whole, after all that came before it", () => {
  const bytes = packFrames(WHOLE);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 12 }), (cuts) => {
      const { reader, told } = reading();
      const ends = [...cuts, bytes.length].sort((a, b) => a - b);
      for (const [i, end] of ends.entries()) reader.read(Buffer.from(bytes.subarray(ends[i - 1] ?? 0, end)));
      reader.end();

      expect(told).toEqual([
        ...["hello", "exchange-begin", "edge", "edge", "connection", "status", "exchange-end"],
        "exchange 5 of 2 rows",
      ]);
      expect({ bytes: reader.bytes, frames: reader.frames, records: reader.records }).toEqual({
        bytes: bytes.length,
        frames: WHOLE.length,
        records: 1,
      });
    }),
    { numRuns: 50 },
  );
});

test("once it was stopped, frames are counted and nothing of them is told", () => {
  const { reader, told } = reading("exchange-begin");

  reader.read(packFrames(WHOLE));

  expect(told).toEqual(["hello", "exchange-begin"]);
  expect(reader.frames).toBe(WHOLE.length);
});

test("rows that an exchange says it has and that did not come are counted", () => {
  const { reader, told } = reading();

  reader.read(packFrames([beginFrame({ exchange: 5n }), statusFrame(), endFrame({ exchange: 5n, edges: 23 })]));

  expect(told.slice(-2)).toEqual(["exchange 5 of 0 rows", "row_missing 23"]);
});

test("a part of an exchange that nobody began is out of order, and a frame that was cut is counted", () => {
  const { reader, told } = reading();

  reader.read(packFrames([statusFrame()]));
  reader.read(packFrames([helloFrame()]).subarray(0, 23));
  reader.end();

  expect(told).toEqual(["status", "exchange_out_of_order 1", "status out of order", "frame_cut 1"]);
});
