/**
 * What is kept of a cluster's objects, and the changes that carry it.
 *
 * agent/kubernetes/ turns API objects into these values and agent/naming/ answers from them; neither
 * knows the other's insides. Everything here is plain JSON, so a recording can hold the changes beside
 * the probe's frames. Addresses are canonical text (agent/shared/address.ts); times are CLOCK_BOOTTIME milliseconds.
 */
import type { Attributes } from "./attribute.ts";

/** Where a change comes from; each feed is one watch of its own. */
export const FEEDS = ["local-pods", "pods", "services", "endpoint-slices", "nodes", "namespaces"] as const;
export type Feed = (typeof FEEDS)[number];

/** The name and namespace of a service as OTel's Kubernetes rule gives them to a pod. */
export interface ServiceName {
  readonly name: string;
  readonly namespace: string;
}

export interface Pod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Empty until scheduled. */
  readonly node: string;
  readonly hostNetwork: boolean;
  readonly addresses: readonly string[];
  /** All containers have ended for good: the addresses may already belong to another pod. */
  readonly ended: boolean;
  /** Terminating: its addresses may belong to another pod before the API reports that this one is gone. */
  readonly terminating?: boolean;
  /** creationTimestamp, Unix milliseconds: tells which of two pods with one address is the later. */
  readonly createdMs: number;
  readonly service: ServiceName;
  /** Only of pods on the own node. */
  readonly detail?: PodDetail;
}

/** Those that are the pod's own now. */
export function addressesOf({ hostNetwork, ended, addresses }: Pod): readonly string[] {
  return hostNetwork || ended ? [] : addresses;
}

export interface PodDetail {
  /** The uid that the kubelet uses in cgroup names where it differs: a static pod's configuration hash. */
  readonly cgroupUid?: string;
  /** `k8s.*` names of the owners. */
  readonly owners: Attributes;
  /** From annotations `resource.opentelemetry.io/NAME`; stronger than anything computed. */
  readonly annotated: Attributes;
  /** Labels and annotations that the configuration selected, under their attribute's name. */
  readonly selected: Attributes;
  readonly containers: readonly ContainerDetail[];
}

export interface ContainerDetail {
  readonly name: string;
  /** By OTel's rule from the label (when switched on) or the image's tag and digest. */
  readonly version?: string;
  /** Runtime ids of this container: the running one and the one before it. */
  readonly ids: readonly string[];
}

export interface Service {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Empty for a headless Service. */
  readonly clusterAddresses: readonly string[];
  /** Load balancer and external addresses: these may be shared, so only (address, port) is the Service's. */
  readonly externalAddresses: readonly string[];
  readonly ports: readonly number[];
  readonly nodePorts: readonly number[];
  readonly createdMs: number;
  /** Where a directory says so, which has seen the endpoints. */
  readonly goesBy?: ServiceNaming;
}

/** What clients of a Service call it. */
export interface ServicePeer extends ServiceName {
  /** Undefined where the endpoints are in several zones, or in one that is not known. */
  readonly zone: string | undefined;
  /** Of all endpoints; undefined where they are on several. */
  readonly nodeName: string | undefined;
}

export interface ServiceNaming {
  readonly peer: ServicePeer;
  /** When another workload took the place of the one before; -Infinity: never. */
  readonly replacedMs: number;
}

export interface EndpointSlice {
  readonly uid: string;
  readonly namespace: string;
  /** Name of the Service it belongs to; empty when it belongs to none. */
  readonly service: string;
  readonly ports: readonly number[];
  readonly endpoints: readonly Endpoint[];
  /** Where a directory says so: these ports are the Service's, whoever has their address. */
  readonly ownsPorts?: boolean;
}

export interface Endpoint {
  readonly addresses: readonly string[];
  /** Of the pod behind it; empty where the endpoint was written by hand. */
  readonly podUid: string;
}

export interface Node {
  readonly uid: string;
  readonly name: string;
  readonly addresses: readonly string[];
  /** Ranges that its pods' addresses come from, as far as the API knows them. */
  readonly podCidrs: readonly string[];
  readonly zone: string;
  readonly region: string;
  readonly createdMs: number;
}

/** Only kube-system is read: its uid is `k8s.cluster.uid`. */
export interface Namespace {
  readonly uid: string;
  readonly name: string;
}

export interface FeedObjects {
  readonly "local-pods": Pod;
  readonly pods: Pod;
  readonly services: Service;
  readonly "endpoint-slices": EndpointSlice;
  readonly nodes: Node;
  readonly namespaces: Namespace;
}

/** One object appeared or changed. */
export type ClusterUpsert = {
  [F in Feed]: { readonly feed: F; readonly type: "upsert"; readonly atMs: number; readonly object: FeedObjects[F] };
}[Feed];

export type ClusterChange =
  | ClusterUpsert
  | { readonly feed: Feed; readonly type: "remove"; readonly atMs: number; readonly uid: string }
  /** The feed has reported everything that existed when it connected. Repeated after each new list. */
  | { readonly feed: Feed; readonly type: "synced"; readonly atMs: number };
