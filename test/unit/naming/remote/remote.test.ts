/** Who a remote address is. */
import { describe, expect, test } from "vitest";
import { feedsOf } from "../../../../agent/kubernetes/watch-cluster.ts";
import type { Service } from "../../../../agent/model/cluster-objects.ts";
import type { EdgeKey } from "../../../../agent/model/edge.ts";
import type { RemoteEnd } from "../../../../agent/model/names.ts";
import {
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
} from "../cluster-builders.ts";
import { CART_POD, end, MINUTE, remote, SECOND } from "../remote-end.ts";

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
    ["2001:db8:8::1", end("external", "2001:db8:8::1")],
    // The prefix that clients from outside share.
    ["0.0.0.0", end("external", "0.0.0.0")],
    ["::", end("external", "::")],
  ])("%s is named at once", (remoteAddress, expected) => {
    expect(remote(identity, { remoteAddress })).toEqual(expected);
  });

  test.each([
    ...["10.9.8.7", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "169.254.1.1"],
    ...["192.0.0.8", "198.18.0.1", "198.19.255.255", "240.0.0.1"],
    ...["fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "64:ff9b:1::1"],
  ])("%s is private: unknown, at once", (remoteAddress) => {
    expect(remote(identity, { remoteAddress })).toEqual(end("unknown", remoteAddress));
  });

  test.each([
    ...["9.255.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "100.63.255.255"],
    ...["100.128.0.0", "198.17.255.255", "198.20.0.0", "fbff::1", "fe00::1", "2000::1", "64:ff9b::1"],
  ])("%s is public: external", (remoteAddress) => {
    expect(remote(identity, { remoteAddress })).toEqual(end("external", remoteAddress));
  });

  test("a private range with a name goes by it", () => {
    const named = identityOf({ cidrs: { lab: ["10.9.0.0/16"] } });
    expect(remote(named, { remoteAddress: "10.9.8.7" })).toEqual(end("cidr", "lab", { name: "lab" }));
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

    expect(remote(identity, { remoteAddress: "192.0.2.2" })).toEqual(
      end("node", "node/node-2", { name: "node-2", nodeName: "node-2" }),
    );
  });

  test("an address of this machine is the own node", () => {
    expect(remote(clusterIdentity(), { remoteAddress: "192.0.2.1" })).toEqual(
      end("node", "node/node-1", { name: "node-1", nodeName: "node-1" }),
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

  test("a public address that the directory has not answered may be a pod's: it is unknown, until it is answered", () => {
    let isAnswered = false;
    const directory = { answered: () => isAnswered };
    const feeds = feedsOf("all");
    const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory } });
    for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
    const at = (nowMs: number) => remote(identity, { remoteAddress: "2001:db8:23::9" }, { nowMs: START_MS + nowMs });
    const before = [at(0), at(30 * SECOND)];
    isAnswered = true;

    expect(before).toEqual(["the directory has not answered 2001:db8:23::9", end("unknown", "2001:db8:23::9")]);
    expect(at(45 * SECOND)).toEqual(end("external", "2001:db8:23::9"));
  });

  test("a port that the directory does not answer is waited for 30 s, whatever it answers of another port", () => {
    const directory = { answered: (_: string, port: number) => port === 80 };
    const feeds = feedsOf("all");
    const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: "blue", feeds, directory } });
    for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
    put(identity, { pods: [pod("cart-a", { addresses: ["10.1.0.7"] })] });
    const at = (serverPort: number, ms: number) =>
      remote(identity, { remoteAddress: "10.1.0.7", serverPort }, { nowMs: START_MS + ms });
    const asked = [at(81, SECOND), at(80, 15 * SECOND), at(81, 31 * SECOND)];

    expect(asked).toEqual(["the directory has not answered 10.1.0.7", CART_POD, CART_POD]);
  });

  test("a public address from a node's pod range is waited for too", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [node("node-2", { podCidrs: ["2001:db8:23::/64"] })] });

    expect(remote(identity, { remoteAddress: "2001:db8:23::9" })).toBe("2001:db8:23::9 is not known yet");
  });
});

describe("a public IPv6 address, where no node tells of a range for pods,", () => {
  const known = pod("cart-a", { addresses: ["2001:db8:23::7", "10.1.0.7"] });

  test("is waited for while a pod has one from the same /64, and external otherwise", () => {
    const identity = clusterIdentity();
    put(identity, { pods: [known, pod("cart-b", { addresses: ["2001:db8:23::8"] })] });
    const at = (remoteAddress: string) => remote(identity, { remoteAddress });
    const answers = [at("2001:db8:23::9"), at("2001:db8:24::9"), at("203.0.113.9")];
    put(identity, { pods: [{ ...known, ended: true }] });
    const withOne = at("2001:db8:23::a");
    identity.apply({ feed: "pods", type: "remove", atMs: START_MS, uid: known.uid });
    identity.apply({ feed: "pods", type: "remove", atMs: START_MS, uid: "uid-cart-b" });

    expect(answers).toMatchObject(["2001:db8:23::9 is not known yet", { kind: "external" }, { kind: "external" }]);
    expect([withOne, at("2001:db8:23::b")]).toMatchObject(["2001:db8:23::a is not known yet", { kind: "external" }]);
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

    expect(remote(identity, { remoteAddress: "10.96.0.7" })).toEqual({ ...CART_SERVICE, nodeName: "node-1" });
    expect(remote(identity, { remoteAddress: "fd00:96::7", serverPort: 9 })).toEqual({
      ...CART_SERVICE,
      nodeName: "node-1",
    });
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
