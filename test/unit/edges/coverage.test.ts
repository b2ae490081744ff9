import { expect, test } from "vitest";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { type Counts, FakeIdentity, FakeKernel, keyOf } from "../series/kernel.ts";
import { Stepping } from "../series/stepping.ts";
import { namespaceBooks } from "../source/namespace-books.ts";

const NETNS = keyOf("client a>b:80").netns;

function books(counters: Partial<NamespaceCounters> = {}): NamespaceCounters {
  return namespaceBooks({ netns: NETNS, ...counters });
}

function start() {
  const kernel = new FakeKernel();
  const steps = new Stepping(DEFAULT_AGGREGATE_OPTIONS, new FakeIdentity(), keyOf);
  return {
    steps,
    /** Sockets grow by `counts`, then the namespace's books say `counters`. Nothing is ever accepted. */
    exchange(counts: Readonly<Record<string, Counts>>, ...namespaces: NamespaceCounters[]) {
      for (const [id, grown] of Object.entries(counts)) kernel.grow(id, grown);
      steps.take(kernel.exchange(namespaces));
      return steps.coverage();
    },
  };
}

test("coverage counts from the first exchange that saw a namespace, repeated growth once", () => {
  const { exchange } = start();
  exchange({ "client a>b:80": { segsOut: 1_000, opened: 5 } }, books({ outSegs: 7, activeOpens: 7 }));
  exchange({ "client a>b:80": { segsOut: 80, opened: 2, failedRefused: 1 } }, books({ outSegs: 87, activeOpens: 10 }));

  const ratios = exchange(
    { "client a>b:80": { segsOut: 10 }, "server a>b:80": { segsOut: 10, opened: 3 } },
    books({ outSegs: 104, activeOpens: 10, passiveOpens: 6, retransSegs: 6 }),
  );

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: 6 / 9 }]);
});

test("what no socket can send is not missed: SYN-ACKs and resets for closed ports", () => {
  const { exchange } = start();
  exchange({}, books());

  const ratios = exchange(
    { "server a>b:80": { segsOut: 10, opened: 1 } },
    books({ outSegs: 15, passiveOpens: 1, outRsts: 4 }),
  );

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: 1 }]);
});

test("a SYN-ACK that was sent again is accounted for: the kernel counts it as sent and as sent again", () => {
  const { exchange } = start();
  exchange({}, books());

  const ratios = exchange(
    { "server a>b:80": { segsOut: 10, opened: 1, retransmitsSyn: 3 } },
    books({ outSegs: 14, retransSegs: 3, passiveOpens: 1 }),
  );

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: 1 }]);
});

test("a handshake that the kernel counts in PassiveOpens twice makes no segment too many", () => {
  const { exchange } = start();
  exchange({}, books());

  const ratios = exchange({ "server a>b:80": { segsOut: 10, opened: 1 } }, books({ outSegs: 11, passiveOpens: 2 }));

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: 0.5 }]);
});

test("a SYN-ACK of a connection that no flow knows is missing, as its other segments are", () => {
  const { exchange } = start();
  exchange({}, books());

  const ratios = exchange({ "server a>b:80": { segsOut: 4, opened: 1 } }, books({ outSegs: 10, passiveOpens: 2 }));

  expect(ratios).toEqual([{ netns: NETNS, segments: 0.5, connections: 0.5 }]);
});

test("segments that arrive decide nothing: a socket counts those that GRO merged, the kernel what it merged them into", () => {
  const { exchange } = start();
  exchange({}, books());

  const ratios = exchange({ "client a>b:80": { segsIn: 69_164, segsOut: 23 } }, books({ inSegs: 1_738, outSegs: 46 }));

  expect(ratios).toEqual([{ netns: NETNS, segments: 0.5, connections: undefined }]);
});

test("a blind agent shows a ratio of zero, a quiet namespace none", () => {
  const { exchange } = start();
  exchange({}, books(), books({ netns: 2 }));

  const ratios = exchange({}, books({ inSegs: 23, outSegs: 23, activeOpens: 1 }), books({ netns: 2 }));

  expect(ratios).toEqual([
    { netns: NETNS, segments: 0, connections: 0 },
    { netns: 2, segments: undefined, connections: undefined },
  ]);
});

test("an exchange that could not read a namespace leaves its ratio as it was", () => {
  const { exchange } = start();
  exchange({}, books());
  exchange({ "client a>b:80": { segsOut: 10 } }, books({ outSegs: 10 }));

  const ratios = exchange({ "client a>b:80": { segsOut: 10 } });

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: undefined }]);
});

test("a namespace that is gone is forgotten", () => {
  const { exchange } = start();
  exchange({}, books());

  const known = Array.from({ length: 9 }, () => exchange({}).length);

  expect(known).toEqual([1, 1, 1, 1, 1, 1, 1, 0, 0]);
});

test("an inode that another namespace got starts anew, however much that one has counted already", () => {
  const { exchange } = start();
  exchange({}, books({ inSegs: 1_000, outSegs: 1_000 }));
  exchange({ "client a>b:80": { segsOut: 500 } }, books({ cookie: 2n, inSegs: 1_500, outSegs: 1_500 }));

  const ratios = exchange({ "client a>b:80": { segsOut: 20 } }, books({ cookie: 2n, inSegs: 1_500, outSegs: 1_520 }));

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: undefined }]);
});

test("where the kernel has no cookie, a namespace whose counters are smaller is another one", () => {
  const { exchange } = start();
  exchange({}, books({ cookie: 0n, inSegs: 1_000, outSegs: 1_000 }));
  exchange({}, books({ cookie: 0n, inSegs: 3, outSegs: 3 }));

  const ratios = exchange({ "client a>b:80": { segsOut: 20 } }, books({ cookie: 0n, inSegs: 3, outSegs: 23 }));

  expect(ratios).toEqual([{ netns: NETNS, segments: 1, connections: undefined }]);
});
