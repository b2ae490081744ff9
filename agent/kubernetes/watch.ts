/**
 * One resource of the API server, kept up to date: a list first, then its changes, for ever.
 *
 * The list comes as a watch-list (the server streams what exists as events and marks their end). Where the
 * server refuses that, it comes in pages, or whole where a selector leaves little of it. Objects are read one
 * by one, trimmed and passed on; nothing but their uids stays here. Any failure is counted by reason and ends
 * in a new connect after a wait that grows: a watch never stops for good and never spins.
 */
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type BackoffOptions, backoffMs } from "../shared/backoff.ts";
import type { ApiTroubles } from "./api-troubles.ts";
import type { Connection } from "./connection.ts";
import { ApiFailure, type FailureReason, networkFailure, statusFailure } from "./failure.ts";
import { ItemSplitter } from "./items.ts";
import { parseJson } from "./json.ts";
import { LineSplitter } from "./lines.ts";
import { get, Patience } from "./request.ts";
import { field, list, text } from "./trim.ts";
import { WatchRecord, type WatchState } from "./watch-state.ts";

/** What a watch tells of its resource. Calls come in the order of the facts. */
export interface WatchSink<T> {
  upsert(object: T): void;
  remove(uid: string): void;
  /** Everything that existed when the list was made has been reported; called after every list. */
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
  /** One for all watches of a server. */
  readonly troubles: ApiTroubles;
  readonly backoff: BackoffOptions;
  /**
   * The longest wait for an answer, for the next object of a list and for the next event. Servers send a bookmark every one
   * to two minutes, so a longer silence means that the other end is dead.
   */
  readonly silenceMs: number;
  /** The server is asked to end a watch after this or up to twice of it; spread, so that not all end at once. */
  readonly watchSeconds?: number | undefined;
}

export type { WatchState } from "./watch-state.ts";

const PAGE_SIZE = 500;
/** A million objects: what goes on after that has no end. */
const PAGES_MAX = 2_000;
/** etcd takes objects of 1.5 MiB, in a shorter form than JSON. */
const OBJECT_BYTES_MAX = 4 * 1024 * 1024;
const WATCH_SECONDS = 300;
/** A watch that was current this long was a good one: failures are counted anew. */
const GOOD_CONNECTION_MS = 10_000;
const WATCH_LIST_RETRY_MS = 3_600_000;
const SERVER_ERRORS_BEFORE_LIST = 3;
const BROKEN_LISTS_BEFORE_PAGES = 2;
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";

export class ResourceWatch<T extends { readonly uid: string }> {
  readonly #options: WatchOptions<T>;
  readonly #stop = new AbortController();
  readonly #record: WatchRecord;
  /** uids of the objects that the sink knows. */
  #known = new Set<string>();
  /** Of the list that is being read; undefined between lists. */
  #listed: Set<string> | undefined;
  /** Where the next watch goes on; undefined: a list is needed. */
  #resourceVersion: string | undefined;
  /** The version of what is known: a list from a server's cache must not be older. */
  #knownVersion: string | undefined;
  #watchListRefusedMs = -Infinity;
  #brokenLists = 0;
  #failuresInRow = 0;
  #serverErrorsInRow = 0;

  constructor(options: WatchOptions<T>) {
    this.#options = options;
    this.#record = new WatchRecord(options.name);
  }

  get state(): WatchState {
    return this.#record.read(this.#known.size);
  }

  /** Runs until `stop`; never throws. */
  async run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      let failure: ApiFailure | undefined;
      try {
        await this.#session();
      } catch (error) {
        failure = networkFailure(error);
      }
      const goodForMs = this.#record.currentForMs;
      this.#record.lost();
      if (this.#stop.signal.aborted) return;
      const waitMs = failure ? this.#afterFailure(failure, goodForMs) : this.#afterEnd(goodForMs);
      if (waitMs > 0) await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  /** One connection's life: a list where one is needed, then the watch to its end. */
  async #session(): Promise<void> {
    if (this.#resourceVersion !== undefined) return this.#watch({});
    if (performance.now() - this.#watchListRefusedMs > WATCH_LIST_RETRY_MS) return this.#watchList();
    await this.#list();
    return this.#watch({});
  }

  /** @returns how long to wait: a server that ends watches at once is as bad as one that refuses them */
  #afterEnd(goodForMs: number): number {
    this.#record.ended();
    this.#failuresInRow = goodForMs >= GOOD_CONNECTION_MS ? 0 : this.#failuresInRow + 1;
    return this.#failuresInRow === 0 ? 0 : backoffMs(this.#failuresInRow, Math.random(), this.#options.backoff);
  }

  /** @returns how long to wait */
  #afterFailure(failure: ApiFailure, goodForMs: number): number {
    const { name, path, backoff, troubles } = this.#options;
    if (failure.reason === "unsupported") {
      this.#watchListRefusedMs = performance.now();
      troubles.noWatchList(failure.message);
      return 0;
    }
    this.#failuresInRow = goodForMs >= GOOD_CONNECTION_MS ? 1 : this.#failuresInRow + 1;
    this.#serverErrorsInRow = failure.reason === "server_error" ? this.#serverErrorsInRow + 1 : 0;
    if (this.#historyLost(failure)) this.#forgetVersion(failure);
    this.#record.failed(failure);
    const waitMs = Math.max(failure.retryAfterMs ?? 0, backoffMs(this.#failuresInRow, Math.random(), backoff));
    const resource = path.split("/").at(-1) as string;
    troubles.failed({ watch: name, resource, failure, inRow: this.#failuresInRow });
    return waitMs;
  }

  /**
   * Whether to begin with a new list. A server whose etcd was restored from a backup answers 5xx for a
   * version of the future, as often as it is asked.
   */
  #historyLost({ reason }: ApiFailure): boolean {
    return reason === "gone" || reason === "rejected" || this.#serverErrorsInRow >= SERVER_ERRORS_BEFORE_LIST;
  }

  /** What is known stays known where only a watch came too late; a list that is refused may be so for its version. */
  #forgetVersion({ reason }: ApiFailure): void {
    this.#resourceVersion = undefined;
    if (reason !== "gone" || this.#listed) this.#knownVersion = undefined;
  }

  #becomeCurrent(): void {
    this.#serverErrorsInRow = 0;
    this.#brokenLists = 0;
    this.#record.becomesCurrent();
    this.#options.troubles.current(this.#options.name);
  }

  async #watchList(): Promise<void> {
    this.#startList(true);
    try {
      await this.#watch({ sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" });
    } catch (error) {
      const failure = networkFailure(error);
      if (!this.#listed) throw failure;
      // 400 and 422: before 1.27, or switched off.
      if (failure.reason === "rejected") throw new ApiFailure("unsupported", failure.message);
      if (BREAKS_A_LIST.has(failure.reason) && ++this.#brokenLists >= BROKEN_LISTS_BEFORE_PAGES) {
        this.#watchListRefusedMs = performance.now();
      }
      throw failure;
    }
  }

  async #watch(query: Readonly<Record<string, string>>): Promise<void> {
    const { silenceMs, watchSeconds = WATCH_SECONDS } = this.#options;
    const version = this.#resourceVersion;
    const answer = await this.#get({
      ...query,
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(Math.round(watchSeconds * (1 + Math.random()))),
      ...(version === undefined ? {} : { resourceVersion: version }),
    });
    if (!this.#listed) this.#becomeCurrent();
    const splitter = new LineSplitter(OBJECT_BYTES_MAX);
    const patience = new Patience(answer, silenceMs, "no event");
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        const lines = splitter.push(chunk);
        // Bytes alone are no event: neither noise nor a line without an end may pass for life.
        for (const line of lines) if (this.#event(line)) patience.renew();
      }
    } finally {
      patience.end();
      answer.destroy();
      this.#record.passedOver(splitter.oversized);
    }
    if (this.#listed) throw new ApiFailure("closed", "the list broke off");
  }

  async #list(): Promise<void> {
    this.#startList(false);
    let next = "";
    let version = "";
    let pages = 0;
    do {
      const metadata = await this.#page(next);
      this.#record.heard();
      next = text(field(metadata, "continue"));
      version = text(field(metadata, "resourceVersion"));
      if (++pages > PAGES_MAX) throw new ApiFailure("malformed", `the list has no end after ${PAGES_MAX} pages`);
    } while (next !== "");
    if (version === "") throw new ApiFailure("malformed", "the list has no resourceVersion");
    this.#endList(version);
  }

  /**
   * Servers up to about 1.32 take each page from etcd, where a selector selects nothing: they would read all
   * pods once for every node that asks for its own. A whole list that may be old comes from the server's cache.
   */
  #listQuery(next: string): Readonly<Record<string, string>> {
    const limit = String(PAGE_SIZE);
    if (next !== "") return { limit, continue: next };
    if (!("fieldSelector" in this.#options.query)) return { limit };
    return { resourceVersion: this.#knownVersion ?? "0", resourceVersionMatch: "NotOlderThan" };
  }

  /** Reads one page, or all. @returns its metadata */
  async #page(next: string): Promise<unknown> {
    const answer = await this.#get(this.#listQuery(next));
    const splitter = new ItemSplitter(OBJECT_BYTES_MAX);
    const patience = new Patience(answer, this.#options.silenceMs, "no object of the page");
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        const items = splitter.push(chunk);
        if (items.length > 0) patience.renew();
        for (const item of items) this.#upsert(parseJson(item));
      }
    } finally {
      patience.end();
      answer.destroy();
      this.#record.passedOver(splitter.oversized);
    }
    const frame = parseJson(splitter.frame);
    const rest = field(frame, "items");
    if (!Array.isArray(rest) && rest !== null) throw new ApiFailure("malformed", "a page of the list cannot be read");
    for (const noObject of list(rest)) this.#upsert(noObject);
    return field(frame, "metadata");
  }

  #get(query: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    const { connection, path, silenceMs } = this.#options;
    this.#record.connects();
    const all = { ...this.#options.query, ...query };
    return get(connection, { path, query: all, silenceMs, signal: this.#stop.signal });
  }

  /** @returns whether it is one */
  #event(line: string): boolean {
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
        throw statusFailure(statusCode(object), text(field(object, "message")), undefined);
      default:
        this.#record.passedOver(1);
        return false;
    }
    this.#record.heard();
    const version = text(field(field(object, "metadata"), "resourceVersion"));
    // Within a list, events come in no order of versions: only its end is a place to go on from.
    if (!this.#listed && version !== "") this.#reach(version);
    return true;
  }

  #bookmarkInList(object: unknown): void {
    const metadata = field(object, "metadata");
    if (field(field(metadata, "annotations"), INITIAL_EVENTS_END) !== "true") return;
    this.#endList(text(field(metadata, "resourceVersion")));
    this.#becomeCurrent();
  }

  #upsert(object: unknown): void {
    const trimmed = this.#options.trim(object);
    if (trimmed) {
      this.#listed?.add(trimmed.uid);
      this.#known.add(trimmed.uid);
      this.#options.sink.upsert(trimmed);
    } else {
      this.#record.passedOver(1);
    }
  }

  #remove(uid: string): void {
    this.#listed?.delete(uid);
    if (this.#known.delete(uid)) this.#options.sink.remove(uid);
  }

  #startList(asWatchList: boolean): void {
    this.#record.lists(asWatchList);
    this.#listed = new Set();
  }

  /** What was known and is not in the list has gone while nobody looked. */
  #endList(version: string): void {
    const listed = this.#listed ?? new Set();
    for (const uid of this.#known) if (!listed.has(uid)) this.#remove(uid);
    this.#listed = undefined;
    this.#reach(version === "" ? undefined : version);
    this.#record.listed();
    this.#options.sink.synced();
  }

  #reach(version: string | undefined): void {
    this.#resourceVersion = version;
    this.#knownVersion = version;
  }
}

/** Failures in the middle of a watch-list that pages may not have. */
const BREAKS_A_LIST: ReadonlySet<FailureReason> = new Set(["silent", "malformed", "closed"]);

/** Of a Status object; 0 when it names none. */
function statusCode(object: unknown): number {
  const code = field(object, "code");
  return typeof code === "number" ? code : 0;
}
