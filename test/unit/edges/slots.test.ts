import fc from "fast-check";
import { expect, test } from "vitest";
import { RTT, SlotCounts, type SlotGrowth } from "../../../agent/edges/slots.ts";
import { HistogramSlot } from "../../../agent/generated/layout.ts";

const EVERYTHING = { from: 0, to: HistogramSlot.SLOT_COUNT };
const pairs = fc.array(fc.tuple(fc.nat(EVERYTHING.to - 1), fc.integer({ min: 1, max: 23 })), { maxLength: 20 });

const growth = (...slots: readonly (readonly [number, number])[]): SlotGrowth => ({
  slotCount: slots.length,
  slot: (i) => slots[i]?.[0] as number,
  count: (i) => slots[i]?.[1] as number,
});

test("slots hold what a dense array would, in any order of adding and subtracting", () => {
  fc.assert(
    fc.property(pairs, pairs, (stays, goes) => {
      const slots = new SlotCounts();
      const expected = new Float64Array(EVERYTHING.to);
      for (const [slot, count] of stays) expected[slot] = (expected[slot] as number) + count;

      slots.add(growth(...goes));
      slots.add(growth(...stays));
      slots.subtract(growth(...goes));

      const occupied = [...expected.entries()].filter(([, count]) => count > 0);
      expect(slots.buckets(EVERYTHING)).toEqual(occupied.flat());
    }),
  );
});

test("one histogram does not reach into the next", () => {
  const slots = new SlotCounts();
  slots.add(growth([RTT.from - 1, 5], [RTT.from + 2, 7], [RTT.to, 11]));

  expect(slots.buckets(RTT)).toEqual([2, 7]);
});

test.each([
  [0.5, 2 ** (10.5 / 4)],
  [0.9, 2 ** (10.5 / 4)],
  [0.91, 2 ** (20.5 / 4)],
  [0.99, 2 ** (20.5 / 4)],
])("the %f quantile is the middle of the bucket that holds it", (share, us) => {
  const slots = new SlotCounts();
  slots.add(growth([RTT.from + 10, 90], [RTT.from + 20, 10]));

  expect(slots.quantile(RTT, share)).toBe(us);
});

test("nothing measured has no quantile", () => {
  expect(new SlotCounts().quantile(RTT, 0.5)).toBeUndefined();
});
