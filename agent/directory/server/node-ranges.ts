/**
 * An address → the node whose range for pods holds it, in one look-up for each length that ranges have.
 */
import type { Node } from "../../model/cluster-objects.ts";
import { parsePrefix } from "../../shared/prefix.ts";

export class NodeRanges {
  /** By length in bits, the longest first; then by the prefix' own bytes. */
  readonly #byLength: readonly (readonly [bits: number, nodes: ReadonlyMap<string, Node>])[];

  constructor(nodes: readonly Node[]) {
    const found = new Map<number, Map<string, Node>>();
    for (const node of nodes) {
      for (const prefix of node.podCidrs.map(parsePrefix)) {
        if (!prefix) continue;
        const sameLength = found.get(prefix.bits) ?? new Map<string, Node>();
        found.set(prefix.bits, sameLength.set(masked(prefix.bytes, prefix.bits), node));
      }
    }
    this.#byLength = [...found].sort(([a], [b]) => b - a);
  }

  find(address: Uint8Array): Node | undefined {
    for (const [bits, nodes] of this.#byLength) {
      const node = nodes.get(masked(address, bits));
      if (node) return node;
    }
    return undefined;
  }
}

/** The first `bits` of 16 bytes, as text. */
function masked(bytes: Uint8Array, bits: number): string {
  const whole = bits >> 3;
  const rest = bits & 7;
  const kept = bytes.subarray(0, whole);
  return rest === 0
    ? String.fromCharCode(...kept)
    : String.fromCharCode(...kept, (bytes[whole] ?? 0) & (0xff << (8 - rest)) & 0xff);
}
