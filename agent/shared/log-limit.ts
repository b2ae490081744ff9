/**
 * How often one kind of line may be logged, so that no peer that causes it can fill the log. Pure.
 *
 * Of each kind a few at once, then one in ten seconds. All kinds are limited, so that none must be marked as one that a peer
 * can cause, and none can be forgotten. What was left out is counted and said with the next line of its kind.
 */

const BURST = 20;
const EVERY_MS = 10_000;
const KINDS_MAX = 256;
const OTHERS = "all other lines";

interface Kind {
  tokens: number;
  filledMs: number;
  leftOut: number;
}

export class LogLimit {
  readonly #kinds = new Map<string, Kind>();

  /**
   * @param text of the line: its kind is the text without what differs from one to the next
   * @param nowMs of a clock that only moves forward
   * @returns how many lines of its kind were left out since the last one that was written; undefined: leave this out, too
   */
  pass(text: string, nowMs: number): number | undefined {
    const kind = this.#kind(text, nowMs);
    const due = Math.floor((nowMs - kind.filledMs) / EVERY_MS);
    kind.filledMs += due * EVERY_MS;
    kind.tokens = Math.min(BURST, kind.tokens + due);
    if (kind.tokens === 0) {
      kind.leftOut++;
      return undefined;
    }
    kind.tokens--;
    const { leftOut } = kind;
    kind.leftOut = 0;
    return leftOut;
  }

  #kind(text: string, nowMs: number): Kind {
    const name = kindOf(text);
    const known = this.#kinds.get(name) ?? (this.#kinds.size < KINDS_MAX ? undefined : this.#kinds.get(OTHERS));
    if (known !== undefined) return known;
    const kind = { tokens: BURST, filledMs: nowMs, leftOut: 0 };
    this.#kinds.set(this.#kinds.size < KINDS_MAX ? name : OTHERS, kind);
    return kind;
  }
}

/** The beginning, without numbers, quoted text and what stands in brackets: names and addresses of a peer's choice. */
function kindOf(text: string): string {
  return text
    .slice(0, 200)
    .replace(/"[^"]*"?|\([^)]*\)?|[\d.:/]+/g, "")
    .slice(0, 60);
}
