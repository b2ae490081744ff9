/** What happens when, on a clock of its own: actions in the order of their times, and of their coming where those are equal. */
export class Timeline {
  nowMs: number;
  readonly #events: { readonly atMs: number; readonly act: () => void }[] = [];

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  at(atMs: number, act: () => void): void {
    const time = Math.max(atMs, this.nowMs);
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1] as { atMs: number }).atMs > time) place--;
    this.#events.splice(place, 0, { atMs: time, act });
  }

  after(ms: number, act: () => void): void {
    this.at(this.nowMs + ms, act);
  }

  runUntil(untilMs: number): void {
    for (let next = this.#events[0]; next && next.atMs <= untilMs; next = this.#events[0]) {
      this.#events.shift();
      this.nowMs = next.atMs;
      next.act();
    }
    this.nowMs = untilMs;
  }
}
