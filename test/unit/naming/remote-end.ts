/** The remote end of an edge, as an identity names it for growth of some time. */

import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import type { ClusterIdentity } from "../../../agent/naming/identify.ts";
import { edge, ns, START_MS } from "./cluster-builders.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;

export interface Growth {
  readonly sinceMs?: number;
  readonly nowMs?: number;
  /** When its name is asked for; at once where it is absent. */
  readonly askedMs?: number;
}

/** The remote end of an edge's growth during (sinceMs, nowMs], or why it is pending. */
export function remote(identity: ClusterIdentity, key: Partial<EdgeKey>, growth: Growth = {}): RemoteEnd | string {
  const { nowMs = START_MS + 15 * SECOND, sinceMs = nowMs - 15 * SECOND, askedMs = nowMs } = growth;
  const answer = identity.identify(edge(key), ns(sinceMs), ns(nowMs), ns(askedMs));
  return answer.state === "named" ? answer.remote : answer.why;
}

/** Whether later growth of the edge may be named otherwise without a change of the identity. */
export function isPassing(identity: ClusterIdentity, key: Partial<EdgeKey>, growth: Growth = {}): boolean {
  const { nowMs = START_MS + 15 * SECOND, sinceMs = nowMs - 15 * SECOND } = growth;
  const answer = identity.identify(edge(key), ns(sinceMs), ns(nowMs));
  return answer.state === "named" && answer.passing;
}

export function end(kind: RemoteEnd["kind"], label: string, more: Partial<RemoteEnd> = {}): RemoteEnd {
  return { kind, name: undefined, namespace: undefined, podName: undefined, label, ...more };
}

export const CART_POD = end("pod", "shop/cart-a", {
  name: "cart",
  namespace: "shop",
  podName: "cart-a",
  nodeName: "node-1",
});
export const BILL_POD = end("pod", "shop/bill-b", {
  name: "bill",
  namespace: "shop",
  podName: "bill-b",
  nodeName: "node-1",
});
