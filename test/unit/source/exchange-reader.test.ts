/** One connection's bytes become events and exchanges, wherever they are cut. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HistogramSlot } from "../../../agent/generated/layout.ts";
import { ExchangeReader } from "../../../agent/source/exchange-reader.ts";
import { packFrames } from "../../../agent/source/frames.ts";
import { beginFrame, connectionFrame, edgeFrame, endFrame, helloFrame, statusFrame } from "./frames-builder.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const WHOLE = [
  helloFrame(),
  beginFrame({ exchange: 5n }),
  edgeFrame({ key: { serverPort: 23 } }),
  edgeFrame({ key: { serverPort: 29 } }),
  connectionFrame(),
  statusFrame(),
  endFrame({ exchange: 5n, edges: 2 }),
];

function reading(stopAt?: string, edgesMax?: number) {
  const told: string[] = [];
  const reader = new ExchangeReader(
    {
      event: ({ kind }) => {
        told.push(kind);
        if (kind === stopAt) reader.stop();
      },
      exchange: ({ rows, end }) => told.push(`exchange ${end.exchange} of ${rows.length} rows`),
      outOfOrder: (kind) => told.push(`${kind} out of order`),
      beyondHello: (why) => {
        told.push(why);
        reader.stop();
      },
      failure: (name, count) => told.push(`${name} ${count}`),
    },
    edgesMax,
  );
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

test("rows beyond what HELLO has room for are refused and counted, and a probe that sends no more is not", () => {
  const { reader, told } = reading();
  // Three edges take what finds no room, and each of two CPUs may pass the limit by one.
  const rows = Array.from({ length: 16 + 3 + 2 }, (_, port) => edgeFrame({ key: { serverPort: port + 1 } }));

  reader.read(packFrames([helloFrame({ edgeCapacity: 16, cpus: 2 }), beginFrame({ exchange: 5n }), ...rows]));
  expect(told).not.toContainEqual(expect.stringContaining("beyond"));
  reader.read(packFrames([edgeFrame()]));

  expect(told.slice(-3)).toEqual([
    "edge",
    "beyond_hello 1",
    expect.stringContaining("more frames of kind edge than its HELLO allows"),
  ]);
});

test("rows beyond what this agent allows are refused, whatever HELLO has room for", () => {
  const { reader, told } = reading(undefined, 16);
  const rows = Array.from({ length: 16 + 3 + 2 + 1 }, (_, port) => edgeFrame({ key: { serverPort: port + 1 } }));

  reader.read(packFrames([helloFrame({ edgeCapacity: 1_000_000, cpus: 2 }), beginFrame({ exchange: 5n }), ...rows]));

  expect(told.slice(-3)).toEqual(["edge", "beyond_hello 1", expect.stringContaining("or probe.edges here")]);
});

test.each([
  ["rows outside of an exchange", [helloFrame()], edgeFrame()],
  ["rows before HELLO", [], edgeFrame()],
  [
    "rows that cannot be used",
    [helloFrame(), beginFrame({ exchange: 5n })],
    edgeFrame({ slots: [[HistogramSlot.SLOT_COUNT, 1]] }),
  ],
] as const)("however many come, nothing is kept of %s", (_, before, row) => {
  const { reader } = reading();
  reader.read(packFrames(before));
  const chunk = packFrames(Array<typeof row>(1_000).fill(row));
  collect();
  const keptBefore = process.memoryUsage().arrayBuffers;

  for (let i = 0; i < 100; i++) reader.read(chunk);

  expect((process.memoryUsage().arrayBuffers - keptBefore) / chunk.length).toBeLessThan(23);
});
