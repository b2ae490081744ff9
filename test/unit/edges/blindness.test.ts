/** When an agent is blind: the kernel counts on, and flows have nothing of it. */
import { expect, test } from "vitest";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { type Counts, FakeIdentity, FakeKernel, keyOf } from "../series/kernel.ts";
import { Stepping } from "../series/stepping.ts";
import { namespaceBooks } from "../source/namespace-books.ts";

const NETNS = keyOf("client a>b:80").netns;
const BUSY = { outSegs: 1_000 };
const ACCEPTING = { outSegs: 50, passiveOpens: 20 };

interface Moved {
  readonly outSegs: number;
  readonly passiveOpens: number;
}

/** Exchanges in which the namespace's own counters grow, and sockets by what is given; nothing is ever accepted. */
function start() {
  const kernel = new FakeKernel();
  const steps = new Stepping(DEFAULT_AGGREGATE_OPTIONS, new FakeIdentity(), keyOf);
  let books = namespaceBooks({ netns: NETNS });
  const exchange = (moved: Partial<Moved>, counts: Readonly<Record<string, Counts>> = {}) => {
    for (const [name, by] of Object.entries(moved)) books = { ...books, [name]: books[name as keyof Moved] + by };
    for (const [id, grown] of Object.entries(counts)) kernel.grow(id, grown);
    steps.take(kernel.exchange([books]));
    return steps.blindness();
  };
  exchange({});
  return exchange;
}

test("three exchanges in which the kernel counts and flows have nothing make an agent blind, two do not", () => {
  const exchange = start();

  expect([exchange(BUSY), exchange(BUSY)]).toEqual([undefined, undefined]);
  expect(exchange(BUSY)).toBe(
    "blind: in 3 exchanges flows had nothing of what the kernel counted (1000 segments and 0 accepted connections in the last)",
  );
});

test("an exchange in which flows have any of it ends that at once", () => {
  const exchange = start();
  for (let i = 0; i < 5; i++) exchange(BUSY);

  expect(exchange(BUSY, { "client a>b:80": { segsOut: 1 } })).toBeUndefined();
  expect([exchange(BUSY), exchange(BUSY)]).toEqual([undefined, undefined]);
});

test("a quiet exchange neither makes an agent blind nor ends that it is", () => {
  const exchange = start();
  exchange(BUSY);
  exchange(BUSY);

  expect([exchange({ outSegs: 99 }), exchange({})]).toEqual([undefined, undefined]);
  expect(exchange(BUSY)).toContain("blind: in 3 exchanges");
  expect(exchange({})).toContain("blind: in 3 exchanges");
});

test("without hooks new connections are missing, though old ones still send", () => {
  const exchange = start();
  const old = { "server a>b:80": { segsOut: 500 } };
  exchange(ACCEPTING, old);
  exchange(ACCEPTING, old);

  expect(exchange(ACCEPTING, old)).toContain("20 accepted connections");
});

test("a SYN flood and connects that nobody answers do not make an agent blind that sees anything", () => {
  const exchange = start();
  const flood = { outSegs: 100_000, activeOpens: 5_000 };

  const told = [1, 2, 3, 4, 5].map(() => exchange(flood, { "client a>b:80": { segsOut: 7 } }));

  expect(told).toEqual(Array(5).fill(undefined));
});
