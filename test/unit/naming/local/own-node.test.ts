/** A node's name that the cluster does not know: an empty answer that looks like a complete one. */
import { describe, expect, test } from "vitest";
import { AddressCache } from "../../../../agent/directory/client/address-cache.ts";
import { feedsOf } from "../../../../agent/kubernetes/watch-cluster.ts";
import { type ClusterIdentity, PENDING_MS } from "../../../../agent/naming/identify.ts";
import { type OwnNodeFacts, ownNodeTrouble } from "../../../../agent/naming/local/own-node.ts";
import { TroubleLog } from "../../../../agent/shared/trouble-log.ts";
import { clusterIdentity, edge, identityOf, node, ns, pod, put, START_MS } from "../cluster-builders.ts";

const SET = "set kubernetes.node (--node) to";

describe("what is said of a name that no node has", () => {
  const facts: OwnNodeFacts = {
    nodeName: "node-1",
    nodes: [node("node-1.internal.example", { addresses: ["192.0.2.11"] }), node("b", { addresses: ["192.0.2.12"] })],
    allNodes: true,
    hostAddresses: ["127.0.0.1", "192.0.2.99"],
    strangers: 0,
  };

  test.each<[string, Partial<OwnNodeFacts>, string]>([
    ["the node with this machine's address", { nodeName: "x", hostAddresses: ["192.0.2.12"] }, '"b"'],
    ["the only node that is called alike", {}, '"node-1.internal.example"'],
    ["the node whose name differs in case", { nodeName: "B" }, '"b"'],
    ["the node's short name", { nodeName: "b.example" }, '"b"'],
    ["all nodes, where none is likelier", { nodeName: "x" }, 'one of 2: "b", "node-1.internal.example"'],
    [
      "all nodes, where loopback is a node's address",
      { nodeName: "x", nodes: [node("b", { addresses: ["127.0.0.1"] }), node("c", {})] },
      'one of 2: "b", "c"',
    ],
    [
      "some of many",
      { nodeName: "x", nodes: ["a", "b", "c", "d", "e", "f", "g"].map((name) => node(name)) },
      'one of 7: "a", "b", "c", "d", "e", …',
    ],
    [
      "that there is no node at all",
      { nodes: [] },
      "spec.nodeName of this node's pods (the API server tells of no node at all)",
    ],
  ])("names %s", (_, more, right) => {
    const { nodeName, ...rest } = { ...facts, ...more };
    expect(ownNodeTrouble({ nodeName, ...rest })).toBe(
      `no node is called "${nodeName}", its pods have no names: ${SET} ${right}`,
    );
  });

  test("of a directory's agent names what the directory was asked for", () => {
    expect(ownNodeTrouble({ ...facts, nodes: [], allNodes: false })).toBe(
      `the directory knows no node called "node-1", its pods have no names: ${SET} spec.nodeName of this node's pods`,
    );
  });

  test("is nothing where a node has it, or where nodes cannot be read", () => {
    expect(ownNodeTrouble({ ...facts, nodes: [node("node-1")] })).toBeUndefined();
    expect(ownNodeTrouble({ ...facts, nodes: undefined })).toBeUndefined();
  });
});

describe("an identity whose node's name", () => {
  const own = node("node-1");
  const other = node("node-2");

  test.each(["all", "own-node"] as const)("is no node's says so once all is read (scope %s)", (scope) => {
    const feeds = feedsOf(scope);
    const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: undefined, feeds } });
    put(identity, { nodes: [other] });
    const unread = identity.nodeTrouble();
    for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });

    expect([unread, identity.nodeTrouble()]).toEqual([
      undefined,
      `no node is called "node-1", its pods have no names: ${SET} one of 1: "node-2"`,
    ]);
  });

  test("is a node's that has no pods says nothing", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [own, other] });

    expect(identity.nodeTrouble()).toBeUndefined();
  });

  test("was a node's that is deleted says so, until it is made again", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [own] });
    const before = identity.nodeTrouble();
    identity.apply({ feed: "nodes", type: "remove", atMs: START_MS, uid: own.uid });
    const deleted = identity.nodeTrouble();
    put(identity, { nodes: [{ ...own, uid: "uid-again" }] });

    expect([before, deleted, identity.nodeTrouble()]).toEqual([
      undefined,
      expect.stringContaining('no node is called "node-1"'),
      undefined,
    ]);
  });

  test("was made again before the old node's end was told says nothing", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [own, { ...own, uid: "uid-again" }] });
    identity.apply({ feed: "nodes", type: "remove", atMs: START_MS, uid: own.uid });

    expect(identity.nodeTrouble()).toBeUndefined();
  });

  test("is unknown to its directory says so", () => {
    const feeds = feedsOf("all");
    const directory = { answered: () => true };
    const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: undefined, feeds, directory } });
    const known = new AddressCache({ onChange: (change) => identity.apply(change), capacity: 9, forgetMs: 1e9 });
    for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
    const cluster = { uid: "uid-of-the-cluster", replica: "one" };
    known.cluster(cluster, START_MS);
    const without = identity.nodeTrouble();
    known.cluster({ ...cluster, node: { ...own, createdUnixMs: 0 } }, START_MS);

    expect([without, identity.nodeTrouble()]).toEqual([
      expect.stringContaining("the directory knows no node"),
      undefined,
    ]);
  });

  test("is none at all, without Kubernetes, says nothing", () => {
    expect(identityOf().nodeTrouble()).toBeUndefined();
  });
});

describe("a name that is another node's", () => {
  const UIDS = [1, 2].map((n) => `${n}0000000-0000-4000-8000-000000000000`);
  const names = (uid: string) => [`pod${uid}`, "burstable", "kubepods"];

  /** Pods with these uids have sockets here. */
  function run(identity: ClusterIdentity, uids: readonly string[], atMs: number): void {
    for (const [i, uid] of uids.entries()) {
      const cgroup = BigInt(i + 1);
      identity.addCgroup({ id: cgroup, names: names(uid), seenNs: ns(START_MS) });
      identity.identify(edge({ cgroup }), ns(atMs - 1), ns(atMs));
    }
  }

  test("is told by pods that run here and are not among its pods, once they were waited for", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [node("node-1")], localPods: [pod("other-a")] });
    run(identity, UIDS, START_MS + 1);
    const young = identity.nodeTrouble();
    run(identity, UIDS, START_MS + PENDING_MS + 1);

    expect([young, identity.nodeTrouble()]).toEqual([
      undefined,
      `2 pods run here that are not of node "node-1", and none that is: ${SET} this machine's own node`,
    ]);
  });

  test("is not told while one pod that runs here is among them: others may have ended", () => {
    const identity = clusterIdentity();
    put(identity, { nodes: [node("node-1")], localPods: [pod("cart-a", { uid: UIDS[1] as string })] });
    run(identity, UIDS, START_MS + PENDING_MS + 1);

    expect(identity.nodeTrouble()).toBeUndefined();
  });
});

test("trouble is logged when it begins, when it changes and when it is over, and not in between", () => {
  const lines: [string, string][] = [];
  const log = new TroubleLog(
    {
      warn: (_: object, message: string) => lines.push(["warn", message]),
      info: (_: object, message: string) => lines.push(["info", message]),
    } as unknown as ConstructorParameters<typeof TroubleLog>[0],
    "over",
  );

  for (const trouble of [undefined, "one", "one", "two", undefined, undefined]) log.tell(trouble);

  expect(lines).toEqual([
    ["warn", "one"],
    ["warn", "two"],
    ["info", "over"],
  ]);
});
