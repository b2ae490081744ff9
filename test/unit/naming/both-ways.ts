/** One cluster told to an identity that watches it and to one that asks a directory: both must name ends alike. */
import { expect } from "vitest";
import { AddressCache } from "../../../agent/directory/client/address-cache.ts";
import { decodeAnswers, encodeAnswers, type Key } from "../../../agent/directory/protocol.ts";
import { answerOf } from "../../../agent/directory/server/answers.ts";
import { DirectoryStore } from "../../../agent/directory/server/store.ts";
import { FEEDS_OF } from "../../../agent/kubernetes/reads.ts";
import type { ClusterChange } from "../../../agent/model/cluster-objects.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import { clusterIdentity, edge, ns, START_MS } from "./cluster-builders.ts";
import type { Growth } from "./remote-end.ts";
import { SECOND } from "./remote-end.ts";

export class BothWays {
  readonly #watching = clusterIdentity();
  readonly #asking = clusterIdentity();
  readonly #store = new DirectoryStore(FEEDS_OF.directory, { address() {}, names() {}, ports() {}, cluster() {} });
  readonly #known = new AddressCache({ onChange: (c) => this.#asking.apply(c), capacity: 100, forgetMs: 1e9 });
  /** What has been asked. */
  readonly #questions = new Map<string, Key>();
  #nowMs = START_MS;

  constructor() {
    for (const feed of FEEDS_OF.directory) this.#store.apply({ feed, type: "synced", atMs: START_MS });
  }

  put(feed: ClusterChange["feed"], object: object, atMs = this.#nowMs): void {
    this.#apply({ feed, type: "upsert", atMs, object } as ClusterChange);
  }

  remove(feed: ClusterChange["feed"], uid: string, atMs: number): void {
    this.#apply({ feed, type: "remove", atMs, uid });
  }

  #apply(change: ClusterChange): void {
    this.#nowMs = change.atMs;
    this.#watching.apply(change);
    this.#store.apply(change);
    // As a stream does within milliseconds.
    for (const question of this.#questions.values()) this.#answer(question, change.atMs);
  }

  #answer(question: Key, atMs: number): void {
    const bytes = encodeAnswers({ answers: [answerOf(this.#store, question, atMs)] });
    for (const answer of decodeAnswers(bytes).answers) this.#known.answer(answer, atMs);
  }

  /**
   * Who the remote end of growth during (sinceMs, nowMs] was, or why it is pending; the same both ways.
   *
   * @param waitedMs how long after its interval the growth is named
   */
  remote(key: Partial<EdgeKey>, growth: Growth = {}, waitedMs = 0) {
    const { nowMs = this.#nowMs + 15 * SECOND, sinceMs = nowMs - SECOND } = growth;
    const { remoteAddress, serverPort, role } = edge(key);
    const question = { address: remoteAddress, port: role === "client" ? serverPort : 0 };
    this.#known.answered(question.address, question.port, nowMs);
    if (!this.#questions.has(JSON.stringify(question))) this.#answer(question, nowMs);
    this.#questions.set(JSON.stringify(question), question);
    const [watching, asking] = [this.#watching, this.#asking].map((identity): RemoteEnd | string => {
      identity.identify(edge(key), ns(sinceMs), ns(nowMs));
      const answer = identity.identify(edge(key), ns(sinceMs), ns(nowMs), ns(nowMs + waitedMs));
      return answer.state === "named" ? answer.remote : answer.why;
    });
    expect(asking).toEqual(watching);
    return watching as RemoteEnd | string;
  }
}
