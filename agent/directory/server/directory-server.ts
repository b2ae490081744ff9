/**
 * The directory's gRPC side: agents' streams in and out.
 *
 *   Ask ──► interests ──► due ──► answers (answering.ts), encoded once ──► every stream that follows the key
 *
 * Answers leave some milliseconds after a change, many in one message. A stream that does not read keeps at
 * most one mark for each of its keys. Streams end on their own after a while, so that replicas share agents.
 */

import { Metadata, Server, type ServiceDefinition, status } from "@grpc/grpc-js";
import type { Feed } from "../../model/cluster-objects.ts";
import { ASK_MAX_BYTES, type Ask, decodeAsk, encodeAnswers, FOLLOW, NOT_READ_YET } from "../protocol.ts";
import { Admission, type AdmissionOptions, type Call, tokenOf } from "./admission.ts";
import { Answering } from "./answering.ts";
import { clusterMessage } from "./answers.ts";
import { askProblem } from "./asked.ts";
import { grpcEndings } from "./grpc-endings.ts";
import type { Follower, Interest, Interests } from "./interests.ts";
import { type DirectoryLimits, LIMITS, sharedExcess, streamExcess } from "./limits.ts";
import { PendingConnections } from "./pending-connections.ts";
import type { Refusal } from "./refusal.ts";
import type { DirectoryStore } from "./store.ts";
import type { StoreStats } from "./store-news.ts";

export interface DirectoryServerOptions extends AdmissionOptions {
  /** `HOST:PORT`; port 0 takes a free one. */
  readonly listen: string;
  /** For logs of agents. */
  readonly replica: string;
  /** How the store's changes were named: agents must name their own pods alike. */
  readonly appLabels: boolean;
  /** CLOCK_BOOTTIME milliseconds, the clock of the store's changes. */
  readonly nowMs: () => number;
  /** Age of what is known of the cluster, milliseconds. */
  readonly ageMs: () => number;
  /** How long a stream lives; the last quarter of it is random. */
  readonly streamMs?: number;
  readonly limits?: Partial<DirectoryLimits>;
}

export interface DirectoryStats extends StoreStats {
  readonly streams: number;
  /** (address, port) pairs that agents follow. */
  readonly keys: number;
  readonly answers: number;
  /**
   * Connections that were not let in, or ended for what they sent, by gRPC status or by a PendingRefusal.
   */
  readonly refusals: Readonly<Record<string, number>>;
}

const ANSWERS_PER_MESSAGE = 256;
const BYTES_PER_MESSAGE = 256 * 1024;
const SWEEP_MS = 10_000;
const HEARTBEAT_MS = 10_000;
const STREAM_MS = 40 * 60_000;
/** Long enough for a stream's last word. */
const DRAIN_MS = 1_000;

class Stream implements Follower {
  readonly wanted = new Set<Interest>();
  readonly due = new Set<Interest>();
  readonly call: Call;
  /** Where it comes from. */
  readonly host: string;
  readonly token: string | undefined;
  /** Where the token's pod runs; undefined: the token does not say so. */
  readonly tokenNode: string | undefined;
  node: string | undefined;
  /** The cluster's part of the answers is due too. */
  clusterDue = true;
  blocked = false;

  constructor(call: Call, tokenNode: string | undefined) {
    this.call = call;
    this.host = call.getPeer().replace(/:\d+$/, "");
    this.token = tokenOf(call);
    this.tokenNode = tokenNode;
  }
}

export class DirectoryServer {
  readonly store: DirectoryStore;
  readonly #options: DirectoryServerOptions;
  readonly #answering: Answering;
  readonly #interests: Interests;
  readonly #streams = new Set<Stream>();
  readonly #closing: (() => void)[] = [];
  readonly #limits: DirectoryLimits;
  readonly #server: Server;
  readonly #pending: PendingConnections;
  readonly #admission: Admission;
  #flushTimer: NodeJS.Timeout | undefined;
  #namesTimer: NodeJS.Timeout | undefined;
  #answers = 0;
  #judging = false;
  readonly #refusals: Record<string, number> = {};

  /** @throws Error that says which setting or file is missing or wrong */
  constructor(feeds: readonly Feed[], options: DirectoryServerOptions) {
    this.#options = options;
    this.#answering = new Answering(feeds, {
      due: (afterMs) => this.#scheduleFlush(afterMs),
      renamed: (afterMs) => {
        this.#namesTimer ??= setTimeout(() => {
          this.#namesTimer = undefined;
          this.#answering.markRenamed();
        }, afterMs);
      },
      cluster: () => {
        for (const stream of this.#streams) this.#markCluster(stream);
      },
    });
    this.store = this.#answering.store;
    this.#interests = this.#answering.interests;
    this.#limits = { ...LIMITS, ...options.limits };
    const { waiting, idleMs } = this.#limits;
    this.#admission = new Admission(options, idleMs);
    this.#pending = new PendingConnections({
      maxWaiting: waiting,
      idleMs,
      onRefusal: (reason) => this.#countRefusal(reason),
    });
    this.#server = new Server({
      "grpc.max_concurrent_streams": 8,
      "grpc.max_connection_idle_ms": 2 * idleMs, // who makes no call is refused and counted before that
      "grpc.max_receive_message_length": ASK_MAX_BYTES,
      "grpc.keepalive_time_ms": 30_000,
      interceptors: [grpcEndings((code) => this.#countRefusal(status[code]))],
    });
    this.#server.addService({ follow: FOLLOW } as ServiceDefinition, {
      follow: (call: Call) => void this.#admit(call),
    });
  }

  /** @returns the port that was taken */
  async listen(): Promise<number> {
    const port = await this.#pending.watch(() => this.#bind());
    const authority = (refusal: Refusal) => this.#endAll(refusal, port);
    this.#closing.push(this.#admission.follow({ authority, tokens: () => void this.#endUnauthenticated() }));
    const every = (ms: number, body: () => void) => {
      const timer = setInterval(body, ms);
      this.#closing.push(() => clearInterval(timer));
    };
    every(SWEEP_MS, () => this.store.sweep(this.#options.nowMs()));
    every(HEARTBEAT_MS, () => this.#heartbeat());
    const { rereadMs: rejudgeMs = SWEEP_MS } = this.#options;
    if (this.#admission.reviews) every(rejudgeMs, () => void this.#endUnauthenticated());
    return port;
  }

  #bind(): Promise<number> {
    const { listen } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(boundTo(listen), this.#admission.credentials, (error, bound) =>
        error
          ? reject(new Error(`cannot listen on ${listen}: ${error.message}: choose another --listen`))
          : resolve(bound),
      );
    });
  }

  stats(): DirectoryStats {
    return {
      ...this.store.stats(),
      streams: this.#streams.size,
      keys: this.#interests.size,
      answers: this.#answers,
      refusals: { ...this.#refusals },
    };
  }

  /** Sends every agent to another replica, then stops listening. */
  async close(): Promise<void> {
    for (const close of this.#closing) close();
    clearTimeout(this.#flushTimer);
    clearTimeout(this.#namesTimer);
    for (const { call } of this.#streams) call.end();
    const late = setTimeout(() => this.#server.forceShutdown(), 2_000);
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    clearTimeout(late);
  }

  async #admit(call: Call): Promise<void> {
    const admitted = await this.#admission.admit(call);
    if (call.cancelled) return;
    const refusal = admitted.refusal ?? this.#unready();
    if (refusal) {
      this.#countRefusal(status[refusal.code]);
      // Nobody may fill the log: agents say it on their side, and it is counted here.
      call.emit("error", { ...refusal, metadata: new Metadata() });
      return;
    }
    this.#pending.admit(call.getPeer());
    const stream = new Stream(call, admitted.refusal ? undefined : admitted.node);
    this.#streams.add(stream);
    this.#shed();
    const { streamMs = STREAM_MS } = this.#options;
    const age = setTimeout(() => call.end(), streamMs * (0.75 + Math.random() / 4));
    const gone = () => {
      clearTimeout(age);
      this.#streams.delete(stream);
      this.#interests.removeAll(stream);
    };
    call.on("data", (bytes: Buffer) => this.#take(stream, bytes));
    call.on("drain", () => {
      stream.blocked = false;
      this.#scheduleFlush(0);
    });
    call.on("end", () => call.end());
    for (const end of ["cancelled", "error", "close", "finish"]) call.on(end, gone);
  }

  /** Why nobody is let in yet. */
  #unready(): Refusal | undefined {
    const { unsynced } = this.store;
    if (unsynced.size === 0) return undefined;
    return { code: status.UNAVAILABLE, details: `${NOT_READ_YET}: ${[...unsynced].join(", ")}` };
  }

  #take(stream: Stream, bytes: Buffer): void {
    let ask: Required<Ask>;
    try {
      ask = decodeAsk(bytes);
    } catch (error) {
      this.#fail(stream, status.INVALID_ARGUMENT, `no Ask: ${(error as Error).message}`);
      return;
    }
    const problem = askProblem(ask);
    if (problem !== undefined) {
      this.#fail(stream, status.INVALID_ARGUMENT, problem);
      return;
    }
    if (stream.node === undefined) {
      stream.node = ask.node;
      const { tokenNode = ask.node } = stream;
      if (tokenNode !== ask.node) {
        const details = `the token is of a pod on ${tokenNode}, and the Ask of ${ask.node || "no node"}`;
        this.#fail(stream, status.PERMISSION_DENIED, details);
        return;
      }
    }
    for (const key of ask.remove) this.#interests.remove(stream, key);
    for (const key of ask.add) this.#interests.add(stream, key);
    const excess = streamExcess(stream);
    if (excess !== undefined) this.#fail(stream, status.RESOURCE_EXHAUSTED, excess);
    this.#shed();
    if (!this.#streams.has(stream)) return;
    this.#interests.due.add(stream);
    this.#scheduleFlush(0);
  }

  /** Ends streams until the rest costs no more than it may. */
  #shed(): void {
    const next = () => sharedExcess(this.#streams, this.#interests, this.#limits);
    for (let over = next(); over; over = next()) this.#fail(over.stream, status.RESOURCE_EXHAUSTED, over.details);
  }

  /** Ends a stream; nothing of it stays. */
  #fail(stream: Stream, code: status, details: string): void {
    this.#streams.delete(stream);
    this.#interests.removeAll(stream);
    this.#countRefusal(status[code]);
    stream.call.emit("error", { code, details, metadata: new Metadata() });
  }

  #countRefusal(reason = "UNKNOWN"): void {
    this.#refusals[reason] = (this.#refusals[reason] ?? 0) + 1;
  }

  #markCluster(stream: Stream): void {
    stream.clusterDue = true;
    this.#interests.due.add(stream);
  }

  #scheduleFlush(afterMs: number): void {
    if (this.#interests.due.size === 0) return;
    this.#flushTimer ??= setTimeout(() => this.#flush(), afterMs);
  }

  #flush(): void {
    this.#flushTimer = undefined;
    const nowMs = this.#options.nowMs();
    const encoded = new Map<Interest, Buffer>();
    for (const follower of this.#interests.due) {
      const stream = follower as Stream;
      if (!stream.blocked) this.#send(stream, encoded, nowMs);
    }
  }

  /** As much as the stream takes now; `drain` brings the rest. */
  #send(stream: Stream, encoded: Map<Interest, Buffer>, nowMs: number): void {
    while (!stream.blocked && (stream.due.size > 0 || stream.clusterDue)) {
      let bytes = 0;
      const parts = [encodeAnswers({ ageMs: this.#options.ageMs(), ...this.#clusterPart(stream, nowMs) })];
      for (const interest of stream.due) {
        let answer = encoded.get(interest);
        if (!answer) {
          answer = this.#answering.encode(interest, nowMs);
          encoded.set(interest, answer);
        }
        stream.due.delete(interest);
        this.#answers++;
        bytes += answer.length;
        if (parts.push(answer) > ANSWERS_PER_MESSAGE || bytes > BYTES_PER_MESSAGE) break;
      }
      stream.blocked = !stream.call.write(Buffer.concat(parts));
    }
    if (stream.due.size === 0) this.#interests.due.delete(stream);
  }

  #clusterPart(stream: Stream, nowMs: number) {
    if (!stream.clusterDue) return {};
    stream.clusterDue = false;
    return { cluster: clusterMessage(this.store, stream.node ?? "", this.#options, nowMs) };
  }

  /** So that agents know how old their names may be, and that we are there. */
  #heartbeat(): void {
    const beat = encodeAnswers({ ageMs: this.#options.ageMs() });
    for (const stream of this.#streams) if (!stream.blocked) stream.blocked = !stream.call.write(beat);
  }

  /** Connections with a certificate of the former authority end: whoever has one of the new authority comes again. */
  #endAll({ code, details }: Refusal, port: number): void {
    for (const stream of [...this.#streams]) this.#fail(stream, code, details);
    this.#server.drain(boundTo(this.#options.listen).replace(/:\d+$/, `:${port}`), DRAIN_MS);
  }

  /** Who came with a token that is gone has to come again with another. One after another: the API server may be asked. */
  async #endUnauthenticated(): Promise<void> {
    if (this.#judging) return;
    this.#judging = true;
    for (const stream of [...this.#streams]) {
      const { refusal } = await this.#admission.judge(stream.token);
      // Where nobody can be asked, who was let in stays until its stream is too old.
      if (refusal === undefined || refusal.code === status.UNAVAILABLE || !this.#streams.has(stream)) continue;
      this.#fail(
        stream,
        refusal.code,
        `the bearer token counts no more, read directory.token_file again: ${refusal.details}`,
      );
    }
    this.#judging = false;
  }
}

function boundTo(listen: string): string {
  return listen.replace(/^:/, "[::]:");
}
