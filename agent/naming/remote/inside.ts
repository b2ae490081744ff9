/**
 * Whether an address that nobody is known for is from inside: it may be a pod's, whose status is not there yet.
 *
 * So are private addresses, those from a node's ranges for pods, and, since not every network plugin has its
 * ranges told by the nodes, the IPv6 /64 that another pod has a public address from. Without Kubernetes, private
 * addresses alone.
 */

import type { Node } from "../../model/cluster-objects.ts";
import { parseAddress } from "../../shared/address.ts";
import { inPrefix, PRIVATE_PREFIXES, type Prefix, prefixes } from "../../shared/prefix.ts";

const PRIVATE = prefixes(...PRIVATE_PREFIXES);
const NETWORK_BYTES = 8;

export class Inside {
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
