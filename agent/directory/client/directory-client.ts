/**
 * An agent's stream to one of the directory's replicas: kept up for ever.
 *
 * It asks for what the identity looks up and passes on what is answered. A replica that is lost, silent or
 * refuses is left for the next one; when none is left it waits, longer each time, with jitter. Meanwhile the
 * last answers count, and the state says so. Certificates, token and the addresses behind a name are read
 * anew for every connect.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { FEEDS_OF } from "../../kubernetes/reads.ts";
import type { ClusterChange } from "../../model/cluster-objects.ts";
import type { MetadataReading } from "../../model/metadata.ts";
import { type BackoffOptions, backoffMs } from "../../shared/backoff.ts";
import type { Logger } from "../../shared/logger.ts";
import { type ClusterMessage, decodeAnswers, encodeAsk, type Key, type ReceivedAnswers } from "../protocol.ts";
import { AddressCache, type AddressCacheStats } from "./address-cache.ts";
import { AnswerFlow, OverBudget } from "./answer-budget.ts";
import { type ClientOptions, connectTo, type FollowCall, findReplicas, type Replica } from "./replicas.ts";

export interface DirectoryClientOptions extends ClientOptions {
  /** `HOST:PORT`; a name stands for all addresses behind it. */
  readonly addresses: readonly string[];
  readonly nodeName: string;
  /** kubernetes.app_labels, by which this agent names its own node's pods. */
  readonly appLabels: boolean;
  readonly log: Logger;
  /** Where answers go; ClusterIdentity.apply fits. */
  readonly onChange: (change: ClusterChange) => void;
  /** CLOCK_BOOTTIME milliseconds. */
  readonly nowMs: () => number;
  readonly backoff?: BackoffOptions;
  /** How long a replica may take to say its first word. */
  readonly firstWordMs?: number;
  /** How long one may say nothing after that. */
  readonly silenceMs?: number;
  readonly forgetMs?: number;
  readonly capacity?: number;
}

/** Reads as the state of a watch does, since it is one more source of names. */
export interface DirectoryClientState extends MetadataReading, Omit<AddressCacheStats, "addresses"> {
  /** The replica that answers now; undefined while none does. */
  readonly replica: string | undefined;
  readonly connects: number;
}

/** Replicas come back within seconds; a thousand agents must not come all at once. */
const BACKOFF: BackoffOptions = { firstMs: 250, maxMs: 15_000 };
const FIRST_WORD_MS = 5_000;
/** A replica says something every 10 seconds. */
const SILENCE_MS = 35_000;
const FORGET_MS = 600_000;
const CAPACITY = 65_536;
const KEYS_PER_MESSAGE = 1_000;
const ASK_MS = 5;

export class DirectoryClient {
  readonly #options: DirectoryClientOptions;
  readonly #cache: AddressCache;
  readonly #flow = new AnswerFlow();
  readonly #stop = new AbortController();
  readonly #failures: Record<string, number> = {};
  readonly #ended: Promise<void>;
  #call: FollowCall | undefined;
  #askTimer: NodeJS.Timeout | undefined;
  #replica: string | undefined;
  #lastTarget: string | undefined;
  #synced = false;
  /** When what is known was last confirmed, by the API server's own word. */
  #confirmedMs: number;
  /** When it last heard or tried anything. */
  #movedMs: number;
  #connects = 0;
  /** Streams that answered, and of those the ones that the replica ended in order. */
  #lists = 0;
  #ends = 0;
  #trouble: string | undefined;
  #hasWarnedOfLabels = false;

  /** Starts at once; what goes wrong is in the state and the log. */
  constructor(options: DirectoryClientOptions) {
    this.#options = options;
    this.#confirmedMs = options.nowMs();
    this.#movedMs = this.#confirmedMs;
    const { onChange, capacity = CAPACITY, forgetMs = FORGET_MS } = options;
    this.#cache = new AddressCache({ onChange, capacity, forgetMs });
    this.#ended = this.#run();
  }

  get state(): DirectoryClientState {
    const { nowMs } = this.#options;
    const { addresses: objects, unanswered, refused } = this.#cache.stats();
    return {
      name: "directory",
      synced: this.#synced,
      objects,
      unanswered,
      refused,
      ageMs: Math.max(0, Math.round(nowMs() - this.#confirmedMs)),
      idleMs: Math.max(0, Math.round(nowMs() - this.#movedMs)),
      replica: this.#replica,
      connects: this.#connects,
      lists: this.#lists,
      ends: this.#ends,
      failures: { ...this.#failures },
      trouble: this.#trouble,
    };
  }

  /** Whether the directory has reported who this is; asks it where it has not been asked. */
  answered(address: string, port: number, nowMs: number): boolean {
    const answered = this.#cache.answered(address, port, nowMs);
    if (!answered) this.#askSoon();
    return answered;
  }

  /** Withdraws addresses that were not looked up for a while. */
  forgetUnseen(nowMs: number): void {
    this.#cache.forgetUnseen(nowMs);
    this.#askSoon();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#call?.cancel();
    clearTimeout(this.#askTimer);
    await this.#ended;
  }

  async #run(): Promise<void> {
    let failuresInRow = 0;
    while (!this.#stop.signal.aborted) {
      failuresInRow = (await this.#round()) ? 1 : failuresInRow + 1;
      const waitMs = backoffMs(failuresInRow, Math.random(), this.#options.backoff ?? BACKOFF);
      await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /**
   * Each replica once. One that answers is followed for up to 40 minutes: who else is there is asked anew then.
   *
   * @returns whether one has answered
   */
  async #round(): Promise<boolean> {
    const tried = new Set<string>();
    let hasAnswered = false;
    let targets = await this.#targets();
    const next = () => targets.find(({ address }) => !tried.has(address));
    for (let target = next(); target && !this.#stop.signal.aborted; target = next()) {
      tried.add(target.address);
      if (!(await this.#follow(target)) || this.#stop.signal.aborted) continue;
      hasAnswered = true;
      targets = await this.#targets();
    }
    return hasAnswered;
  }

  /** All replicas in a random order, the one that was lost last at the end. */
  async #targets(): Promise<Replica[]> {
    // A name that stands for nothing is tried again and again: a restart would not do more.
    this.#movedMs = this.#options.nowMs();
    const found: Replica[] = [];
    for (const text of this.#options.addresses) {
      try {
        found.push(...(await findReplicas(text)));
      } catch (error) {
        this.#failed("DNS", (error as Error).message, text);
      }
    }
    const isLast = ({ address }: Replica) => Number(address === this.#lastTarget);
    return found
      .map((target) => ({ target, order: isLast(target) + Math.random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ target }) => target);
  }

  /** One stream's life. @returns whether the replica has answered */
  async #follow(target: Replica): Promise<boolean> {
    this.#connects++;
    this.#movedMs = this.#options.nowMs();
    this.#lastTarget = target.address;
    let client: Client | undefined;
    let hasAnswered = false;
    try {
      const connection = connectTo(target, this.#options);
      client = connection.client;
      const { call } = connection;
      const failure = await this.#listen(call, target, () => {
        hasAnswered = true;
      });
      if (this.#stop.signal.aborted) return hasAnswered;
      if (failure) this.#failed(status[failure.code] ?? "UNKNOWN", failure.details, target.address);
      else this.#ends++;
    } catch (error) {
      this.#failed("CREDENTIALS", (error as Error).message, target.address);
    } finally {
      this.#call = undefined;
      this.#replica = undefined;
      client?.close();
    }
    return hasAnswered;
  }

  /** @returns why the stream ended; undefined when the replica ended it in order */
  async #listen(call: FollowCall, target: Replica, onFirst: () => void): Promise<ServiceError | undefined> {
    const { firstWordMs = FIRST_WORD_MS, silenceMs = SILENCE_MS } = this.#options;
    const { promise, resolve } = Promise.withResolvers<ServiceError | undefined>();
    let isFirst = true;
    const giveUp = (code: status, details: string) => {
      resolve(Object.assign(new Error(details), { code, details, metadata: new Metadata() }));
      call.cancel();
    };
    const silence = (ms: number) => setTimeout(() => giveUp(status.DEADLINE_EXCEEDED, `no word for ${ms} ms`), ms);
    let timer = silence(firstWordMs);
    call.on("data", (bytes: Buffer) => {
      clearTimeout(timer);
      timer = silence(silenceMs);
      try {
        const answers = decodeAnswers(bytes);
        this.#take(answers, target, isFirst);
        if (isFirst) onFirst();
        isFirst = false;
      } catch (error) {
        const { message } = error as Error;
        if (error instanceof OverBudget) giveUp(status.RESOURCE_EXHAUSTED, message);
        else giveUp(status.INTERNAL, `an answer made no sense: ${message}`);
      }
    });
    call.on("error", (error: ServiceError) => resolve(error));
    call.on("end", () => resolve(undefined));
    this.#call = call;
    this.#write(this.#cache.takeAll(), []);
    const failure = await promise;
    clearTimeout(timer);
    return failure;
  }

  #take({ cluster, answers, ageMs, cost, costs }: ReceivedAnswers, target: Replica, isFirst: boolean): void {
    const nowMs = this.#options.nowMs();
    this.#flow.take(cost, this.#cache.stats().addresses, nowMs);
    this.#movedMs = nowMs;
    this.#confirmedMs = nowMs - ageMs;
    // What it answers is no list: it says itself since when things are as they are.
    const wasSynced = this.#synced;
    if (!wasSynced) this.#reportSynced(nowMs);
    if (cluster) this.#cache.cluster(cluster, nowMs);
    for (const [i, answer] of answers.entries()) this.#cache.answer(answer, nowMs, costs[i]);
    if (!isFirst) return;
    this.#lists++;
    this.#replica = `${cluster?.replica ?? ""} (${target.address})`;
    const fields = { replica: this.#replica, afterTrouble: this.#trouble };
    this.#options.log.info(
      fields,
      wasSynced ? "the directory answers again" : "names of peers come from the directory",
    );
    this.#trouble = undefined;
    if (cluster) this.#compareLabels(cluster);
  }

  #compareLabels({ appLabels: theirs }: ClusterMessage): void {
    const { appLabels: here, log } = this.#options;
    if (theirs === undefined || theirs === here || this.#hasWarnedOfLabels) return;
    this.#hasWarnedOfLabels = true;
    const message = "kubernetes.app_labels differs between agent and directory: services have two names";
    log.warn({ here, directory: theirs, replica: this.#replica }, message);
  }

  #reportSynced(atMs: number): void {
    this.#synced = true;
    for (const feed of FEEDS_OF.directory) this.#options.onChange({ feed, type: "synced", atMs });
  }

  #askSoon(): void {
    if (this.#call === undefined) return;
    this.#askTimer ??= setTimeout(() => {
      this.#askTimer = undefined;
      const { add, remove } = this.#cache.takeChanges();
      if (this.#call !== undefined) this.#write(add, remove, false);
    }, ASK_MS);
  }

  /** The first message of a stream says the node's name, also where there is nothing to ask yet. */
  #write(add: readonly Key[], remove: readonly Key[], isFirst = true): void {
    const call = this.#call;
    if (isFirst) call?.write(encodeAsk({ node: this.#options.nodeName }));
    for (let at = 0; at < Math.max(add.length, remove.length); at += KEYS_PER_MESSAGE) {
      const end = at + KEYS_PER_MESSAGE;
      call?.write(encodeAsk({ add: add.slice(at, end), remove: remove.slice(at, end) }));
    }
  }

  #failed(reason: string, detail: string, target: string): void {
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
    const isNews = this.#trouble === undefined;
    this.#trouble = `${target}: ${reason}: ${detail}`;
    if (!isNews) return;
    const fields = { target, reason, detail, known: this.#cache.stats().addresses };
    this.#options.log.warn(fields, "lost the directory; names of peers are the last that it told, until one is back");
  }
}
