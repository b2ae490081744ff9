/** Items of a list from an answer that may be cut anywhere. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ItemSplitter } from "../../../agent/kubernetes/items.ts";
import { cutAt } from "./cut-at.ts";

const NASTY = fc.string({ unit: fc.constantFrom('"', "\\", "[", "]", "{", "}", ",", "é", '"items":[') });
const VALUE = fc.oneof(fc.jsonValue(), NASTY);
const OBJECT = fc.dictionary(fc.oneof(fc.string(), NASTY), VALUE);

test("wherever the answer is cut, items and frame are the same", () => {
  fc.assert(
    fc.property(
      fc.array(OBJECT),
      fc.record({ metadata: OBJECT, kind: NASTY }),
      fc.array(fc.nat()),
      fc.constantFrom(0, 2),
      (items, frame, cuts, indent) => {
        const bytes = Buffer.from(JSON.stringify({ ...frame, items, last: frame.kind }, undefined, indent));
        const splitter = new ItemSplitter(1 << 20);

        const texts = cutAt(bytes, cuts).flatMap((chunk) => splitter.push(chunk));

        expect(texts.map((text) => JSON.parse(text))).toEqual(JSON.parse(JSON.stringify(items)));
        const told = Buffer.from(splitter.frame, "latin1").toString("utf8");
        expect(JSON.parse(told)).toEqual(JSON.parse(JSON.stringify({ ...frame, items: [], last: frame.kind })));
        expect(splitter.oversized).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

test("wherever the answer is cut, an item over the limit is passed over and counted", () => {
  const bytes = Buffer.from(JSON.stringify({ items: [{ a: "x" }, { b: "y".repeat(30) }, { c: "z" }] }));
  fc.assert(
    fc.property(fc.array(fc.nat()), (cuts) => {
      const splitter = new ItemSplitter(23);
      const items = cutAt(bytes, cuts).flatMap((chunk) => splitter.push(chunk));
      expect({ items, oversized: splitter.oversized }).toEqual({ items: ['{"a":"x"}', '{"c":"z"}'], oversized: 1 });
    }),
  );
});

test("items elsewhere than at the top are none", () => {
  const splitter = new ItemSplitter(1 << 20);
  const text = JSON.stringify({ metadata: { items: [{ a: 1 }] }, items: null });

  expect([splitter.push(Buffer.from(text)), splitter.frame]).toEqual([[], text]);
});

test("whatever the bytes, they are read, and a frame without an end takes no memory", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), (chunks) => {
      const splitter = new ItemSplitter(50);
      for (const chunk of chunks) splitter.push(Buffer.from(chunk));
    }),
  );
  const splitter = new ItemSplitter(50);
  for (let i = 0; i < 100; i++) splitter.push(Buffer.alloc(64 * 1024, "x"));

  expect(splitter.frame.length).toBe(64 * 1024);
});
