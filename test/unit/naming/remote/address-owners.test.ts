/** Who a remote address was, when pods and workloads follow each other on it. */
import { describe, expect, test } from "vitest";
import { HANDOVER_MS } from "../../../../agent/naming/claims.ts";
import type { ClusterIdentity } from "../../../../agent/naming/identify.ts";
import {
  BOOT_UNIX_MS,
  clusterIdentity,
  edge,
  listedIdentity,
  node,
  ns,
  pod,
  put,
  START_MS,
  service,
  slice,
} from "../cluster-builders.ts";
import { BILL_POD, CART_POD, end, isPassing, MINUTE, remote, SECOND } from "../remote-end.ts";

describe("a Service whose workload is replaced by another", () => {
  const address = "10.96.0.7";
  const behind = (podUid: string) => slice("shop-1", "shop-svc", { endpoints: [{ addresses: ["10.1.0.7"], podUid }] });
  const REPLACED = START_MS + MINUTE;

  test.each([
    { growth: "before", sinceMs: REPLACED - 30 * SECOND, nowMs: REPLACED - 15 * SECOND, asked: "before", name: "blue" },
    { growth: "across the change", sinceMs: REPLACED - 5 * SECOND, nowMs: REPLACED + 5 * SECOND, name: "shop-svc" },
    { growth: "after", sinceMs: REPLACED, nowMs: REPLACED + 15 * SECOND, name: "green" },
  ])("goes by $name for growth $growth", ({ sinceMs, nowMs, asked, name }) => {
    const identity = clusterIdentity();
    const pods = [pod("blue-a"), pod("green-a")];
    put(identity, { services: [service("shop-svc", { clusterAddresses: [address] })], slices: [behind("uid-blue-a")] });
    put(identity, { pods });
    remote(identity, { remoteAddress: address });
    if (asked !== "before") put(identity, { slices: [behind("uid-green-a")] }, REPLACED);

    expect(remote(identity, { remoteAddress: address }, { sinceMs, nowMs })).toMatchObject({ kind: "service", name });
  });
});

describe("an address that changes hands", () => {
  const ADDRESS = "10.1.0.7";
  const cart = pod("cart-a", { addresses: [ADDRESS], createdMs: 1_000 });
  const bill = pod("bill-b", { addresses: [ADDRESS], createdMs: 2_000 });
  const GONE = START_MS + MINUTE;
  const NEXT = START_MS + 2 * MINUTE;

  function handedOver(): ClusterIdentity {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] }, START_MS);
    identity.apply({ feed: "pods", type: "remove", atMs: GONE, uid: cart.uid });
    put(identity, { pods: [bill] }, NEXT);
    return identity;
  }

  test.each([
    { growth: "before the end", sinceMs: GONE - 15 * SECOND, nowMs: GONE, expected: CART_POD },
    { growth: "across the end, before the next one was seen", sinceMs: GONE - 5, nowMs: GONE + 5, expected: CART_POD },
    { growth: "after the next one came", sinceMs: NEXT, nowMs: NEXT + 15 * SECOND, expected: BILL_POD },
    { growth: "since before the next one was seen", sinceMs: GONE, nowMs: NEXT + 15 * SECOND, expected: BILL_POD },
    { growth: "across both", sinceMs: GONE - 1, nowMs: NEXT + 1, expected: end("unknown", ADDRESS) },
  ])("growth $growth is its owner's at that time", ({ sinceMs, nowMs, expected }) => {
    const growth = { sinceMs, nowMs, askedMs: nowMs + HANDOVER_MS };

    expect(remote(handedOver(), { remoteAddress: ADDRESS }, growth)).toEqual(expected);
  });

  test("growth after the end names nobody, and is waited for first", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] });
    identity.apply({ feed: "pods", type: "remove", atMs: GONE, uid: cart.uid });
    const later = (ms: number) => remote(identity, { remoteAddress: ADDRESS }, { sinceMs: GONE, nowMs: GONE + ms });

    expect(later(15 * SECOND)).toBe(`${ADDRESS} is not known yet`);
    expect(later(45 * SECOND)).toEqual(end("unknown", ADDRESS));
  });

  test("growth that its owner's end lies in waits for the next owner, for ten seconds", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] });
    identity.apply({ feed: "pods", type: "remove", atMs: GONE, uid: cart.uid });
    const untilMs = GONE + SECOND;
    const askedAt = (nowMs: number) => {
      const answer = identity.identify(edge({ remoteAddress: ADDRESS }), ns(GONE - SECOND), ns(untilMs), ns(nowMs));
      return answer.state === "named" ? answer.remote : answer.why;
    };

    expect(askedAt(untilMs + 9 * SECOND)).toBe(`${ADDRESS} may have another owner already`);
    expect(askedAt(untilMs + 10 * SECOND)).toEqual(CART_POD);
  });

  test("growth of a pod that was told to end waits as well, and is nobody's if the next one was there already", () => {
    const askedAt = (identity: ClusterIdentity, nowMs: number) => {
      const growth = [ns(GONE - SECOND), ns(GONE), ns(nowMs)] as const;
      const answer = identity.identify(edge({ remoteAddress: ADDRESS }), ...growth);
      return answer.state === "named" ? answer.remote : answer.why;
    };
    const alone = clusterIdentity();
    const followed = clusterIdentity();
    for (const identity of [alone, followed]) {
      put(identity, { pods: [cart] });
      put(identity, { pods: [{ ...cart, terminating: true }] }, GONE - MINUTE);
    }
    put(followed, { pods: [{ ...bill, addresses: [] }] }, GONE - 500);
    const waiting = askedAt(followed, GONE + SECOND);
    put(followed, { pods: [bill] }, GONE + 2 * SECOND);

    expect(waiting).toBe(`${ADDRESS} may have another owner already`);
    expect(askedAt(followed, GONE + 3 * SECOND)).toEqual(end("unknown", ADDRESS));
    expect([askedAt(alone, GONE + 9 * SECOND), askedAt(alone, GONE + 10 * SECOND)]).toEqual([waiting, CART_POD]);
  });

  test("a Job that lived a second is named, although its address was told of with its end", () => {
    const identity = clusterIdentity();
    const job = pod("job-a", { createdMs: 1_500, addresses: [] });
    put(identity, { pods: [job] }, START_MS);
    put(identity, { pods: [{ ...job, addresses: [ADDRESS], ended: true }] }, START_MS + SECOND);
    put(identity, { pods: [bill] }, NEXT);

    const at = (sinceMs: number, nowMs: number) =>
      remote(identity, { remoteAddress: ADDRESS }, { sinceMs, nowMs, askedMs: nowMs + HANDOVER_MS });
    expect(at(START_MS, START_MS + 5 * SECOND)).toMatchObject({ kind: "pod", podName: "job-a" });
    expect(at(START_MS + SECOND, NEXT + SECOND)).toEqual(BILL_POD);
  });

  test("an owner keeps it when another is told of that had it before and has ended", () => {
    const identity = clusterIdentity();
    const job = pod("job-a", { createdMs: 3_000, addresses: [] });
    put(identity, { pods: [job] }, START_MS);
    put(identity, { pods: [bill] }, START_MS + 2 * SECOND);
    put(identity, { pods: [{ ...job, addresses: [ADDRESS], ended: true }] }, START_MS + 3 * SECOND);

    const at = (sinceMs: number, nowMs: number) => remote(identity, { remoteAddress: ADDRESS }, { sinceMs, nowMs });
    expect(at(START_MS + 3 * SECOND, START_MS + 9 * SECOND)).toEqual(BILL_POD);
    expect(at(START_MS, START_MS + 3 * SECOND)).toEqual(end("unknown", ADDRESS));
  });

  test("the next owner may have had it since it was put on its node, and not before", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] });
    const waiting = { ...bill, addresses: [] };
    put(identity, { pods: [{ ...waiting, node: "" }] }, GONE - MINUTE);
    put(identity, { pods: [waiting] }, GONE - 10 * SECOND);
    identity.apply({ feed: "pods", type: "remove", atMs: GONE, uid: cart.uid });
    put(identity, { pods: [bill] }, GONE + SECOND);
    const at = (sinceMs: number, nowMs: number) =>
      remote(identity, { remoteAddress: ADDRESS }, { sinceMs, nowMs, askedMs: nowMs + HANDOVER_MS });

    expect(at(GONE - 25 * SECOND, GONE - 10 * SECOND)).toEqual(CART_POD);
    expect(at(GONE - 10 * SECOND, GONE - SECOND)).toEqual(end("unknown", ADDRESS));
    expect(at(GONE, GONE + 500)).toEqual(BILL_POD);
  });

  test("growth across two pods of one workload is the workload's", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] });
    identity.apply({ feed: "pods", type: "remove", atMs: GONE, uid: cart.uid });
    put(identity, { pods: [pod("cart-z", { addresses: [ADDRESS], createdMs: 2_000 })] }, NEXT);

    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: START_MS, nowMs: NEXT + SECOND })).toEqual(
      end("pod", "shop/cart", { name: "cart", namespace: "shop", nodeName: "node-1" }),
    );
  });

  test("a pod whose containers have all ended gives it up while it is still listed", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] });
    put(identity, { pods: [{ ...cart, ended: true }] }, GONE);
    put(identity, { pods: [bill] }, NEXT);

    const growth = { sinceMs: NEXT, nowMs: NEXT + SECOND };
    expect(remote(identity, { remoteAddress: ADDRESS }, growth)).toEqual(BILL_POD);
  });

  test("growth from before a forgotten owner's end is never given to the present one", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [cart] });
    identity.apply({ feed: "pods", type: "remove", atMs: GONE, uid: cart.uid });
    const later = GONE + 60 * MINUTE;
    put(identity, { pods: [pod("other-c", { addresses: ["10.1.0.99"] })] }, later - 1);
    put(identity, { pods: [bill] }, later);

    const nowMs = later + 15 * SECOND;
    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: START_MS, nowMs })).toEqual(end("unknown", ADDRESS));
    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: later, nowMs })).toEqual(BILL_POD);
  });

  test("an answer that holds for this growth only is passing, for each edge that it is given to", () => {
    const identity = handedOver();
    const { version } = identity;
    const at = (serverPort: number, sinceMs: number) =>
      isPassing(identity, { remoteAddress: ADDRESS, serverPort }, { sinceMs, nowMs: NEXT + SECOND });

    expect([at(80, NEXT), at(80, GONE - SECOND), at(81, GONE - SECOND), at(82, NEXT)]).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(identity.version).toBe(version);
  });
});

describe("two pods that are given each other's address when their node restarts", () => {
  const older = pod("cart-a", { addresses: ["10.1.0.7"], createdMs: 1_000 });
  const newer = pod("bill-b", { addresses: ["10.1.0.8"], createdMs: 2_000 });
  const TOLD = START_MS + MINUTE;

  /** The API tells of the older pod first: the newer one still seems to have the address that it was given. */
  function swapped(): ClusterIdentity {
    const identity = clusterIdentity();
    put(identity, { pods: [older, newer] });
    put(identity, { pods: [{ ...older, addresses: ["10.1.0.8"] }] }, TOLD);
    put(identity, { pods: [{ ...newer, addresses: ["10.1.0.7"] }] }, TOLD + SECOND);
    return identity;
  }

  test.each([
    { growth: "after both were told", sinceMs: TOLD + SECOND, at7: BILL_POD, at8: CART_POD },
    { growth: "in between", sinceMs: TOLD, at7: BILL_POD, at8: end("unknown", "10.1.0.8") },
  ])("each have the growth $growth", ({ sinceMs, at7, at8 }) => {
    const identity = swapped();
    const at = (remoteAddress: string) => remote(identity, { remoteAddress }, { sinceMs, nowMs: TOLD + MINUTE });

    expect([at("10.1.0.7"), at("10.1.0.8")]).toEqual([at7, at8]);
  });

  test("leave the address to nobody when the older one has gone, too", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [older, newer] });
    put(identity, { pods: [{ ...older, addresses: ["10.1.0.8"] }] }, TOLD);
    for (const { uid } of [older, newer]) identity.apply({ feed: "pods", type: "remove", atMs: TOLD + 1, uid });

    const growth = { sinceMs: TOLD + 1, nowMs: TOLD + MINUTE };
    expect(remote(identity, { remoteAddress: "10.1.0.8" }, growth)).toBe("10.1.0.8 is not known yet");
  });
});

test("a pod that is going does not get an address back whose next owner has gone before it", () => {
  const identity = clusterIdentity();
  const going = pod("cart-a", { addresses: ["10.1.0.7"], createdMs: 1_000, terminating: true });
  const next = pod("bill-b", { addresses: ["10.1.0.7"], createdMs: 2_000 });
  put(identity, { pods: [next, going] });
  put(identity, { pods: [{ ...going, service: { name: "other", namespace: "shop" } }] }, START_MS + SECOND);
  identity.apply({ feed: "pods", type: "remove", atMs: START_MS + MINUTE, uid: next.uid });

  const growth = { sinceMs: START_MS + MINUTE, nowMs: START_MS + 2 * MINUTE };
  expect(remote(identity, { remoteAddress: "10.1.0.7" }, growth)).toBe("10.1.0.7 is not known yet");
});

describe("growth from before the agent started, at an address", () => {
  const ADDRESS = "10.1.0.7";
  const MADE = START_MS - MINUTE;
  const createdMs = BOOT_UNIX_MS + MADE;
  const bill = pod("bill-b", { addresses: [ADDRESS], createdMs });
  const unknown = end("unknown", ADDRESS);

  test.each([
    { since: "before its pod was made", sinceMs: 1_000, expected: unknown },
    { since: "just before its pod was made", sinceMs: MADE - 1, expected: unknown },
    { since: "when its pod was made", sinceMs: MADE, expected: BILL_POD },
    { since: "when the agent knew all pods", sinceMs: START_MS, expected: BILL_POD },
  ])("is $expected.kind where it began $since", ({ sinceMs, expected }) => {
    const identity = listedIdentity({ pods: [bill] });

    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs })).toEqual(expected);
  });

  test("is unknown for that growth only: the answer is passing", () => {
    const identity = listedIdentity({ pods: [bill] });
    const at = (sinceMs: number) => isPassing(identity, { remoteAddress: ADDRESS }, { sinceMs });

    expect([at(1_000), at(START_MS)]).toEqual([true, false]);
  });

  test("that passes on afterwards is of no pod that was made since", () => {
    const identity = listedIdentity({ pods: [bill] });
    identity.apply({ feed: "pods", type: "remove", atMs: START_MS + 5 * SECOND, uid: bill.uid });
    const next = pod("bill-c", { addresses: [ADDRESS], createdMs: createdMs + MINUTE });
    put(identity, { pods: [next] }, START_MS + 6 * SECOND);

    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: 1_000 })).toEqual(unknown);
    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: START_MS })).toMatchObject({ name: "bill" });
  });

  test("of a Service or node that was made since is nobody's, at its ports, too", () => {
    const ends = { clusterAddresses: ["10.96.0.7"], externalAddresses: ["198.51.100.1"], createdMs };
    const identity = listedIdentity({
      nodes: [node("node-2", { addresses: ["192.0.2.2"], createdMs })],
      services: [service("web", ends)],
    });
    const kinds = (sinceMs: number) =>
      ["10.96.0.7", "198.51.100.1", "192.0.2.2"].map((remoteAddress) => {
        const answer = remote(identity, { remoteAddress }, { sinceMs });
        return typeof answer === "string" ? answer : answer.kind;
      });

    expect(kinds(1_000)).toEqual(["unknown", "unknown", "unknown"]);
    expect(kinds(MADE)).toEqual(["service", "service", "node"]);
  });

  test("that a pod has which was made after the first list is that pod's from the list on", () => {
    const identity = clusterIdentity();
    const later = { ...bill, createdMs: BOOT_UNIX_MS + START_MS + 10 * SECOND };
    put(identity, { pods: [later] }, START_MS + 11 * SECOND);

    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: START_MS })).toEqual(BILL_POD);
    expect(remote(identity, { remoteAddress: ADDRESS }, { sinceMs: START_MS - 1 })).toEqual(unknown);
  });
});
