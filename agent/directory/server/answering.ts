/**
 * The directory's store and who wants to know what of it → whose answers are due, and when.
 *
 *   interests ──► due ──► encode
 *                  ▲
 *   store ─────────┘ what may have changed an answer
 *
 * Pure: what is to happen later goes to `schedule`, and times come in as arguments.
 */
import type { Feed } from "../../model/cluster-objects.ts";
import { encodeAnswers } from "../protocol.ts";
import { answerOf } from "./answers.ts";
import { type Interest, Interests } from "./interests.ts";
import { DirectoryStore } from "./store.ts";
import type { StoreListeners } from "./store-news.ts";

export interface Schedule {
  /** Something is due; changes of this long go out together. */
  due(afterMs: number): void;
  /** markRenamed() is to be called. */
  renamed(afterMs: number): void;
  /** The cluster's own facts are due to all. */
  cluster(): void;
}

const FLUSH_MS = 20;
const NAMES_MS = 600;

export class Answering {
  readonly store: DirectoryStore;
  readonly interests = new Interests();
  readonly #schedule: Schedule;

  /** @param feeds those that will be applied to the store */
  constructor(feeds: readonly Feed[], schedule: Schedule) {
    this.#schedule = schedule;
    this.store = new DirectoryStore(feeds, this.#listeners());
  }

  /** Marks the answers in which a Service goes by another name than it was reported by. */
  markRenamed(): void {
    this.interests.markWhere((interest) => interest.peerName !== this.store.peerNameOf(interest.key));
    this.#schedule.due(0);
  }

  /** A name that is news to one stream is news to all who follow the key: it is reported once for all. */
  encode(interest: Interest, nowMs: number): Buffer {
    const peerName = this.store.peerNameOf(interest.key);
    if (peerName !== interest.peerName) this.interests.mark(interest);
    interest.peerName = peerName;
    return encodeAnswers({ answers: [answerOf(this.store, interest.key, nowMs)] });
  }

  #listeners(): StoreListeners {
    return {
      address: (address) => {
        this.interests.markAddress(address);
        this.#schedule.due(FLUSH_MS);
      },
      // Slices change by the second in a large cluster; names rarely do.
      names: () => this.#schedule.renamed(NAMES_MS),
      ports: () => {
        this.interests.markWhere(({ key }) => key.port !== 0);
        this.#schedule.due(FLUSH_MS);
      },
      cluster: () => {
        this.#schedule.cluster();
        this.#schedule.due(FLUSH_MS);
      },
    };
  }
}
