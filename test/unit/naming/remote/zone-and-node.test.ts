/** In which zone and on which node a remote end is. */
import { describe, expect, test } from "vitest";
import type { RemoteEnd } from "../../../../agent/model/names.ts";
import type { ClusterIdentity } from "../../../../agent/naming/identify.ts";
import { clusterIdentity, node, pod, put, START_MS, service, slice } from "../cluster-builders.ts";
import { remote } from "../remote-end.ts";

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
  const zoneOf = (identity: ClusterIdentity, remoteAddress: string, growth?: Parameters<typeof remote>[2]) =>
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

test("the node of a Service is that of all its endpoints, and none while it has none or they are on several", () => {
  const identity = clusterIdentity();
  const svc = service("cart-svc", { clusterAddresses: ["10.96.0.7"] });
  const behind = (...uids: string[]) =>
    slice("cart-1", "cart-svc", { endpoints: uids.map((podUid) => ({ addresses: ["10.1.0.7"], podUid })) });
  put(identity, { pods: [pod("cart-a", { node: "node-2" }), pod("cart-b", { node: "node-3" })], services: [svc] });

  const nodes = [behind(), behind("uid-cart-a"), behind("uid-cart-a", "uid-cart-b")].map((each) => {
    put(identity, { slices: [each] });
    return (remote(identity, { remoteAddress: "10.96.0.7" }) as RemoteEnd).nodeName;
  });

  expect(nodes).toEqual([undefined, "node-2", undefined]);
});

test("the node of a remote end is the pod's or the node itself, and none where pods of two nodes share growth or it is no node", () => {
  const identity = clusterIdentity();
  const moved = pod("cart-b", { addresses: ["10.1.0.8"], node: "node-2", createdMs: 2_000 });
  put(identity, {
    nodes: [node("node-2", { addresses: ["192.0.2.2"] })],
    pods: [pod("cart-a", { addresses: ["10.1.0.8"] })],
  });
  const nodeOf = (remoteAddress: string) => (remote(identity, { remoteAddress }) as RemoteEnd).nodeName;

  const alone = nodeOf("10.1.0.8");
  put(identity, { pods: [moved] });

  expect([alone, nodeOf("10.1.0.8"), nodeOf("192.0.2.2"), nodeOf("203.0.113.23"), nodeOf("127.0.0.1")]).toEqual([
    "node-1",
    undefined,
    "node-2",
    undefined,
    undefined,
  ]);
});
