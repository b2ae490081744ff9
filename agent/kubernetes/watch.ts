/**
 * One resource of the API server, kept up to date: a list first, then its changes, for ever.
 *
 * The list comes as a watch-list (the server streams what exists as events and marks their end), or in
 * pages where the server refuses that. Objects are read one by one, trimmed and passed on; nothing but
 * their uids stays here. Any failure is counted by reason and ends in a new connect after a wait that
 * grows: a watch never stops for good and never spins.
 */
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type BackoffOptions, backoffMs } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { ApiFailure, type FailureReason, networkFailure, statusFailure } from "./failure.ts";
import { LineSplitter } from "./lines.ts";
import { get, readText } from "./request.ts";
import { field, list, text } from "./trim.ts";

/** What a watch tells of its resource. Calls come in the order of the facts. */
export interface WatchSink<T> {
  upsert(object: T): void;
  remove(uid: string): void;
  /** Everything that existed when the list was made has been told; called after every list. */
  synced(): void;
}

export interface WatchOptions<T> {
  /** For logs and states. */
  readonly name: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly trim: (object: unknown) => T | undefined;
  readonly sink: WatchSink<T>;
  readonly connection: Connection;
  readonly log: WatchLog;
  readonly backoff: BackoffOptions;
  /** Servers send a bookmark a minute, so a longer silence means that the connection is dead. */
  readonly silenceMs: number;
}

export interface WatchLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** How a watch is doing; read by self metrics and health. */
export interface WatchState {
  readonly name: string;
  /** It has read a whole list since the start. */
  readonly synced: boolean;
  /** It is connected and its last list is whole. */
  readonly current: boolean;
  readonly objects: number;
  /** Unix milliseconds of the last word from the server, bookmarks included; 0 before the first. */
  readonly lastEventMs: number;
  readonly connects: number;
  readonly lists: number;
  /** Whether the last list came as a watch-list. */
  readonly watchList: boolean;
  readonly failures: Readonly<Partial<Record<FailureReason, number>>>;
}

const PAGE_SIZE = 500;
const PAGE_BYTES_MAX = 256 * 1024 * 1024;
/** etcd takes objects of 1.5 MiB; as JSON with all escapes they stay far below this. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;
/** The server ends a watch after this; spread, so that not all end at once. */
const WATCH_SECONDS = 300;
/** A connection that lived this long was a good one: failures are counted anew. */
const GOOD_CONNECTION_MS = 10_000;
const WATCH_LIST_RETRY_MS = 3_600_000;
const SERVER_ERRORS_BEFORE_LIST = 3;
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

export class ResourceWatch<T extends { readonly uid: string }> {
  readonly #options: WatchOptions<T>;
  readonly #stop = new AbortController();
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  /** uids of the objects that the sink knows. */
  #known = new Set<string>();
  /** Of the list that is being read; undefined between lists. */
  #listed: Set<string> | undefined;
  /** Where the next watch goes on; undefined: a list is needed. */
  #resourceVersion: string | undefined;
  #watchListRefusedMs = -Infinity;
  #usedWatchList = false;
  #synced = false;
  #connected = false;
  #lastEventMs = 0;
  #connects = 0;
  #lists = 0;
  #failuresInRow = 0;

  constructor(options: WatchOptions<T>) {
    this.#options = options;
  }

  get state(): WatchState {
    return {
      name: this.#options.name,
      synced: this.#synced,
      current: this.#connected && this.#listed === undefined && this.#synced,
      objects: this.#known.size,
      lastEventMs: this.#lastEventMs,
      connects: this.#connects,
      lists: this.#lists,
      watchList: this.#usedWatchList,
      failures: { ...this.#failures },
    };
  }

  /** Runs until `stop`; never throws. */
  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const startedMs = performance.now();
      let failure: ApiFailure | undefined;
      try {
        await this.#session();
      } catch (error) {
        failure = networkFailure(error);
      }
      this.#connected = false;
      if (this.#stop.signal.aborted) return;
      await this.#pause(failure, performance.now() - startedMs);
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  /** One connection's life: a list where one is needed, then the watch to its end. */
  async #session(): Promise<void> {
    if (this.#resourceVersion !== undefined) return this.#watch({});
    if (performance.now() - this.#watchListRefusedMs > WATCH_LIST_RETRY_MS) return this.#watchList();
    await this.#listPages();
    return this.#watch({});
  }

  async #pause(failure: ApiFailure | undefined, livedMs: number): Promise<void> {
    const { name, backoff, log } = this.#options;
    if (failure && this.#historyLost(failure)) this.#resourceVersion = undefined;
    if (failure?.reason === "unsupported") {
      this.#watchListRefusedMs = performance.now();
      log.info({ watch: name, detail: failure.message }, "the API server has no watch-list; listing in pages");
      return;
    }
    if (livedMs >= GOOD_CONNECTION_MS) this.#failuresInRow = 0;
    // A server that ends watches at once is as bad as one that refuses them.
    if (!failure && livedMs >= GOOD_CONNECTION_MS) return;
    this.#failuresInRow++;
    const waitMs = Math.max(failure?.retryAfterMs ?? 0, backoffMs(this.#failuresInRow, Math.random(), backoff));
    if (failure) {
      this.#failures[failure.reason] = (this.#failures[failure.reason] ?? 0) + 1;
      const fields = { watch: name, reason: failure.reason, detail: failure.message, waitMs: Math.round(waitMs) };
      log.warn(fields, "lost the API server; names may be old until it is back");
    }
    await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  /**
   * Whether to begin with a new list. A server whose etcd was restored from a backup answers 5xx for a
   * version of the future, as often as it is asked.
   */
  #historyLost({ reason }: ApiFailure): boolean {
    if (reason === "server_error") return this.#failuresInRow >= SERVER_ERRORS_BEFORE_LIST;
    return reason === "gone" || reason === "rejected";
  }

  async #watchList(): Promise<void> {
    this.#startList();
    this.#usedWatchList = true;
    try {
      await this.#watch({ sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" });
    } catch (error) {
      const failure = networkFailure(error);
      // 400 and 422: before 1.27, or switched off. Anything else that breaks a list gets pages the next time.
      if (this.#listed && failure.reason === "rejected") throw new ApiFailure("unsupported", failure.message);
      if (this.#listed && (failure.reason === "silent" || failure.reason === "malformed")) {
        this.#watchListRefusedMs = performance.now();
      }
      throw failure;
    }
  }

  async #watch(query: Readonly<Record<string, string>>): Promise<void> {
    const version = this.#resourceVersion;
    const answer = await this.#get({
      ...query,
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(Math.round(WATCH_SECONDS * (1 + Math.random()))),
      ...(version === undefined ? {} : { resourceVersion: version }),
    });
    this.#connected = true;
    const splitter = new LineSplitter(LINE_BYTES_MAX);
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        this.#lastEventMs = Date.now();
        for (const line of splitter.push(chunk)) this.#event(line);
      }
    } finally {
      answer.destroy();
      if (splitter.oversized > 0) this.#countMalformed(splitter.oversized);
    }
    if (this.#listed) throw new ApiFailure("closed", "the list broke off");
  }

  async #listPages(): Promise<void> {
    this.#startList();
    this.#usedWatchList = false;
    let next = "";
    let version = "";
    do {
      const answer = await this.#get({ limit: String(PAGE_SIZE), ...(next === "" ? {} : { continue: next }) });
      const page = parseJson(await readText(answer, PAGE_BYTES_MAX));
      if (page === undefined) throw new ApiFailure("malformed", "a page of the list cannot be read");
      this.#lastEventMs = Date.now();
      for (const object of list(field(page, "items"))) this.#upsert(object);
      next = text(field(field(page, "metadata"), "continue"));
      version = text(field(field(page, "metadata"), "resourceVersion"));
    } while (next !== "");
    if (version === "") throw new ApiFailure("malformed", "the list has no resourceVersion");
    this.#endList(version);
  }

  #get(query: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    const { connection, path, silenceMs } = this.#options;
    this.#connects++;
    const all = { ...this.#options.query, ...query };
    return get(connection, { path, query: all, silenceMs, signal: this.#stop.signal });
  }

  #event(line: string): void {
    const event = parseJson(line);
    const object = field(event, "object");
    switch (field(event, "type")) {
      case "ADDED":
      case "MODIFIED":
        this.#upsert(object);
        break;
      case "DELETED":
        this.#remove(text(field(field(object, "metadata"), "uid")));
        break;
      case "BOOKMARK":
        if (this.#listed) this.#bookmarkInList(object);
        break;
      case "ERROR":
        throw statusFailure(Number(field(object, "code") ?? 0), text(field(object, "message")), undefined);
      default:
        this.#countMalformed(1);
    }
    const version = text(field(field(object, "metadata"), "resourceVersion"));
    // Within a list, events come in no order of versions: only its end is a place to go on from.
    if (!this.#listed && version !== "") this.#resourceVersion = version;
  }

  #bookmarkInList(object: unknown): void {
    const metadata = field(object, "metadata");
    if (field(field(metadata, "annotations"), INITIAL_EVENTS_END) !== "true") return;
    this.#endList(text(field(metadata, "resourceVersion")));
  }

  #upsert(object: unknown): void {
    const trimmed = this.#options.trim(object);
    if (trimmed) {
      this.#listed?.add(trimmed.uid);
      this.#known.add(trimmed.uid);
      this.#options.sink.upsert(trimmed);
    } else {
      this.#countMalformed(1);
    }
  }

  #remove(uid: string): void {
    this.#listed?.delete(uid);
    if (this.#known.delete(uid)) this.#options.sink.remove(uid);
  }

  #startList(): void {
    this.#lists++;
    this.#listed = new Set();
  }

  /** What was known and is not in the list has gone while nobody looked. */
  #endList(version: string): void {
    const listed = this.#listed ?? new Set();
    for (const uid of this.#known) if (!listed.has(uid)) this.#remove(uid);
    this.#listed = undefined;
    this.#resourceVersion = version === "" ? undefined : version;
    this.#synced = true;
    this.#options.sink.synced();
  }

  #countMalformed(count: number): void {
    this.#failures.malformed = (this.#failures.malformed ?? 0) + count;
  }
}

/** @returns undefined when it is not JSON */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
