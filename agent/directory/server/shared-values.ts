/**
 * Values that many pods have in common (a namespace, a node, a workload's name), each kept once.
 *
 * What comes out of JSON is a new text every time; with 100,000 pods of some thousand workloads that is most
 * of the memory. A value goes when its last user has given it back.
 */
export class SharedValues<T> {
  readonly #values = new Map<string, { readonly value: T; uses: number }>();
  readonly #keyOf: (value: T) => string;

  constructor(keyOf: (value: T) => string) {
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#values.size;
  }

  /** The one value that equals `value`; to be given back once. */
  take(value: T): T {
    const key = this.#keyOf(value);
    const known = this.#values.get(key);
    if (known) {
      known.uses++;
      return known.value;
    }
    this.#values.set(key, { value, uses: 1 });
    return value;
  }

  giveBack(value: T): void {
    const key = this.#keyOf(value);
    const known = this.#values.get(key);
    if (known && --known.uses === 0) this.#values.delete(key);
  }
}
