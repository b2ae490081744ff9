/** What many rows of evidence have in common to tell: the names that occur most. Pure. */
import { ATTR_K8S_NAMESPACE_NAME, ATTR_K8S_POD_NAME } from "../generated/semconv.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { LocalEnd } from "../model/names.ts";

/** A finding names no more of one kind. */
const NAMED = 10;

/** The most frequent first; none is empty. */
export function most(rows: readonly EvidenceGrowth[], nameOf: (row: EvidenceGrowth) => string): string[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const name = nameOf(row);
    if (name !== "") counts.set(name, (counts.get(name) ?? 0) + row.count);
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return sorted.slice(0, NAMED).map(([name]) => name);
}

/** `shop/cart-6d4f5c7b8d-x2x9p`, whichever of its containers; the label of what is no pod. */
export function nameOfEnd({ resource, label }: LocalEnd): string {
  const pod = resource[ATTR_K8S_POD_NAME];
  if (pod === undefined) return label;
  const namespace = resource[ATTR_K8S_NAMESPACE_NAME];
  return namespace === undefined ? String(pod) : `${namespace}/${pod}`;
}

/** `shop/cart-6d4f5c7b8d-x2x9p` where the pod is known, else its workload or Service, else its address; "" where there is none. */
export function nameOfPeer({ key, remote, direction }: EvidenceGrowth): string {
  const address = (isTurned({ key, direction }) ? key.localAddress : key.remoteAddress) ?? "";
  const name = remote?.podName ?? remote?.name;
  if (name === undefined) return address;
  return remote?.namespace === undefined ? name : `${remote.namespace}/${name}`;
}

/** Of a forwarded packet, `key.localAddress` is its sender, whichever end is local: here it is the other one. */
function isTurned({ key, direction }: Pick<EvidenceGrowth, "key" | "direction">): boolean {
  return key.direction === "forward" && direction === "receive";
}

/** Whether the local end is the client: `key.role` is that of `key.localAddress`. */
export function isOfClient(row: EvidenceGrowth): boolean {
  return (row.key.role === "server") === isTurned(row);
}

/** Who opened the connection, or asks. */
export function clientOf(row: EvidenceGrowth): string {
  return isOfClient(row) ? nameOfEnd(row.local) : nameOfPeer(row);
}

/** `shop/cart:8080` */
export function targetOf(row: EvidenceGrowth): string {
  const name = isOfClient(row) ? nameOfPeer(row) : nameOfEnd(row.local);
  return row.key.serverPort === 0 || name === "" ? name : `${name}:${row.key.serverPort}`;
}
