/**
 * The keys of edges by their bytes, each decoded once. Pure but for its memory, which is bounded.
 */
import type { EdgeKey } from "../model/edge.ts";

/** A node's busy edges; clients from outside have an edge each, so that there is no end of them. */
const KEYS_MAX = 4_096;

/**
 * Keys of edges by their bytes, each decoded once: equal keys are the same object, so that what is made of a key can hang
 * on it. Forgets the half that was used longest ago when it is full.
 */
export class EdgeKeys {
  readonly #decode: (id: string) => EdgeKey;
  #recent = new Map<string, EdgeKey>();
  #older = new Map<string, EdgeKey>();

  /** @param decode makes an EdgeKey of its 48 bytes as latin1 text */
  constructor(decode: (id: string) => EdgeKey) {
    this.#decode = decode;
  }

  of(id: string): EdgeKey {
    const known = this.#recent.get(id);
    if (known !== undefined) return known;
    const key = this.#older.get(id) ?? this.#decode(id);
    if (this.#recent.size >= KEYS_MAX / 2) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(id, key);
    return key;
  }
}
