/** Trimmed cluster objects and edges with defaults, so that a test shows only what matters to it. */

import { feedsOf, type PodScope } from "../../../agent/kubernetes/watch-cluster.ts";
import type { ClusterChange, EndpointSlice, Node, Pod, Service } from "../../../agent/model/cluster-objects.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import { type ClusterIdentity, createIdentity, type IdentityOptions } from "../../../agent/naming/identify.ts";

/** Boot time at which identities of tests begin. */
export const START_MS = 1_000_000;

/** Later than pods were made, unless a test says so. */
export const BOOT_UNIX_MS = 1_700_000_000_000;

export function ns(ms: number): bigint {
  return BigInt(Math.round(ms * 1_000_000));
}

export function pod(name: string, more: Partial<Pod> = {}): Pod {
  return {
    uid: `uid-${name}`,
    name,
    namespace: "shop",
    node: "node-1",
    hostNetwork: false,
    addresses: [],
    ended: false,
    createdMs: 0,
    service: { name: name.replace(/-[^-]+$/, ""), namespace: "shop" },
    ...more,
  };
}

export function service(name: string, more: Partial<Service> = {}): Service {
  return {
    uid: `uid-${name}`,
    name,
    namespace: "shop",
    clusterAddresses: [],
    externalAddresses: [],
    ports: [80],
    nodePorts: [],
    createdMs: 0,
    ...more,
  };
}

export function slice(name: string, of: string, more: Partial<EndpointSlice> = {}): EndpointSlice {
  return { uid: `uid-${name}`, namespace: "shop", service: of, ports: [80], endpoints: [], ...more };
}

export function node(name: string, more: Partial<Node> = {}): Node {
  return { uid: `uid-${name}`, name, addresses: [], podCidrs: [], zone: "", region: "", createdMs: 0, ...more };
}

export function edge(more: Partial<EdgeKey> = {}): EdgeKey {
  return {
    cgroup: 1n,
    localAddress: "10.1.0.1",
    remoteAddress: "203.0.113.23",
    netns: 4_026_531_840,
    serverPort: 80,
    role: "client",
    overflow: false,
    ...more,
  };
}

export function identityOf(more: Partial<IdentityOptions> = {}): ClusterIdentity {
  return createIdentity({
    hostName: "host-1",
    hostAddresses: ["127.0.0.1", "192.0.2.1"],
    cidrs: {},
    kubernetes: undefined,
    startedNs: ns(START_MS),
    bootUnixMs: BOOT_UNIX_MS,
    ...more,
  });
}

/** An identity on node-1 with all feeds synced. */
export function clusterIdentity(scope: PodScope = "all", more: Partial<IdentityOptions> = {}): ClusterIdentity {
  const feeds = feedsOf(scope);
  const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: "blue", feeds }, ...more });
  for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
  return identity;
}

/** The same, of which the first list tells these objects. */
export function listedIdentity(objects: Puts): ClusterIdentity {
  const feeds = feedsOf("all");
  const identity = identityOf({ kubernetes: { nodeName: "node-1", clusterName: "blue", feeds } });
  put(identity, objects);
  for (const feed of feeds) identity.apply({ feed, type: "synced", atMs: START_MS });
  return identity;
}

/** Applies upserts, all at one time. */
export function put(identity: ClusterIdentity, objects: Puts, atMs: number = START_MS): void {
  const say = (feed: ClusterChange["feed"]) => (object: object) =>
    identity.apply({ feed, type: "upsert", atMs, object } as ClusterChange);
  objects.nodes?.forEach(say("nodes"));
  objects.localPods?.forEach(say("local-pods"));
  objects.pods?.forEach(say("pods"));
  objects.services?.forEach(say("services"));
  objects.slices?.forEach(say("endpoint-slices"));
}

export interface Puts {
  readonly nodes?: readonly Node[];
  readonly localPods?: readonly Pod[];
  readonly pods?: readonly Pod[];
  readonly services?: readonly Service[];
  readonly slices?: readonly EndpointSlice[];
}
