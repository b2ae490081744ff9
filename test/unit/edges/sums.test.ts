import fc from "fast-check";
import { expect, test } from "vitest";
import { COUNTERS } from "../../../agent/edges/counters.ts";
import { RTT } from "../../../agent/edges/slots.ts";
import { type CounterGrowth, OWN_FROM, type SlotGrowth, SumPages, Sums } from "../../../agent/edges/sums.ts";
import { HistogramSlot } from "../../../agent/generated/layout.ts";

const SLOTS = { from: 0, to: HistogramSlot.SLOT_COUNT };
type Pair = readonly [index: number, count: number];
type Row = readonly [counters: readonly Pair[], slots: readonly Pair[]];

const slotPairs = fc.array(fc.tuple(fc.nat(SLOTS.to - 1), fc.integer({ min: 1, max: 23 })), { maxLength: 20 });
const counterPairs = fc.array(fc.tuple(fc.nat(COUNTERS - 1), fc.integer({ min: 1, max: 2 ** 45 })), { maxLength: 20 });
const rows: fc.Arbitrary<Row[]> = fc.array(fc.tuple(counterPairs, slotPairs), { minLength: 1, maxLength: 5 });

function growth(counters: readonly Pair[], slots: readonly Pair[]): CounterGrowth & SlotGrowth {
  return {
    counter: (index) => counters.reduce((sum, [at, count]) => (at === index ? sum + count : sum), 0),
    slotCount: slots.length,
    slot: (i) => slots[i]?.[0] as number,
    count: (i) => slots[i]?.[1] as number,
  };
}

const slotsOnly = (...slots: readonly Pair[]): Sums => {
  const sums = new Sums(new SumPages());
  sums.addSlots(growth([], slots));
  return sums;
};

/** What an array with every number would hold. */
class Dense {
  readonly counters = new Array<number>(COUNTERS).fill(0);
  readonly slots = new Map<number, number>();

  add([counters, slots]: Row, sign = 1): void {
    for (const [at, count] of counters) this.counters[at] = (this.counters[at] as number) + sign * count;
    for (const [slot, count] of slots) this.slots.set(slot, (this.slots.get(slot) ?? 0) + sign * count);
  }

  get buckets(): number[] {
    return [...this.slots]
      .filter(([, count]) => count > 0)
      .sort(([a], [b]) => a - b)
      .flat();
  }
}

function contents(sums: Sums): { counters: number[]; buckets: number[] } {
  const counters = new Float64Array(COUNTERS).fill(Number.NaN);
  sums.copyCounters(counters);
  return { counters: [...counters], buckets: sums.buckets(SLOTS) };
}

test("sums hold what dense arrays would, in any order of adding and subtracting, side by side in the same pages", () => {
  fc.assert(
    fc.property(rows, rows, (stays, goes) => {
      const pages = new SumPages();
      const several = [0, 1, 2].map(() => ({ sums: new Sums(pages), dense: new Dense() }));

      for (const { sums } of several) for (const row of goes) sums.add(growth(...row));
      for (const [i, { sums, dense }] of several.entries()) {
        for (const row of stays.slice(i)) {
          sums.add(growth(...row));
          dense.add(row);
        }
      }
      for (const { sums } of several) for (const row of goes) sums.subtract(growth(...row));

      for (const { sums, dense } of several)
        expect(contents(sums)).toEqual({ counters: dense.counters, buckets: dense.buckets });
    }),
  );
});

test("counters that are added densely are those of rows", () => {
  fc.assert(
    fc.property(rows, (all) => {
      const pages = new SumPages();
      const [dense, sparse] = [new Sums(pages), new Sums(pages)];
      for (const [counters] of all) {
        const row = growth(counters, []);
        sparse.add(row);
        dense.addCounters(Float64Array.from({ length: COUNTERS }, (_, index) => row.counter(index)));
      }
      expect(contents(dense)).toEqual(contents(sparse));
    }),
  );
});

test("a number of its owner stands beside counters and slots, and can be set back", () => {
  const sums = slotsOnly([SLOTS.to - 1, 5]);
  sums.set(OWN_FROM, 23);
  sums.set(OWN_FROM + 1, 29);
  sums.set(OWN_FROM, 0);

  expect([OWN_FROM, OWN_FROM + 1].map((index) => sums.get(index))).toEqual([0, 29]);
  expect(contents(sums).buckets).toEqual([SLOTS.to - 1, 5]);
});

test("room that was given back begins at zero for the next, and who gave it back gets other room", () => {
  const pages = new SumPages();
  const former = new Sums(pages);
  former.add(growth([[3, 23]], [[7, 5]]));
  former.release();
  const next = new Sums(pages);
  next.add(growth([[4, 1]], []));
  const emptied = former.get(3);
  former.add(growth([[5, 29]], []));

  expect([emptied, next.get(3), next.get(4), next.get(5)]).toEqual([0, 0, 1, 0]);
  expect([former.get(3), former.get(4), former.get(5)]).toEqual([0, 0, 29]);
  expect(next.buckets(SLOTS)).toEqual([]);
});

test.each([1, 9])("thousands side by side, of %d numbers each, fill one page after the other", (numbers) => {
  const pages = new SumPages();
  const pairs = Array.from({ length: numbers }, (_, slot): Pair => [slot, slot + 1]);
  const all = Array.from({ length: 3_000 }, () => new Sums(pages));
  for (const [i, sums] of all.entries()) sums.add(growth([[0, i + 1]], pairs));

  expect(all.map((sums) => sums.get(0))).toEqual(all.map((_, i) => i + 1));
  for (const sums of all) expect(sums.buckets(SLOTS)).toEqual(pairs.flat());
});

test("sums that were cleared begin at zero again", () => {
  const sums = slotsOnly([3, 5], [7, 11]);
  sums.clear();
  sums.addSlots(growth([], [[3, 2]]));

  expect(sums.buckets(SLOTS)).toEqual([3, 2]);
});

test("all room that was taken is given back: what was too narrow at once, the rest by a release", () => {
  let taken = 0;
  class CountedPages extends SumPages {
    override take(width: number) {
      taken += width;
      return super.take(width);
    }
    override give(place: Parameters<SumPages["give"]>[0]): void {
      taken -= place.page.width;
      super.give(place);
    }
  }
  const sums = new Sums(new CountedPages());
  for (let index = 0; index < 12; index++) sums.set(index, 1);
  const whileInUse = taken;
  sums.release();
  sums.release();

  expect([whileInUse, taken]).toEqual([12, 0]);
});

test("one histogram does not reach into the next", () => {
  expect(slotsOnly([RTT.from - 1, 5], [RTT.from + 2, 7], [RTT.to, 11]).buckets(RTT)).toEqual([2, 7]);
});

test.each([
  [0.5, 2 ** (10.5 / 4)],
  [0.9, 2 ** (10.5 / 4)],
  [0.91, 2 ** (20.5 / 4)],
  [0.99, 2 ** (20.5 / 4)],
])("the %f quantile is the middle of the bucket that holds it", (share, us) => {
  expect(slotsOnly([RTT.from + 10, 90], [RTT.from + 20, 10]).quantile(RTT, share)).toBe(us);
});

test("nothing measured has no quantile", () => {
  expect(new Sums(new SumPages()).quantile(RTT, 0.5)).toBeUndefined();
});
