/**
 * A program of socket calls: lines for the interpreter (test/torture/interpreter/torture.c), one call each, and how they are written
 * down. Any subset of a program's lines is a program, too: a call on a slot without a socket answers EBADF. So
 * a program shrinks by leaving lines out (shrink.ts).
 */

/** `a send 3 100`: puppet, call, slot, arguments. `a& …` does not wait, `. …` is the interpreter's own. */
export type Program = readonly string[];

/** All programs of a batch wait here for each other; what happens to probes meanwhile: upheaval.ts. */
export const BARRIER = ". barrier";

/** As a file holds it: one line each, `#` begins a remark. */
export function parseProgram(text: string): Program {
  return text
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
}

export function formatProgram(program: Program): string {
  return program.map((line) => `${line}\n`).join("");
}

/** A repeatable stream of random numbers: the same seed gives the same programs on every machine (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** @returns 0 ≤ x < 1 */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @returns a whole number, both ends included */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const value = list[Math.floor(this.next() * list.length)];
    if (value === undefined) throw new RangeError("nothing to pick from");
    return value;
  }
}

/** The seed of the program at `index` of a run. */
export function programSeed(seed: number, index: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(index + 1, 0xc2b2ae35)) >>> 0;
}
