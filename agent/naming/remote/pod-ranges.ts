/**
 * Which addresses may be a pod's. An address that nobody is known for and that lies here may belong to a pod whose
 * status is not there yet.
 *
 * Private addresses lie here, and the nodes' ranges for pods. Not every network plugin has its ranges reported by
 * the nodes: so the IPv6 /64 that another pod has a public address from lies here, too. Without Kubernetes, private
 * addresses alone.
 */

import type { Node } from "../../model/cluster-objects.ts";
import { parseAddress } from "../../shared/address.ts";
import { inPrefix, PRIVATE_PREFIXES, type Prefix, prefixes } from "../../shared/prefix.ts";

const PRIVATE = prefixes(...PRIVATE_PREFIXES);
const NETWORK_BYTES = 8;

export class PodRanges {
  /** By the bytes of the /64, how many addresses pods have in it. */
  readonly #networks = new Map<string, number>();
  readonly #nodes: ReadonlyMap<string, Node>;
  /** Of all nodes. Undefined until it is asked for. */
  #ranges: readonly Prefix[] | undefined;

  constructor(nodes: ReadonlyMap<string, Node>) {
    this.#nodes = nodes;
  }

  nodesChanged(): void {
    this.#ranges = undefined;
  }

  podChanged(before: readonly string[], after: readonly string[]): void {
    for (const address of after) if (!before.includes(address)) this.#count(address, 1);
    for (const address of before) if (!after.includes(address)) this.#count(address, -1);
  }

  holds(bytes: Uint8Array): boolean {
    if (PRIVATE.some((prefix) => inPrefix(bytes, prefix)) || this.#networks.has(networkOf(bytes))) return true;
    this.#ranges ??= prefixes(...new Set([...this.#nodes.values()].flatMap(({ podCidrs }) => podCidrs)));
    return this.#ranges.some((prefix) => inPrefix(bytes, prefix));
  }

  #count(address: string, by: number): void {
    const bytes = address.includes(":") ? parseAddress(address) : undefined;
    if (!bytes) return;
    const network = networkOf(bytes);
    const count = (this.#networks.get(network) ?? 0) + by;
    if (count > 0) this.#networks.set(network, count);
    else this.#networks.delete(network);
  }
}

function networkOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, NETWORK_BYTES));
}
