/** Whose sets have series of their own when many owners want more than there is: none pushes out others. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Budget, type Contender } from "../../../agent/series/budget.ts";

interface Ranked extends Contender {
  readonly owner: { readonly name: string };
}

const ATTACKER = { name: "attacker" };
const VICTIM = { name: "victim" };
const LIMIT = 100;

const always = () => true;

function set(owner: { readonly name: string }, weight: number): Ranked {
  return { owner, weight, admitted: false, eligible: true };
}

/** Sets that have come one after the other. */
function come(budget: Budget<Ranked>, owner: { readonly name: string }, weights: readonly number[]): Ranked[] {
  return weights.map((weight) => {
    const ranked = set(owner, weight);
    budget.enter(ranked);
    return ranked;
  });
}

const admitted = (sets: readonly Ranked[]): number => sets.filter((each) => each.admitted).length;

test("one owner alone may have all of it", () => {
  const budget = new Budget<Ranked>(LIMIT);

  expect(admitted(come(budget, ATTACKER, Array(1_000).fill(1)))).toBe(LIMIT);
});

test("10,000 heavy sets of one owner leave another's light ones where they are", () => {
  const budget = new Budget<Ranked>(LIMIT);
  const light = come(budget, VICTIM, Array(23).fill(1));
  const heavy = come(budget, ATTACKER, Array(10_000).fill(1e9));

  for (let exchange = 0; exchange < 3; exchange++) budget.rebalance([...light, ...heavy], always);

  expect([admitted(light), admitted(heavy)]).toEqual([23, LIMIT - 23]);
});

test("light sets that come when heavy ones of one owner have all of it get their place with the next exchange", () => {
  const budget = new Budget<Ranked>(LIMIT);
  const heavy = come(budget, ATTACKER, Array(10_000).fill(1e9));
  const light = come(budget, VICTIM, Array(23).fill(1));

  const demoted = budget.rebalance([...heavy, ...light], always);

  expect([admitted(light), admitted(heavy), demoted.length]).toEqual([23, LIMIT - 23, 23]);
  expect(budget.rebalance([...heavy, ...light], always)).toEqual([]);
});

test("two that want more than half have half each, and the heavier of their own", () => {
  const budget = new Budget<Ranked>(LIMIT);
  const first = come(budget, ATTACKER, Array(1_000).fill(1e9));
  const second = come(budget, VICTIM, [...Array(500).fill(1), ...Array(LIMIT).fill(1_000)]);

  budget.rebalance([...first, ...second], always);

  expect([admitted(first), admitted(second)]).toEqual([LIMIT / 2, LIMIT / 2]);
  expect(admitted(second.slice(500))).toBe(LIMIT / 2);
});

test("what is in doubt stays, and who waits for it gets its place later", () => {
  const budget = new Budget<Ranked>(LIMIT);
  const heavy = come(budget, ATTACKER, Array(LIMIT).fill(1e9));
  const light = come(budget, VICTIM, [1]);

  expect(budget.rebalance([...heavy, ...light], () => false)).toEqual([]);
  expect(budget.rebalance([...heavy, ...light], always)).toHaveLength(1);
  expect(admitted(light)).toBe(1);
});

test("room that several owners wait for goes to those first that have less than their right", () => {
  const budget = new Budget<Ranked>(2);
  const gone = come(budget, ATTACKER, [1, 1]);
  const heavy = come(budget, ATTACKER, [9, 9]);
  const light = come(budget, VICTIM, [1]);
  for (const set of gone) budget.leave(set);

  budget.rebalance([...heavy, ...light], always);

  expect([admitted(heavy), admitted(light)]).toEqual([1, 1]);
});

test("whoever comes and goes: the limit holds, nobody waits who has less than the right, and none is counted that has gone", () => {
  const step = fc.record({ owner: fc.nat(4), weight: fc.integer({ min: 1, max: 1_000 }), goes: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 120 }), (limit, steps) => {
      const owners = Array.from({ length: 5 }, (_, i) => ({ name: String(i) }));
      const budget = new Budget<Ranked>(limit);
      let sets: Ranked[] = [];
      for (const { owner, weight, goes } of steps) {
        const [gone, ...rest] = sets;
        if (goes && gone !== undefined) {
          budget.leave(gone);
          sets = rest;
        } else {
          sets.push(...come(budget, owners[owner] as { name: string }, [weight]));
        }
      }
      budget.rebalance(sets, always);

      const present = new Set(sets.map(({ owner }) => owner));
      const right = Math.floor(limit / Math.max(1, present.size));
      expect(budget.admitted).toBe(Math.min(limit, sets.length));
      expect(admitted(sets)).toBe(budget.admitted);
      for (const owner of present) {
        const own = sets.filter((each) => each.owner === owner);
        expect(admitted(own)).toBeGreaterThanOrEqual(Math.min(right, own.length));
      }
    }),
  );
});
