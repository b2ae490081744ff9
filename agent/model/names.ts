/**
 * Both ends of an edge or a connection by name, and who gives names.
 */
import type { Attributes } from "./attribute.ts";
import type { EdgeKey } from "./edge.ts";
import type { Cgroup } from "./probe-event.ts";

/** The local end: the Resource that the pod's own SDK would send, or what is known of it. */
export interface LocalEnd {
  /** Equal ids mean the same Resource. */
  readonly id: string;
  readonly resource: Attributes;
  /** Short text for people: `shop/cart-7d9f`, `ssh.service`, `host`. */
  readonly label: string;
}

/** The remote end, as far as the address tells. `unknown` says unknown, never a guess. */
export interface RemoteEnd {
  readonly kind: "pod" | "service" | "node" | "host" | "loopback" | "cidr" | "external" | "unknown";
  /** Workload or service name: `service.peer.name`. */
  readonly name: string | undefined;
  /** `service.peer.namespace`. */
  readonly namespace: string | undefined;
  /** Opt-in detail: the pod's own name. */
  readonly podName: string | undefined;
  /** `flowspan.peer.zone`: of the node that it runs on. */
  readonly zone?: string | undefined;
  /** `flowspan.peer.k8s.node.name`: the node that it is, or that it runs on. */
  readonly nodeName?: string | undefined;
  readonly label: string;
}

/** Both ends. */
export interface Names {
  readonly local: LocalEnd;
  readonly remote: RemoteEnd;
}

/** Both names of an edge. `pending` keeps its growth in the kernel until metadata has caught up. */
export type Identified =
  | (Names & {
      readonly state: "named";
      /** Later growth of this edge may be named otherwise at the same version: it is asked for anew. */
      readonly passing: boolean;
    })
  | { readonly state: "pending"; readonly why: string };

/** Names both ends of edges. Implementations are pure lookups; effects only fill their tables. */
export interface Identity {
  /** Rises whenever an answer may have changed: callers cache names per version, but none that is `passing`. */
  readonly version: number;
  addCgroup(cgroup: Cgroup): void;
  /**
   * Names the ends of growth that happened during (sinceNs, untilNs].
   *
   * @param nowNs the exchange's time, to bound how long an edge may stay pending; `untilNs` if left out
   */
  identify(key: EdgeKey, sinceNs: bigint, untilNs: bigint, nowNs?: bigint): Identified;
}
