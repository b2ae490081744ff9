/** Who a remote address is, and was. */
import { describe, expect, test } from "vitest";
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

  test("that is deleted owns nothing any more", () => {
    const identity = clusterIdentity();
    put(identity, { services: [{ ...cartService, externalAddresses: ["198.51.100.1"], nodePorts: [30_023] }] });

    identity.apply({ feed: "services", type: "remove", atMs: START_MS + 1, uid: cartService.uid });

    const nowMs = START_MS + MINUTE;
    expect(remote(identity, { remoteAddress: "10.96.0.7" }, { nowMs })).toBe("10.96.0.7 is not known yet");
    expect(remote(identity, { remoteAddress: "198.51.100.1" })).toMatchObject({ kind: "external" });
    expect(remote(identity, { remoteAddress: "192.0.2.1", serverPort: 30_023 })).toMatchObject({ kind: "node" });
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
    { growth: "across the end", sinceMs: GONE - 5 * SECOND, nowMs: GONE + 10 * SECOND, expected: CART_POD },
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
