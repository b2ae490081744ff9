/** What random histories (test/histories/) found wrong with names, each made as small as it could be. */
import { expect, test } from "vitest";
import { AddressCache } from "../../../agent/directory/client/address-cache.ts";
import type { Interval, PodMessage, ServiceMessage } from "../../../agent/directory/protocol.ts";
import { FEEDS_OF } from "../../../agent/kubernetes/reads.ts";
import { feedsOf } from "../../../agent/kubernetes/watch-cluster.ts";
import { FIRST_SYNC_MS, GONE_MS, PENDING_MS } from "../../../agent/naming/identify.ts";
import { BothWays } from "./both-ways.ts";
import {
  BOOT_UNIX_MS,
  clusterIdentity,
  edge,
  identityOf,
  node,
  ns,
  pod,
  put,
  START_MS,
  service,
  slice,
} from "./cluster-builders.ts";
import { CART_POD, end, MINUTE, remote, SECOND } from "./remote-end.ts";

const ADDRESS = "10.1.0.7";
const LATER = START_MS + MINUTE;
const AT_ADDRESS = { remoteAddress: ADDRESS };
const cart = pod("cart-a", { addresses: [ADDRESS] });
const bill = pod("bill-b", { addresses: [ADDRESS], createdMs: 2_000 });

test("a node's public address is unknown, and not external, while the nodes could not be read", () => {
  const feeds = feedsOf("all");
  const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: "blue", feeds } });
  const at = (ms: number) => remote(identity, { remoteAddress: "203.0.113.9" }, { nowMs: START_MS + ms });
  const unread = at(FIRST_SYNC_MS);
  put(identity, { nodes: [node("node-2", { addresses: ["203.0.113.9"] })] });
  for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS + FIRST_SYNC_MS + 1 });

  expect([unread, at(FIRST_SYNC_MS + MINUTE)]).toMatchObject([{ kind: "unknown" }, { kind: "node", name: "node-2" }]);
});

test("a pod that was told to end, and whose address is told after its successor's, had it in that time, too", () => {
  const cluster = new BothWays();
  cluster.put("pods", { ...cart, addresses: [], createdMs: 1_000 });
  cluster.put("pods", { ...cart, addresses: [], createdMs: 1_000, terminating: true }, START_MS + SECOND);
  cluster.put("pods", bill, START_MS + 2 * SECOND);
  cluster.put("pods", { ...cart, createdMs: 1_000, terminating: true }, START_MS + 3 * SECOND);

  const growth = { sinceMs: START_MS, nowMs: START_MS + 15 * SECOND };
  expect(cluster.remote(AT_ADDRESS, growth)).toEqual(end("unknown", ADDRESS));
  expect(cluster.remote(AT_ADDRESS, { sinceMs: LATER, nowMs: LATER + SECOND })).toMatchObject({ podName: "bill-b" });
});

test.each([
  ["first told with its address", []],
  ["told on its node before", [{ ...cart, addresses: [], createdMs: 1_000 }]],
])("a pod that was told to end after another had claimed its address shares it until its end, %s", (_, first) => {
  const cluster = new BothWays();
  for (const each of first) cluster.put("pods", each);
  cluster.put("pods", bill, START_MS + 2 * SECOND);
  cluster.put("pods", { ...cart, createdMs: 1_000, terminating: true }, START_MS + 3 * SECOND);
  const growth = { sinceMs: START_MS + 4 * SECOND, nowMs: START_MS + 5 * SECOND };
  const shared = cluster.remote(AT_ADDRESS, growth);
  cluster.remove("pods", cart.uid, LATER);

  expect(shared).toEqual(end("unknown", ADDRESS));
  expect(cluster.remote(AT_ADDRESS, { sinceMs: LATER, nowMs: LATER + SECOND })).toMatchObject({ podName: "bill-b" });
});

test("growth just before a pod's end is told waits for the next owner, also when it is named after that", () => {
  const identity = clusterIdentity();
  put(identity, { pods: [cart] });
  identity.apply({ feed: "pods", type: "remove", atMs: LATER, uid: cart.uid });
  const named = (nowMs: number) =>
    identity.identify(edge(AT_ADDRESS), ns(LATER - 2 * SECOND), ns(LATER - 1), ns(nowMs));

  expect(named(LATER + SECOND)).toMatchObject({ state: "pending" });
  expect(named(LATER + 11 * SECOND)).toMatchObject({ state: "named", remote: CART_POD });
});

test("growth just after a pod's end waits for the next owner, also where the one after that is known", () => {
  const identity = clusterIdentity();
  put(identity, { pods: [cart, { ...bill, addresses: [] }] });
  const later = pod("later", { addresses: [ADDRESS], createdMs: 3_000 });
  identity.apply({ feed: "pods", type: "remove", atMs: LATER, uid: cart.uid });
  put(identity, { pods: [later] }, LATER + 6 * SECOND);
  const named = (seconds: number) =>
    remote(identity, AT_ADDRESS, { sinceMs: LATER - 1, nowMs: LATER + 5 * SECOND, askedMs: LATER + seconds * SECOND });
  const first = named(10);
  put(identity, { pods: [{ ...bill, ended: true }] }, LATER + 11 * SECOND);

  expect(first).toBe(`${ADDRESS} may have another owner already`);
  expect(named(15)).toEqual(end("unknown", ADDRESS));
});

test("a workload that was behind a Service and has gone before anybody asked is not forgotten", () => {
  const cluster = new BothWays();
  const behind = (podUid: string) => slice("shop-1", "shop-svc", { endpoints: [{ addresses: [], podUid }] });
  cluster.put("services", service("shop-svc", { clusterAddresses: ["10.96.0.7"] }));
  for (const name of ["blue-a", "green-a"]) cluster.put("pods", pod(name));
  cluster.put("endpoint-slices", behind("uid-blue-a"));
  cluster.remote({ remoteAddress: "10.96.0.7" });
  cluster.put("endpoint-slices", behind("uid-green-a"), LATER);
  cluster.remove("pods", "uid-green-a", LATER + 1);
  cluster.put("endpoint-slices", slice("shop-1", "shop-svc"), LATER + 2);

  const at = (sinceMs: number) => cluster.remote({ remoteAddress: "10.96.0.7" }, { sinceMs, nowMs: LATER + SECOND });
  expect([at(LATER - 1), at(LATER + 3)]).toMatchObject([{ name: "shop-svc" }, { name: "green" }]);
});

test("growth from before a history was lost is not a pod's that came since: who was there may never be told", () => {
  const identity = clusterIdentity();
  put(identity, { pods: [{ ...bill, createdMs: BOOT_UNIX_MS + LATER }] }, LATER);
  const at = (sinceMs: number) => remote(identity, AT_ADDRESS, { sinceMs, nowMs: LATER + 30 * SECOND });
  const before = at(LATER - SECOND);
  identity.apply({ feed: "pods", type: "synced", atMs: LATER + SECOND });

  expect([before, at(LATER - SECOND), at(LATER + SECOND)]).toMatchObject([
    { kind: "pod" },
    { kind: "unknown" },
    { kind: "pod" },
  ]);
});

test("another replica of the directory says since when it knows, and growth from before is not in doubt for older pods", () => {
  const feeds = feedsOf("all");
  const identity = identityOf({
    kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory: { answered: () => true } },
  });
  const known = new AddressCache({ onChange: (change) => identity.apply(change), capacity: 9, forgetMs: 1e9 });
  for (const feed of FEEDS_OF.watch) identity.apply({ feed, type: "synced", atMs: START_MS });
  put(identity, { pods: [cart, { ...bill, addresses: ["10.1.0.8"], createdMs: BOOT_UNIX_MS + LATER }] }, LATER);
  known.cluster({ uid: "", replica: "two", listedAgeMs: 10 * SECOND }, LATER + 20 * SECOND);
  const at = (remoteAddress: string, sinceMs: number) =>
    remote(identity, { remoteAddress }, { sinceMs, nowMs: LATER + 30 * SECOND });

  expect([at("10.1.0.8", LATER - SECOND), at("10.1.0.8", LATER + 11 * SECOND)]).toMatchObject([
    { kind: "unknown" },
    { kind: "pod" },
  ]);
});

test("a question that the directory did not answer long ago is waited for anew", () => {
  const feeds = feedsOf("all");
  const directory = { answered: () => false };
  const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory } });
  for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
  const at = (ms: number) => remote(identity, AT_ADDRESS, { nowMs: START_MS + ms });
  const asked = [at(0), at(PENDING_MS), at(PENDING_MS + 2 * MINUTE)];

  expect(asked).toMatchObject([expect.any(String), { kind: "unknown" }, expect.any(String)]);
});

test("an address without an owner is waited for anew, once it had one", () => {
  const identity = clusterIdentity();
  const at = (ms: number) => remote(identity, AT_ADDRESS, { nowMs: START_MS + ms, sinceMs: START_MS + ms - SECOND });
  const asked = [at(0), at(PENDING_MS)];
  put(identity, { pods: [cart] }, START_MS + PENDING_MS + SECOND);
  identity.apply({ feed: "pods", type: "remove", atMs: START_MS + MINUTE, uid: cart.uid });

  expect([...asked, at(2 * MINUTE)]).toMatchObject([expect.any(String), { kind: "unknown" }, expect.any(String)]);
});

test("of two pods that are told of at once, after an outage, either may have had the growth from before", () => {
  const cluster = new BothWays();
  cluster.put("pods", cart, LATER);
  cluster.put("pods", { ...cart, ended: true }, LATER + 1);
  cluster.put("pods", bill, LATER + 2);

  expect(cluster.remote(AT_ADDRESS, { sinceMs: LATER - MINUTE, nowMs: LATER - SECOND })).toEqual(
    end("unknown", ADDRESS),
  );
});

test.each([
  ["one has", [cart]],
  ["several of one workload have", [cart, { ...cart, uid: "uid-cart-b", name: "cart-b" }]],
])("growth that %s is not what later growth is, where another shares the address by then", (_, pods) => {
  const identity = clusterIdentity();
  put(identity, { pods });
  const at = (sinceMs: number, untilMs: number) =>
    identity.identify(edge(AT_ADDRESS), ns(sinceMs), ns(untilMs), ns(LATER + MINUTE));
  const alone = at(START_MS, LATER - SECOND);
  put(identity, { pods: [bill] }, LATER);

  expect(alone).toMatchObject({ remote: { name: "cart" }, passing: false });
  expect(at(START_MS, LATER - SECOND)).toMatchObject({ remote: { name: "cart" }, passing: true });
  expect(at(LATER, LATER + SECOND)).toMatchObject({ remote: { kind: "unknown" }, passing: false });
});

test("an address of a Service that another answer has spoken of is its own for as long as the directory says", () => {
  const feeds = feedsOf("all");
  const identity = identityOf({
    kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory: { answered: () => true } },
  });
  const known = new AddressCache({ onChange: (change) => identity.apply(change), capacity: 9, forgetMs: 1e9 });
  for (const feed of FEEDS_OF.watch) identity.apply({ feed, type: "synced", atMs: LATER });
  const web = {
    uid: "uid-web",
    name: "web",
    namespace: "shop",
    clusterAddresses: ["10.96.0.7"],
    createdUnixMs: 0,
    zone: "",
  };
  const message: ServiceMessage = { ...web, goesBy: { name: "web", namespace: "shop" } };
  const keys = [
    { address: "198.51.100.1", port: 80 },
    { address: "10.96.0.7", port: 80 },
  ] as const;
  for (const { address, port } of keys) known.answered(address, port, LATER);
  known.answer({ key: keys[0], intervals: [], atPort: message }, LATER);
  known.answer({ key: keys[1], intervals: [{ fromAgeMs: LATER, service: message }] }, LATER);

  const growth = { sinceMs: LATER - MINUTE, nowMs: LATER };
  expect(remote(identity, { remoteAddress: "10.96.0.7" }, growth)).toMatchObject({ kind: "service", name: "web" });
});

test.each<[how: string, answersOf: (before: Interval, now: Interval) => Interval[][]]>([
  ["of whom the directory tells", (before, now) => [[{ ...before, untilAgeMs: 0 }, now]]],
  ["of whom another replica does not tell", (before, now) => [[before], [now]]],
  ["of whom another replica does not tell, which answers again", (before, now) => [[before], [now], [now]]],
])("an address that nobody looks up is not forgotten while a former owner is known, %s", (_, answersOf) => {
  const feeds = feedsOf("all");
  const identity = identityOf({
    kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory: { answered: () => true } },
  });
  const known = new AddressCache({ onChange: (c) => identity.apply(c), capacity: 9, forgetMs: SECOND });
  for (const feed of FEEDS_OF.watch) identity.apply({ feed, type: "synced", atMs: START_MS });
  const key = { address: ADDRESS, port: 80 };
  const told = ({ uid, name, service: goesBy }: typeof cart): PodMessage => ({
    uid,
    name,
    namespace: "shop",
    addresses: [ADDRESS],
    createdUnixMs: 0,
    service: goesBy,
    terminating: false,
  });
  const billNow = { fromAgeMs: SECOND, pod: told(bill) };
  const answers = answersOf({ fromAgeMs: MINUTE, pod: told(cart) }, billNow);
  known.answered(ADDRESS, 80, START_MS);
  for (const intervals of answers) known.answer({ key, intervals }, LATER);
  const growth = { sinceMs: LATER - 2 * SECOND, nowMs: LATER + SECOND };
  const isForgotten = (nowMs: number) => {
    known.forgetUnseen(nowMs);
    return known.stats().addresses === 0;
  };

  expect(isForgotten(LATER + GONE_MS - 1)).toBe(false);
  expect(remote(identity, AT_ADDRESS, growth)).toEqual(end("unknown", ADDRESS));
  expect(isForgotten(LATER + GONE_MS)).toBe(true);
});
