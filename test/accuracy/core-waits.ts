/**
 * How long the threads of pods wait for a core, by the kernel's own account, a second at a time: where a finding is wrong, this tells
 * whether the machine may be to blame.
 *
 * `/proc/PID/task/TID/schedstat`: nanoseconds on a core, nanoseconds runnable without one, time slices.
 */
import { readFileSync } from "node:fs";

const EVERY_MS = 1_000;

export class CoreWaits {
  readonly #pods: readonly (readonly [string, string])[];
  readonly #timer: NodeJS.Timeout;
  #last = new Map<string, number>();
  #lastMs = performance.now();
  readonly #largest = new Map<string, number>();

  /** @param pods each key, and the directory of its cgroup */
  constructor(pods: readonly (readonly [string, string])[]) {
    this.#pods = pods;
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  forget(): void {
    this.#look();
    this.#largest.clear();
  }

  /** By pod, the largest share of a second that one of its threads has waited for a core. */
  largest(): Readonly<Record<string, number>> {
    this.#look();
    return Object.fromEntries([...this.#largest].map(([pod, share]) => [pod, Math.round(share * 100) / 100]));
  }

  #look(): void {
    const nowMs = performance.now();
    const elapsedNs = (nowMs - this.#lastMs) * 1e6;
    const now = new Map<string, number>();
    for (const [pod, cgroup] of this.#pods)
      for (const [thread, waitedNs] of waitsIn(cgroup)) {
        now.set(thread, waitedNs);
        const share = (waitedNs - (this.#last.get(thread) ?? waitedNs)) / elapsedNs;
        // The shares of a moment say nothing.
        if (nowMs - this.#lastMs > EVERY_MS / 2) this.#largest.set(pod, Math.max(share, this.#largest.get(pod) ?? 0));
      }
    this.#last = now;
    this.#lastMs = nowMs;
  }
}

/** Threads that live in a cgroup, and for how long each has waited so far. */
function waitsIn(cgroup: string): [string, number][] {
  return threadsIn(cgroup).flatMap((thread): [string, number][] => {
    try {
      const [, waitedNs = ""] = readFileSync(`/proc/${thread}/schedstat`, "utf8").split(" ");
      return [[thread, Number(waitedNs)]];
    } catch {
      return []; // it has ended
    }
  });
}

function threadsIn(cgroup: string): string[] {
  try {
    return readFileSync(`${cgroup}/cgroup.threads`, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch {
    return [];
  }
}
