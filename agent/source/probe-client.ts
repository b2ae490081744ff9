/**
 * The live source: a client of the probe's Unix socket that outlives the probe.
 *
 *   connect ─► HELLO checked ─► unconfirmed settles, settings, prefix rules ─► ready ─► broken ─► back-off ──┐
 *      ▲                                                                                                   │
 *      └───────────────────────────────────────────────────────────────────────────────────────────────────┘
 *
 * A broken connection fails the exchange under way and nothing else: what was not settled is still in the
 * kernel, what was settled and not confirmed is sent again before anything else. A probe that owes an
 * answer and is silent is given up like a broken one.
 */

import { FLOWSPAN_PROTOCOL } from "../generated/layout.ts";
import type { Hello, ProbeEvent } from "../model/probe-event.ts";
import type { Logger } from "../shared/logger.ts";
import { keepReconnecting } from "../shared/reconnect.ts";
import { AnswerWatchdog } from "./answer-watchdog.ts";
import { Calls } from "./calls.ts";
import { OUT_OF_ORDER } from "./collector.ts";
import { EXCHANGE_COMMAND, prefixRuleCommands, settingsCommand } from "./commands.ts";
import { ExchangeReader } from "./exchange-reader.ts";
import type { Frame } from "./frames.ts";
import { openSocket, ProbeConnection, type Tap } from "./probe-connection.ts";
import type { ProbeOptions } from "./probe-options.ts";
import { RecordAccount } from "./record-account.ts";
import { Settlements } from "./settlements.ts";
import {
  closedError,
  type ExchangeData,
  type PrefixRule,
  type ProbeSettings,
  type ProbeSource,
  type Settled,
  type SettledRow,
  SourceError,
  type SourceErrorCode,
  type SourceListeners,
  type SourceStats,
} from "./source.ts";

/** A connection that lived this long was a good one: the next pause is the first again. */
const STEADY_MS = 5_000;
/** What a probe may take to start, or to start again, before its absence is worth a line in the log. */
const START_MS = 1_000;

export class ProbeClient implements ProbeSource {
  readonly #path: string;
  readonly #log: Logger;
  readonly #listeners: SourceListeners;
  readonly #tap: Tap | undefined;
  readonly #answerTimeoutMs: number;
  readonly #edgesMax: number | undefined;

  readonly #abort = new AbortController();
  readonly #running: Promise<void>;
  #connection: ProbeConnection | undefined;
  /** Of the connection. */
  #reader: ExchangeReader | undefined;
  /** Of the connection, once it is ready for commands. */
  #hello: Hello | undefined;
  /** Why this connection is being given up, where that was our decision. */
  #reason: SourceError | undefined;
  /** Why there is no connection now, and since when there is none. */
  #trouble = new SourceError("disconnected", "not connected to the probe yet");
  #downSinceMs = performance.now();
  /** The last trouble in the log, until a probe answers again. */
  #logged = "";

  readonly #hellos = new Calls<Hello>();
  readonly #exchanges = new Calls<ExchangeData>();

  readonly #settlements = new Settlements({
    isReady: () => this.#hello !== undefined,
    send: (frames) => this.#send(frames),
    asked: () => this.#watch(),
    count: (failure, by) => this.#count(failure, by),
  });
  #settings: readonly Frame[] = [];
  #prefixRules: readonly Frame[] = [];

  readonly #watchdog: AnswerWatchdog;
  readonly #account: RecordAccount;
  #connects = 0;
  #bytes = 0;
  #frames = 0;
  readonly #failures: Record<string, number> = {};

  /** Begins to connect at once. */
  constructor(options: ProbeOptions) {
    this.#path = options.path;
    this.#log = options.log;
    this.#listeners = options.listeners ?? {};
    this.#account = new RecordAccount(options.pendingRecords ?? (() => 0));
    this.#tap = options.tap;
    this.#answerTimeoutMs = options.answerTimeoutMs ?? 15_000;
    this.#edgesMax = options.edgesMax;
    this.#watchdog = new AnswerWatchdog({
      timeoutMs: this.#answerTimeoutMs,
      owesAnswer: () => this.#owesAnswer,
      onSilence: () => {
        this.#count("answer_timeout");
        this.#giveUp("timeout", this.#timedOut().message);
      },
    });
    this.#running = keepReconnecting(() => this.#session(), {
      backoff: { firstMs: options.backoffMs ?? 100, maxMs: options.backoffMaxMs ?? 10_000 },
      random: options.random ?? Math.random,
      steadyMs: STEADY_MS,
      stop: this.#abort.signal,
      onTrouble: (trouble) => this.#logTrouble(trouble),
    });
  }

  async hello(): Promise<Hello> {
    this.#mustBeOpen();
    return this.#hello ?? this.#hellos.wait(this.#answerTimeoutMs, () => this.#trouble);
  }

  async exchange(): Promise<ExchangeData> {
    await this.hello();
    this.#mustBeOpen();
    if (this.#exchanges.size > 0) throw new Error("exchange() was called while another one is under way");
    this.reportRecords();
    this.#settlements.flush();
    this.#send([EXCHANGE_COMMAND]);
    // The watchdog and the connection's end fail it; a large exchange may take any time.
    const answer = this.#exchanges.wait(NEVER_MS, () => this.#timedOut());
    this.#watch();
    return answer;
  }

  settle(rows: readonly SettledRow[]): void {
    this.#settlements.add(rows);
  }

  async flush(): Promise<Settled> {
    this.#mustBeOpen();
    const why = () => (this.#hello === undefined ? this.#trouble : this.#timedOut());
    return this.#settlements.confirmed(this.#answerTimeoutMs, why);
  }

  settings(settings: ProbeSettings): void {
    this.#settings = [settingsCommand(settings)];
    this.#send(this.#settings);
  }

  prefixRules(rules: readonly PrefixRule[]): void {
    this.#prefixRules = prefixRuleCommands(rules);
    this.#send(this.#prefixRules);
  }

  /**
   * Tells the probe what became of the connection records so far. It does so by itself with each connection, each
   * exchange and at the end; the more often it is called, the less a killed agent leaves in doubt.
   */
  reportRecords(): void {
    if (this.#hello === undefined) return;
    const news = this.#account.news(this.#reader?.records ?? 0);
    if (news !== undefined) this.#send([news]);
  }

  stats(): SourceStats {
    return {
      connects: this.#connects,
      bytes: this.#bytes + (this.#reader?.bytes ?? 0),
      frames: this.#frames + (this.#reader?.frames ?? 0),
      resent: this.#settlements.resent,
      failures: { ...this.#failures },
    };
  }

  /** For how long no probe has been connected, milliseconds; undefined while one is. */
  get awayMs(): number | undefined {
    return this.#hello === undefined ? performance.now() - this.#downSinceMs : undefined;
  }

  async close(): Promise<void> {
    if (!this.#abort.signal.aborted) this.reportRecords();
    this.#abort.abort();
    this.#destroy("closed");
    for (const calls of [this.#hellos, this.#exchanges]) calls.reject(closedError());
    this.#settlements.end(closedError());
    await this.#running;
  }

  /** One connection from its beginning to its end; resolves with the reason why it ended. */
  async #session(): Promise<SourceError> {
    const opened = await openSocket(this.#path, this.#abort.signal).catch((error: Error) => error);
    if (opened instanceof Error) {
      const why = `no probe answers at ${this.#path} (${opened.message}): is flowspan-probe running?`;
      return new SourceError("disconnected", why, { cause: opened });
    }
    this.#connects++;
    const reader = new ExchangeReader(
      {
        event: (event) => this.#take(event),
        exchange: (exchange) => this.#takeExchange(exchange),
        outOfOrder: (kind) => this.#giveUpOrder(kind),
        beyondHello: (why) => this.#giveUp("bad_stream", why),
        failure: (name, count) => this.#count(name, count),
      },
      this.#edgesMax,
    );
    const why = await new Promise<string>((end) => {
      const bytes = (chunk: Buffer) => {
        const failure = reader.read(chunk);
        if (failure !== undefined) this.#destroy(`the probe's stream cannot be split: ${failure}`);
      };
      this.#reader = reader;
      this.#connection = new ProbeConnection(opened, { bytes, end }, this.#tap);
      this.#watch();
    });
    reader.end();
    return this.#disconnected(why);
  }

  /** The exchange under way fails; flushes go on waiting for the next probe. */
  #disconnected(why: string): SourceError {
    const trouble = this.#reason ?? new SourceError("disconnected", `the connection to the probe broke: ${why}`);
    this.#bytes += this.#reader?.bytes ?? 0;
    this.#frames += this.#reader?.frames ?? 0;
    this.#account.end(this.#reader?.records ?? 0);
    this.#reader = undefined;
    this.#connection = undefined;
    this.#hello = undefined;
    this.#reason = undefined;
    this.#downSinceMs = performance.now();
    this.#watchdog.stop();
    this.#exchanges.reject(trouble);
    if (trouble.code === "protocol_mismatch") this.#hellos.reject(trouble);
    return trouble;
  }

  /** Logs a trouble once, however often it comes back in a row; that no probe is there only when it lasts. */
  #logTrouble(trouble: SourceError): void {
    const { code, message, cause } = trouble;
    this.#trouble = trouble;
    const starting = cause !== undefined && performance.now() - this.#downSinceMs < START_MS;
    if (this.#logged === message || starting) return;
    this.#log.warn({ socket: this.#path, code }, message);
    this.#logged = message;
  }

  /** Ends the connection for a reason of ours. */
  #giveUp(code: SourceErrorCode, why: string): void {
    this.#reason ??= new SourceError(code, why);
    this.#destroy(why);
  }

  #destroy(why: string): void {
    this.#reader?.stop();
    this.#connection?.destroy(why);
  }

  #giveUpOrder(kind: ProbeEvent["kind"]): void {
    this.#giveUp("bad_stream", `the probe sent ${kind} out of order`);
  }

  #take(event: ProbeEvent): void {
    if (event.kind !== "connection" && event.kind !== "trouble") this.#watchdog.heard();
    if ("realtimeNs" in event) this.#listeners.clocks?.(event);
    if (this.#hello === undefined) this.#takeFirst(event);
    else if (event.kind === "hello") this.#giveUp("bad_stream", "the probe said HELLO twice");
    else if (event.kind === "connection") this.#listeners.connection?.(event);
    else if (event.kind === "trouble") this.#listeners.troubles?.(event.troubles);
    else if (event.kind === "settled") this.#settlements.take(event);
  }

  #takeFirst(event: ProbeEvent): void {
    if (event.kind !== "hello") {
      this.#giveUp("bad_stream", `the probe began with ${event.kind} instead of HELLO`);
    } else if (event.protocol !== FLOWSPAN_PROTOCOL) {
      this.#count("protocol_mismatch");
      this.#giveUp("protocol_mismatch", mismatch(event.protocol));
    } else {
      this.#hello = event;
      this.#logged = "";
      this.#log.info({ probePid: event.probePid, kernel: event.kernel }, "connected to the probe");
      this.#introduce(event);
      this.#listeners.hello?.(event);
      // A probe that has any sends it behind HELLO.
      this.#listeners.troubles?.([]);
      this.#hellos.resolve(event);
    }
  }

  /** What every new connection sends first: who we are, and the settles that are not confirmed before anything else. */
  #introduce(hello: Hello): void {
    this.reportRecords();
    this.#settlements.begin(hello);
    this.#send(this.#settings);
    this.#send(this.#prefixRules);
  }

  #takeExchange(exchange: ExchangeData): void {
    if (this.#exchanges.size > 0) {
      this.#exchanges.resolve(exchange);
      return;
    }
    this.#count(OUT_OF_ORDER);
    this.#giveUpOrder("exchange-end");
  }

  #send(frames: Iterable<Frame>): void {
    if (this.#hello !== undefined) this.#connection?.send(frames);
  }

  /** While it does, it must say something of it within the time. */
  get #owesAnswer(): boolean {
    return this.#hello === undefined || this.#exchanges.size > 0 || this.#settlements.owesAnswer;
  }

  #watch(): void {
    if (this.#connection !== undefined) this.#watchdog.watch();
  }

  #timedOut(): SourceError {
    return new SourceError("timeout", `the probe did not answer within ${this.#answerTimeoutMs} ms`);
  }

  #mustBeOpen(): void {
    if (this.#abort.signal.aborted) throw closedError();
  }

  #count(failure: string, by = 1): void {
    this.#failures[failure] = (this.#failures[failure] ?? 0) + by;
  }
}

/** The longest time a timer takes. */
const NEVER_MS = 2 ** 31 - 1;

function mismatch(protocol: number): string {
  const older = protocol < FLOWSPAN_PROTOCOL ? "flowspan-probe" : "the flowspan agent";
  return `the probe speaks protocol ${protocol}, this agent ${FLOWSPAN_PROTOCOL}: upgrade ${older}`;
}
