/** The directory's store: who had which address when, said as an answer. */
import { describe, expect, test } from "vitest";
import type { Answer } from "../../../../agent/directory/protocol.ts";
import { answerOf } from "../../../../agent/directory/server/answers.ts";
import { PackedSlice } from "../../../../agent/directory/server/packed-slice.ts";
import { DirectoryStore } from "../../../../agent/directory/server/store.ts";
import { FEEDS_OF } from "../../../../agent/kubernetes/reads.ts";
import type { ClusterChange } from "../../../../agent/model/cluster-objects.ts";
import { GONE_MS } from "../../../../agent/naming/identify.ts";
import { node, pod, service, slice } from "../../naming/cluster-builders.ts";

/** A store, and what its listeners were told. */
class Told {
  readonly store: DirectoryStore;
  addresses: string[] = [];
  names = 0;
  ports = 0;
  cluster = 0;

  constructor() {
    this.store = new DirectoryStore(FEEDS_OF.directory, {
      address: (address) => this.addresses.push(address),
      names: () => this.names++,
      ports: () => this.ports++,
      cluster: () => this.cluster++,
    });
    for (const feed of FEEDS_OF.directory) this.store.apply({ feed, type: "synced", atMs: 0 });
  }

  put(feed: ClusterChange["feed"], object: object, atMs = 1000): void {
    this.store.apply({ feed, type: "upsert", atMs, object } as ClusterChange);
  }

  remove(feed: ClusterChange["feed"], uid: string, atMs: number): void {
    this.store.apply({ feed, type: "remove", atMs, uid });
  }

  /** An answer in short: `owner from-until`, ages counted back from `nowMs`. */
  ask(address: string, port: number, nowMs: number): string[] {
    const { intervals, atPort, range } = answerOf(this.store, { address, port }, nowMs);
    return [
      ...intervals.map(
        (each) =>
          `${(each.pod ?? each.service ?? each.node)?.name} ${nowMs - each.fromAgeMs}-${each.untilAgeMs === undefined ? "" : nowMs - each.untilAgeMs}`,
      ),
      ...(atPort ? [`port of ${atPort.name} as ${atPort.goesBy?.name}`] : []),
      ...(range ? [`range of ${range.name}`] : []),
    ];
  }
}

test("an address is answered with all its owners and their times", () => {
  const told = new Told();
  told.put("pods", pod("cart-a", { addresses: ["10.1.0.2"], createdMs: 1000 }), 1000);
  told.remove("pods", "uid-cart-a", 5000);
  told.put("pods", pod("bill-b", { addresses: ["10.1.0.2"], createdMs: 2000 }), 7000);

  expect(told.ask("10.1.0.2", 0, 9000)).toEqual(["cart-a 1000-5000", "bill-b 7000-"]);
  expect(told.addresses).toEqual(["10.1.0.2", "10.1.0.2", "10.1.0.2"]);
});

test("a pod's answer says all that an agent's tables keep of it", () => {
  const told = new Told();
  const where = node("node-1", { addresses: ["192.0.2.9"], podCidrs: ["10.1.0.0/24"], zone: "a", region: "eu" });
  told.put("nodes", where);
  told.put("pods", pod("cart-a", { addresses: ["10.1.0.2", "fd00::2"], createdMs: 77_000 }));

  const { createdMs: createdUnixMs, ...words } = where;
  expect(answerOf(told.store, { address: "fd00::2", port: 80 }, 1500)).toEqual({
    key: { address: "fd00::2", port: 80 },
    intervals: [
      {
        fromAgeMs: 500,
        pod: {
          uid: "uid-cart-a",
          name: "cart-a",
          namespace: "shop",
          addresses: ["10.1.0.2", "fd00::2"],
          createdUnixMs: 77_000,
          service: { name: "cart", namespace: "shop" },
          node: { ...words, createdUnixMs },
        },
      },
    ],
  } satisfies Answer);
});

test("two pods that live under one address both have it, whichever was made later", () => {
  const told = new Told();
  told.put("pods", pod("new-b", { addresses: ["10.1.0.2"], createdMs: 9000 }), 1000);
  told.put("pods", pod("old-a", { addresses: ["10.1.0.2"], createdMs: 1000 }), 2000);

  expect(told.ask("10.1.0.2", 0, 3000)).toEqual(["new-b 1000-", "old-a 2000-"]);
});

test("an older pod that was given a newer one's address has it when that is told to have another", () => {
  const told = new Told();
  told.put("pods", pod("new-b", { addresses: ["10.1.0.2"], createdMs: 9000 }), 1000);
  told.put("pods", pod("old-a", { addresses: ["10.1.0.3"], createdMs: 1000 }), 1000);
  told.put("pods", pod("old-a", { addresses: ["10.1.0.2"], createdMs: 1000 }), 2000);
  told.put("pods", pod("new-b", { addresses: ["10.1.0.3"], createdMs: 9000 }), 3000);

  expect(told.ask("10.1.0.2", 0, 4000)).toEqual(["new-b 1000-3000", "old-a 1000-"]);
  expect(told.ask("10.1.0.3", 0, 4000)).toEqual(["old-a 1000-2000", "new-b 1000-"]);
});

test("pods on the host's network and pods that have ended own no address", () => {
  const told = new Told();
  told.put("pods", pod("agent-x", { addresses: ["192.0.2.9"], hostNetwork: true }));
  told.put("pods", pod("job-y", { addresses: ["10.1.0.3"] }));
  told.put("pods", pod("job-y", { addresses: ["10.1.0.3"], ended: true }), 2000);

  expect(told.ask("192.0.2.9", 0, 3000)).toEqual([]);
  expect(told.ask("10.1.0.3", 0, 3000)).toEqual(["job-y 1000-2000"]);
  expect(told.store.stats()).toEqual({ pods: 2, services: 0, nodes: 0, addresses: 0, changes: { pods: 3 } });
});

test("a former owner is forgotten after the grace period, but not that there was one", () => {
  const told = new Told();
  told.put("pods", pod("cart-a", { addresses: ["10.1.0.2"], createdMs: 1000 }), 1000);
  told.put("pods", pod("cart-a", { addresses: [], createdMs: 1000 }), 5000);
  told.put("pods", pod("bill-b", { addresses: ["10.1.0.2"], createdMs: 2000 }), 5000);
  const nowMs = 5000 + GONE_MS;
  told.store.sweep(nowMs);

  expect(told.ask("10.1.0.2", 0, nowMs)).toEqual(["bill-b 5000-"]);
  expect(answerOf(told.store, { address: "10.1.0.2", port: 0 }, nowMs).forgottenAgeMs).toBe(GONE_MS);
});

describe("a Service", () => {
  const endpoints = [{ addresses: ["10.1.0.2"], podUid: "uid-cart-a" }];

  test("goes by the workload behind it, also where the pod comes after the slice", () => {
    const told = new Told();
    told.put("services", service("front", { clusterAddresses: ["10.96.0.1"] }));
    told.put("endpoint-slices", slice("front-1", "front", { endpoints }));
    const before = told.store.peerNameOf({ address: "10.96.0.1", port: 80 });
    told.put("pods", pod("cart-a", { addresses: ["10.1.0.2"] }));

    expect(told.ask("10.96.0.1", 80, 2000)).toEqual(["front 1000-"]);
    expect(
      [before, told.store.peerNameOf({ address: "10.96.0.1", port: 80 })].map((text) => text && JSON.parse(text)),
    ).toEqual([
      [[{ name: "front", namespace: "shop" }, null]],
      [[{ name: "cart", namespace: "shop", nodeName: "node-1" }, null]],
    ]);
    expect(told.names).toBeGreaterThan(0);
  });

  test("has a port of a load balancer's address and of every node for itself", () => {
    const told = new Told();
    told.put("nodes", node("node-1", { addresses: ["192.0.2.9"] }));
    told.put("services", service("front", { externalAddresses: ["198.51.100.7"], ports: [443], nodePorts: [30_443] }));

    expect(told.ask("198.51.100.7", 443, 2000)).toEqual(["port of front as front"]);
    expect(told.ask("198.51.100.7", 80, 2000)).toEqual([]);
    expect(told.ask("192.0.2.9", 30_443, 2000)).toEqual(["node-1 1000-", "port of front as front"]);
    expect(told.ask("192.0.2.9", 22, 2000)).toEqual(["node-1 1000-"]);
    expect(told.ask("203.0.113.1", 30_443, 2000)).toEqual([]);
    expect(told.ports).toBe(1);
  });

  test("has the port of an endpoint that was written by hand", () => {
    const told = new Told();
    told.put("services", service("old-db"));
    const byHand = [{ addresses: ["10.8.0.5"], podUid: "" }];
    told.put("endpoint-slices", slice("old-db-1", "old-db", { ports: [5432], endpoints: byHand }));

    expect(told.ask("10.8.0.5", 5432, 2000)).toEqual(["port of old-db as old-db"]);
    expect(told.addresses).toContain("10.8.0.5");
  });
});

test("an address that nobody has is answered with the node whose range for pods holds it", () => {
  const told = new Told();
  told.put("nodes", node("node-1", { podCidrs: ["10.1.0.0/24", "fd00:1::/64"] }));
  told.put("nodes", node("node-2", { podCidrs: ["10.1.1.0/25"] }));

  expect(told.ask("10.1.1.127", 0, 2000)).toEqual(["range of node-2"]);
  expect(told.ask("10.1.1.128", 0, 2000)).toEqual([]);
  expect(told.ask("fd00:1::9", 0, 2000)).toEqual(["range of node-1"]);
});

test("values that all pods of a workload have in common are kept once and go with the last of them", () => {
  const told = new Told();
  const names = Array.from({ length: 23 }, (_, i) => `cart-${i}`);
  for (const name of names) told.put("pods", pod(name, { service: { name: "cart", namespace: "shop" } }));
  const shared = told.store.sharedValues();
  for (const name of names) told.remove("pods", `uid-${name}`, 2000);

  expect(shared).toBe(3); // the namespace, the node and the workload
  expect(told.store.sharedValues()).toBe(0);
});

test("a change of a node's zone is told for the addresses of its pods", () => {
  const told = new Told();
  told.put("nodes", node("node-1", { zone: "a" }));
  told.put("pods", pod("cart-a", { addresses: ["10.1.0.2"] }));
  told.addresses = [];
  told.put("nodes", node("node-1", { zone: "a" }), 2000);
  const whenNothingChanged = [...told.addresses];
  told.put("nodes", node("node-1", { zone: "b" }), 3000);

  expect(whenNothingChanged).toEqual([]);
  expect(told.addresses).toEqual(["10.1.0.2"]);
});

test("a slice is packed and unpacked without a loss, whatever its pods' uids look like", () => {
  const uuid = "0f3c9a1e-77aa-4b6c-8d2e-00163e5e6c01";
  const endpoints = [
    { addresses: ["10.1.0.2"], podUid: uuid },
    { addresses: ["10.1.0.3"], podUid: "of-a-static-pod" },
    { addresses: ["10.8.0.5"], podUid: "" },
  ];

  const packed = new PackedSlice(slice("front-1", "front", { endpoints }));

  expect({ ...packed, endpoints: packed.endpoints }).toEqual(
    slice("front-1", "front", { endpoints: [{ addresses: [], podUid: uuid }, ...endpoints.slice(1)] }),
  );
});
