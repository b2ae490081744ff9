/** Lines from a stream that may be cut anywhere. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "../../../agent/kubernetes/lines.ts";
import { cutAt } from "./cut-at.ts";

test("wherever the stream is cut, the lines are the same", () => {
  const line = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => !text.includes("\n"));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat()), (lines, cuts) => {
      const splitter = new LineSplitter(1 << 20);
      const chunks = cutAt(Buffer.from(lines.map((text) => `${text}\n`).join("")), cuts);
      expect(chunks.flatMap((chunk) => splitter.push(chunk))).toEqual(lines);
    }),
  );
});

test("wherever the stream is cut, a line over the limit is passed over and counted", () => {
  const bytes = Buffer.from(`first\n${"x".repeat(24)}\nlast\n`);
  fc.assert(
    fc.property(fc.array(fc.nat()), (cuts) => {
      const splitter = new LineSplitter(23);
      const lines = cutAt(bytes, cuts).flatMap((chunk) => splitter.push(chunk));
      expect({ lines, oversized: splitter.oversized }).toEqual({ lines: ["first", "last"], oversized: 1 });
    }),
  );
});

test("a line of just the limit is a line", () => {
  const splitter = new LineSplitter(23);
  expect(splitter.push(Buffer.from(`${"x".repeat(23)}\n`))).toEqual(["x".repeat(23)]);
});

test("what follows the last line end is kept back", () => {
  const splitter = new LineSplitter(100);
  expect(splitter.push(Buffer.from("a\n\nb"))).toEqual(["a"]);
  expect(splitter.push(Buffer.from("c\n"))).toEqual(["bc"]);
});
