/** A replica of the directory without its network: the real store and answers, and streams that take a moment. */

import { type Answers, decodeAnswers, encodeAnswers, type Key } from "../../agent/directory/protocol.ts";
import { Answering } from "../../agent/directory/server/answering.ts";
import { clusterMessage } from "../../agent/directory/server/answers.ts";
import type { Follower, Interest } from "../../agent/directory/server/interests.ts";
import { FEEDS_OF } from "../../agent/kubernetes/reads.ts";
import type { Timeline } from "./timeline.ts";
import { Watching } from "./watching.ts";
import { FEEDS, type World } from "./world.ts";

/** From the store to an agent's tables, at most: what is gathered before it is sent, names longest. */
export const ANSWER_MS = 750;
const LATENCY_MS = 20;
const SWEEP_MS = 10_000;

/** One agent's stream. */
export class Stream implements Follower {
  readonly wanted = new Set<Interest>();
  readonly due = new Set<Interest>();
  readonly take: (answers: Answers) => void;
  isOpen = true;
  clusterDue = true;

  constructor(take: (answers: Answers) => void) {
    this.take = take;
  }
}

export class Replica {
  readonly watching: Watching;
  readonly #timeline: Timeline;
  readonly #answering: Answering;
  readonly #streams = new Set<Stream>();
  #isNaming = false;

  constructor(world: World, timeline: Timeline, lagMs: (index: number) => number) {
    this.#timeline = timeline;
    this.#answering = new Answering(FEEDS_OF.directory, {
      due: (afterMs) => timeline.after(afterMs, () => this.#flush()),
      renamed: (afterMs) => {
        if (this.#isNaming) return;
        this.#isNaming = true;
        timeline.after(afterMs, () => {
          this.#isNaming = false;
          this.#answering.markRenamed();
        });
      },
      cluster: () => {
        for (const stream of this.#streams) stream.clusterDue = true;
      },
    });
    const { store } = this.#answering;
    for (const feed of ["namespaces", "local-pods"] as const)
      store.apply({ feed, type: "synced", atMs: timeline.nowMs });
    this.watching = new Watching(world, timeline, FEEDS, lagMs, (change) => store.apply(change));
    this.#sweep();
  }

  open(stream: Stream, keys: readonly Key[]): void {
    this.#streams.add(stream);
    this.ask(stream, keys, []);
  }

  ask(stream: Stream, add: readonly Key[], remove: readonly Key[]): void {
    this.#timeline.after(LATENCY_MS, () => {
      if (!stream.isOpen) return;
      for (const key of remove) this.#answering.interests.remove(stream, key);
      for (const key of add) this.#answering.interests.add(stream, key);
      this.#flush();
    });
  }

  close(stream: Stream): void {
    stream.isOpen = false;
    this.#streams.delete(stream);
    this.#answering.interests.removeAll(stream);
  }

  #flush(): void {
    const { nowMs } = this.#timeline;
    const { interests, store } = this.#answering;
    const names = { replica: "replica", appLabels: false };
    for (const stream of this.#streams) {
      if (stream.due.size === 0 && !stream.clusterDue) continue;
      const parts = [
        encodeAnswers({
          ageMs: 0,
          ...(stream.clusterDue ? { cluster: clusterMessage(store, "node-1", names, nowMs) } : {}),
        }),
      ];
      stream.clusterDue = false;
      for (const interest of stream.due) {
        const answer = this.#answering.encode(interest, nowMs);
        stream.due.delete(interest);
        parts.push(answer);
      }
      interests.due.delete(stream);
      const bytes = Buffer.concat(parts);
      this.#timeline.after(LATENCY_MS, () => {
        if (stream.isOpen) stream.take(decodeAnswers(bytes));
      });
    }
  }

  #sweep(): void {
    this.#answering.store.sweep(this.#timeline.nowMs);
    if (!this.watching.isStopped) this.#timeline.after(SWEEP_MS, () => this.#sweep());
  }
}
