/** Who a remote address is, and was. */
import { describe, expect, test } from "vitest";
import type { Service } from "../../../agent/identity/cluster.ts";
import type { ClusterIdentity } from "../../../agent/identity/identify.ts";
import type { EdgeKey, RemoteEnd } from "../../../agent/model.ts";
import { clusterIdentity, edge, identityOf, node, ns, pod, put, START_MS, service, slice } from "./cluster-builders.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

interface Growth {
  readonly sinceMs?: number;
  readonly nowMs?: number;
}

/** The remote end of an edge's growth during (sinceMs, nowMs], or why it is pending. */
function remote(identity: ClusterIdentity, key: Partial<EdgeKey>, growth: Growth = {}): RemoteEnd | string {
  const { nowMs = START_MS + 15 * SECOND, sinceMs = nowMs - 15 * SECOND } = growth;
  const answer = identity.identify(edge(key), ns(sinceMs), ns(nowMs));
  return answer.state === "named" ? answer.remote : answer.why;
}

function end(kind: RemoteEnd["kind"], label: string, more: Partial<RemoteEnd> = {}): RemoteEnd {
  return { kind, name: undefined, namespace: undefined, podName: undefined, label, ...more };
}

const CART_POD = end("pod", "shop/cart-a", { name: "cart", namespace: "shop", podName: "cart-a" });
const BILL_POD = end("pod", "shop/bill-b", { name: "bill", namespace: "shop", podName: "bill-b" });

describe("without Kubernetes", () => {
  const identity = identityOf({
    cidrs: { office: ["198.51.100.0/24", "2001:db8:7::/48"], printers: ["198.51.100.128/25"] },
  });

  test.each([
    ["127.0.0.23", end("loopback", "localhost")],
    ["::1", end("loopback", "localhost")],
    ["192.0.2.1", end("host", "host-1", { name: "host-1" })],
    ["198.51.100.7", end("cidr", "office", { name: "office" })],
    ["198.51.100.200", end("cidr", "printers", { name: "printers" })],
    ["2001:db8:7::1", end("cidr", "office", { name: "office" })],
    ["203.0.113.23", end("external", "203.0.113.23")],
    ["10.9.8.7", end("external", "10.9.8.7")],
    ["0.0.0.0", end("external", "0.0.0.0")],
  ])("%s is named at once", (remoteAddress, expected) => {
    expect(remote(identity, { remoteAddress })).toEqual(expected);
  });

  test("a listener has no peer", () => {
    expect(remote(identity, { role: "listener", remoteAddress: "::" })).toEqual(end("unknown", ""));
  });
});

describe("in a cluster", () => {
  test("a pod goes by its workload's service name at each of its addresses", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [pod("cart-a", { addresses: ["10.1.0.7", "fd00::7"] })] });

    expect(remote(identity, { remoteAddress: "10.1.0.7" })).toEqual(CART_POD);
    expect(remote(identity, { remoteAddress: "fd00::7", role: "server" })).toEqual(CART_POD);
  });

  test("a pod on the host's network is its node, for the address is the node's", () => {
    const identity = clusterIdentity();
    put(identity, {
      nodes: [node("node-2", { addresses: ["192.0.2.2"] })],
      pods: [pod("proxy-a", { hostNetwork: true, addresses: ["192.0.2.2"] })],
    });

    expect(remote(identity, { remoteAddress: "192.0.2.2" })).toEqual(end("node", "node/node-2", { name: "node-2" }));
  });

  test("an address of this machine is the own node", () => {
    expect(remote(clusterIdentity(), { remoteAddress: "192.0.2.1" })).toEqual(
      end("node", "node/node-1", { name: "node-1" }),
    );
  });

  test("a named range is the name of last resort, below pods and nodes", () => {
    const identity = clusterIdentity("all", { cidrs: { everything: ["0.0.0.0/0"] } });
    put(identity, { pods: [pod("cart-a", { addresses: ["10.1.0.7"] })] });

    expect(remote(identity, { remoteAddress: "10.1.0.7" })).toEqual(CART_POD);
    expect(remote(identity, { remoteAddress: "10.1.0.8" })).toEqual(end("cidr", "everything", { name: "everything" }));
  });

  test("an address inside the cluster is waited for, then unknown; one outside is external at once", () => {
    const identity = clusterIdentity();
    const at = (nowMs: number, remoteAddress: string) =>
      remote(identity, { remoteAddress }, { nowMs: START_MS + nowMs });

    expect(at(0, "203.0.113.23")).toEqual(end("external", "203.0.113.23"));
    expect(at(0, "10.1.0.9")).toBe("10.1.0.9 is not known yet");
    expect(at(29 * SECOND, "10.1.0.9")).toBe("10.1.0.9 is not known yet");
    expect(at(30 * SECOND, "10.1.0.9")).toEqual(end("unknown", "10.1.0.9"));
    expect(at(45 * SECOND, "10.1.0.9")).toEqual(end("unknown", "10.1.0.9"));
  });

  test("a public address from a node's pod range is waited for too", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [node("node-2", { podCidrs: ["2001:db8:23::/64"] })] });

    expect(remote(identity, { remoteAddress: "2001:db8:23::9" })).toBe("2001:db8:23::9 is not known yet");
  });
});

describe("a Service", () => {
  const CART_SERVICE = end("service", "shop/cart-svc", { name: "cart", namespace: "shop" });
  const pods = [
    pod("cart-a", { addresses: ["10.1.0.7"] }),
    pod("cart-b", { addresses: ["10.1.0.8"] }),
    pod("bill-b", { addresses: ["10.1.0.9"] }),
  ];
  const cartSlice = slice("cart-1", "cart-svc", {
    ports: [8080],
    endpoints: [
      { addresses: ["10.1.0.7"], podUid: "uid-cart-a" },
      { addresses: ["10.1.0.8"], podUid: "uid-cart-b" },
    ],
  });
  const cartService = service("cart-svc", { clusterAddresses: ["10.96.0.7", "fd00:96::7"] });

  test("goes by the workload behind it, as its servers do", () => {
    const identity = clusterIdentity();
    put(identity, { services: [cartService], slices: [cartSlice], pods });

    expect(remote(identity, { remoteAddress: "10.96.0.7" })).toEqual(CART_SERVICE);
    expect(remote(identity, { remoteAddress: "fd00:96::7", serverPort: 9 })).toEqual(CART_SERVICE);
  });

  test("goes by its own name when two workloads are behind it", () => {
    const identity = clusterIdentity();
    const other = slice("cart-2", "cart-svc", { endpoints: [{ addresses: ["10.1.0.9"], podUid: "uid-bill-b" }] });
    put(identity, { services: [cartService], slices: [cartSlice, other], pods });

    expect(remote(identity, { remoteAddress: "10.96.0.7" })).toMatchObject({ name: "cart-svc", namespace: "shop" });
  });

  test("keeps its name while it has no endpoints", () => {
    const identity = clusterIdentity();
    put(identity, { services: [cartService], slices: [cartSlice], pods });

    put(identity, { slices: [{ ...cartSlice, endpoints: [] }], services: [{ ...cartService, ports: [81] }] });

    expect(remote(identity, { remoteAddress: "10.96.0.7" })).toEqual(CART_SERVICE);
  });

  test("is found by load balancer address and port, not by that address alone", () => {
    const identity = clusterIdentity();
    const shared = { externalAddresses: ["198.51.100.1"] };
    put(identity, {
      services: [service("web", { ...shared, ports: [443] }), service("mail", { ...shared, ports: [25] })],
    });

    expect(remote(identity, { remoteAddress: "198.51.100.1", serverPort: 443 })).toMatchObject({ name: "web" });
    expect(remote(identity, { remoteAddress: "198.51.100.1", serverPort: 25 })).toMatchObject({ name: "mail" });
    expect(remote(identity, { remoteAddress: "198.51.100.1", serverPort: 80 })).toMatchObject({ kind: "external" });
  });

  test("is found by node port on any node, for clients alone", () => {
    const identity = clusterIdentity();
    put(identity, {
      nodes: [node("node-2", { addresses: ["192.0.2.2"] })],
      services: [service("web", { nodePorts: [30_023] })],
    });
    const key = { remoteAddress: "192.0.2.2", serverPort: 30_023 };

    expect(remote(identity, key)).toMatchObject({ kind: "service", name: "web" });
    expect(remote(identity, { ...key, remoteAddress: "192.0.2.1" })).toMatchObject({ kind: "service", name: "web" });
    expect(remote(identity, { ...key, serverPort: 30_024 })).toMatchObject({ kind: "node", name: "node-2" });
    expect(remote(identity, { ...key, role: "server" })).toMatchObject({ kind: "node", name: "node-2" });
  });

  test("owns the endpoints that were written by hand", () => {
    const identity = clusterIdentity();
    put(identity, {
      services: [service("database")],
      slices: [
        slice("database-1", "database", { ports: [5432], endpoints: [{ addresses: ["203.0.113.9"], podUid: "" }] }),
      ],
    });

    expect(remote(identity, { remoteAddress: "203.0.113.9", serverPort: 5432 })).toMatchObject({
      kind: "service",
      name: "database",
    });
    expect(remote(identity, { remoteAddress: "203.0.113.9", serverPort: 22 })).toMatchObject({ kind: "external" });
  });

  describe("that is deleted", () => {
    const REMOVED = START_MS + MINUTE;
    const ends = { externalAddresses: ["198.51.100.1"], nodePorts: [30_023] };
    const KEYS: Partial<EdgeKey>[] = [
      { remoteAddress: "10.96.0.7" },
      { remoteAddress: "198.51.100.1" },
      { remoteAddress: "192.0.2.1", serverPort: 30_023 },
    ];
    /** What each of its ends is said to be, of growth since then and asked long after. */
    function named(next: readonly Service[], sinceMs: number): (RemoteEnd | string)[] {
      const identity = clusterIdentity();
      put(identity, { services: [{ ...cartService, ...ends }], slices: [cartSlice], pods });
      identity.apply({ feed: "services", type: "remove", atMs: REMOVED, uid: cartService.uid });
      put(identity, { services: next }, REMOVED + 1);
      return KEYS.map((key) => {
        const answer = identity.identify(edge(key), ns(sinceMs), ns(REMOVED + 10), ns(REMOVED + MINUTE));
        return answer.state === "named" ? answer.remote : answer.why;
      });
    }

    test("owns growth from before under the name that it went by, and none after", () => {
      const service = { kind: "service", name: "cart", namespace: "shop", label: "shop/cart-svc" };

      expect(named([], REMOVED - SECOND)).toMatchObject([service, service, service]);
      expect(named([], REMOVED)).toMatchObject([
        "10.96.0.7 is not known yet",
        { kind: "external" },
        { kind: "node", name: "node-1" },
      ]);
    });

    test("shares growth across its end with the next one at its ports: it is nobody's", () => {
      const next = service("bill-svc", { ...ends, clusterAddresses: ["10.96.0.7"], createdMs: 1 });

      expect(named([next], REMOVED - SECOND)).toMatchObject([
        { kind: "unknown" },
        { kind: "unknown" },
        { kind: "unknown" },
      ]);
      expect(named([next], REMOVED)).toMatchObject([{ name: "bill-svc" }, { name: "bill-svc" }, { name: "bill-svc" }]);
    });
  });
});

describe("the zone of a remote end", () => {
  const zoned = [
    node("node-1", { zone: "north-1", addresses: ["192.0.2.1"] }),
    node("node-2", { zone: "south-1", addresses: ["192.0.2.2"] }),
  ];
  const pods = [
    pod("cart-a", { addresses: ["10.1.0.7"], node: "node-2" }),
    pod("cart-b", { addresses: ["10.1.0.8"], node: "node-1" }),
  ];
  const clusterIp = service("cart-svc", { clusterAddresses: ["10.96.0.7"] });
  const behind = (...uids: string[]) =>
    slice("cart-1", "cart-svc", { endpoints: uids.map((podUid) => ({ addresses: ["10.1.0.7"], podUid })) });
  const zoneOf = (identity: ClusterIdentity, remoteAddress: string, growth?: Growth) =>
    (remote(identity, { remoteAddress }, growth) as RemoteEnd).zone;

  test("is that of the node, of a pod's node, and of this machine", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: zoned, pods });

    const zones = ["10.1.0.7", "10.1.0.8", "192.0.2.2", "192.0.2.1"].map((address) => zoneOf(identity, address));
    expect(zones).toEqual(["south-1", "north-1", "south-1", "north-1"]);
  });

  test("of a Service is that of all its endpoints, and none when they are in several", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: zoned, pods, services: [clusterIp], slices: [behind("uid-cart-a")] });
    const one = zoneOf(identity, "10.96.0.7");
    put(identity, { slices: [behind("uid-cart-a", "uid-cart-b")] });

    expect([one, zoneOf(identity, "10.96.0.7")]).toEqual(["south-1", undefined]);
  });

  test("is not known of what is outside, in the same pod, or on a node without one", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [node("node-2")], pods });

    const zones = ["203.0.113.23", "127.0.0.1", "10.1.0.7"].map((address) => zoneOf(identity, address));
    expect(zones).toEqual([undefined, undefined, undefined]);
  });

  test("stays known of a pod whose node was removed, in whichever order nodes are replaced", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: zoned, pods });
    const before = zoneOf(identity, "10.1.0.7");
    identity.apply({ feed: "nodes", type: "remove", atMs: START_MS, uid: "uid-node-2" });
    const after = zoneOf(identity, "10.1.0.7");
    put(identity, { nodes: [node("node-2", { uid: "uid-anew", zone: "east-1" })] });
    identity.apply({ feed: "nodes", type: "remove", atMs: START_MS, uid: "uid-node-1" });

    expect([before, after, zoneOf(identity, "10.1.0.7")]).toEqual(["south-1", "south-1", "east-1"]);
  });
});

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
    expect(remote(handedOver(), { remoteAddress: ADDRESS }, { sinceMs, nowMs })).toEqual(expected);
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

    const at = (sinceMs: number, nowMs: number) => remote(identity, { remoteAddress: ADDRESS }, { sinceMs, nowMs });
    expect(at(START_MS - SECOND, START_MS + 5 * SECOND)).toMatchObject({ kind: "pod", podName: "job-a" });
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
    const at = (sinceMs: number, nowMs: number) => remote(identity, { remoteAddress: ADDRESS }, { sinceMs, nowMs });

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
      end("pod", "shop/cart", { name: "cart", namespace: "shop" }),
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

  test("the later made pod has it when both still say so, in whichever order they are told", () => {
    for (const pods of [
      [cart, bill],
      [bill, cart],
    ]) {
      const identity = clusterIdentity();
      put(identity, { pods }, START_MS);
      const growth = { sinceMs: START_MS, nowMs: START_MS + SECOND };
      expect(remote(identity, { remoteAddress: ADDRESS }, growth)).toEqual(BILL_POD);
    }
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

  test("an answer that holds for this growth only asks the caller to come again", () => {
    const identity = handedOver();
    const settled = identity.version;

    remote(identity, { remoteAddress: ADDRESS }, { sinceMs: NEXT, nowMs: NEXT + SECOND });
    expect(identity.version).toBe(settled);
    remote(identity, { remoteAddress: ADDRESS }, { sinceMs: GONE - SECOND, nowMs: GONE + SECOND });
    expect(identity.version).toBe(settled + 1);
  });
});
