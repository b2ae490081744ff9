/**
 * A recording as a source: the same decoder and the same exchanges as live, without a kernel.
 *
 * Plays as fast as it is asked. Times are the recorded ones. Settings and prefix rules do nothing: what they
 * would have changed has happened. Settles are kept in a ledger, so that growth is neither reported twice nor
 * lost when the replaying pipeline settles other exchanges than the recorded one did.
 */
import { FLOWSPAN_PROTOCOL, FrameKind } from "../generated/layout.ts";
import type { Hello, ProbeEvent } from "../model/probe-event.ts";
import { prefixRuleCommands } from "../source/commands.ts";
import { ExchangeReader } from "../source/exchange-reader.ts";
import type { DecodeFailure } from "../source/frame-decoder.ts";
import { FrameSplitter } from "../source/frames.ts";
import {
  closedError,
  type ExchangeData,
  type PrefixRule,
  type ProbeSettings,
  type ProbeSource,
  type Settled,
  type SettledRow,
  SourceError,
  type SourceListeners,
  type SourceStats,
} from "../source/source.ts";
import { type Entry, EntryKind, RecordingDamage, readEntries } from "./container.ts";
import { EvidenceLedger } from "./evidence-ledger.ts";
import { readChunks } from "./recorded-bytes.ts";
import { LedgerImbalance, SettleLedger } from "./settle-ledger.ts";

export interface ReplayOptions {
  /** A file that `--record` wrote; gzip is known by its content. */
  readonly path: string;
  readonly listeners?: SourceListeners;
  /** As in ProbeOptions. */
  readonly edgesMax?: number;
}

/** One recorded connection. */
interface Connection {
  readonly fromProbe: ExchangeReader;
  readonly toProbe: FrameSplitter;
  /** Frames to the probe. */
  commands: number;
  /** The probe has introduced itself. */
  hasHello: boolean;
  /** Commanded and not answered yet. */
  asked: boolean;
}

/** A failure by its name, how often, and where the first one is. */
export interface Unread {
  readonly name: string;
  count: number;
  /** The entry that it is in, in uncompressed bytes of the file. */
  readonly at: number;
  /** Counted from 1 in one direction of a recorded connection. */
  readonly frame: number;
}

interface Outcome {
  readonly exchange: ExchangeData;
  /** Of the entry that completed it. */
  readonly at: number;
}

export class ReplaySource implements ProbeSource {
  readonly #listeners: SourceListeners;
  readonly #entries: AsyncGenerator<Entry>;
  readonly #ledger = new SettleLedger();
  readonly #evidence = new EvidenceLedger();
  #connection: Connection;
  #hello: Hello | undefined;
  /** What the entries read so far have yielded and nobody has asked for yet. */
  readonly #outcomes: (Outcome | SourceError)[] = [];
  /** Times of the exchanges handed out, for settles. */
  #bootNs = 0n;
  #ended = false;
  #isClosed = false;
  /** exchange() reads on. */
  #isAsked = false;
  #settledRows = 0;
  #connects = 0;
  /** Of connections before this one. */
  #bytes = 0;
  #frames = 0;
  readonly #unread = new Map<string, Unread>();
  readonly #edgesMax: number | undefined;
  /** Where the entry under way begins. */
  #at = 0;

  constructor(options: ReplayOptions) {
    this.#edgesMax = options.edgesMax;
    this.#connection = this.#newConnection();
    this.#listeners = options.listeners ?? {};
    this.#entries = readEntries(readChunks(options.path), FLOWSPAN_PROTOCOL);
  }

  async hello(): Promise<Hello> {
    this.#mustBeOpen();
    while (this.#hello === undefined && (await this.#step()));
    this.#mustBeOpen();
    if (this.#hello === undefined)
      throw (
        this.#error() ??
        new SourceError("disconnected", `the recording holds no HELLO, its last entry is at byte ${this.#at}`)
      );
    return this.#hello;
  }

  async exchange(): Promise<ExchangeData | undefined> {
    this.#mustBeOpen();
    if (this.#isAsked) throw new Error("exchange() was called while another one is under way");
    this.#isAsked = true;
    while (this.#outcomes.length === 0 && (await this.#step()));
    this.#isAsked = false;
    this.#mustBeOpen();
    const outcome = this.#outcomes.shift();
    if (outcome === undefined || outcome instanceof SourceError) {
      if (outcome !== undefined) throw outcome;
      return undefined;
    }
    const { exchange, at } = outcome;
    this.#bootNs = exchange.end.bootNs;
    return { ...exchange, ...this.#replayed(exchange, at) };
  }

  #replayed({ rows, evidence, begin }: ExchangeData, at: number): Pick<ExchangeData, "rows" | "evidence"> {
    try {
      return {
        rows: this.#ledger.rows(rows, begin.exchange),
        evidence: { ...evidence, rows: this.#evidence.rows(evidence.rows, begin.exchange) },
      };
    } catch (error) {
      if (!(error instanceof LedgerImbalance)) throw error;
      this.#ended = true;
      const { message } = new RecordingDamage(at, `in exchange ${begin.exchange}, ${error.message}`);
      throw new SourceError("recording_damaged", message, { cause: error });
    }
  }

  settle(rows: readonly SettledRow[]): void {
    for (const { row, isEvidence } of rows) {
      const payload = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
      const failure =
        isEvidence === true ? this.#evidence.replayed(payload) : this.#ledger.replayed(payload, this.#bootNs);
      if (failure === undefined) this.#settledRows++;
      else this.#count(failure);
    }
  }

  async flush(): Promise<Settled> {
    this.#mustBeOpen();
    const rows = this.#settledRows;
    this.#settledRows = 0;
    return { rows, unknown: 0, refused: 0 };
  }

  settings(_settings: ProbeSettings): void {}

  prefixRules(rules: readonly PrefixRule[]): void {
    prefixRuleCommands(rules);
  }

  stats(): SourceStats {
    return {
      connects: this.#connects,
      bytes: this.#bytes + this.#connection.fromProbe.bytes,
      frames: this.#frames + this.#connection.fromProbe.frames,
      resent: 0,
      failures: Object.fromEntries([...this.#unread.values()].map(({ name, count }) => [name, count])),
    };
  }

  /** What could not be read so far, by name. */
  unread(): Unread[] {
    return [...this.#unread.values()];
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#isClosed = true;
    await this.#entries.return(undefined);
  }

  /** The damage at which the recording ends. Connections that broke before may have no HELLO either. */
  #error(): SourceError | undefined {
    const errors = this.#outcomes.filter((outcome) => outcome instanceof SourceError);
    return errors.find(({ code }) => code === "recording_damaged");
  }

  /** Plays one entry. False at the end of the recording. */
  async #step(): Promise<boolean> {
    if (this.#ended) return false;
    try {
      const next = await this.#entries.next();
      if (next.done === true) this.#ended = true;
      else this.#play(next.value);
    } catch (error) {
      this.#ended = true;
      const why = error instanceof RecordingDamage ? error.message : `cannot read the recording: ${String(error)}`;
      this.#outcomes.push(new SourceError("recording_damaged", why, { cause: error }));
    }
    return true;
  }

  #play(entry: Entry): void {
    this.#at = entry.at;
    switch (entry.kind) {
      case EntryKind.CONNECTED:
        this.#connects++;
        this.#begin();
        break;
      case EntryKind.FROM_PROBE:
        this.#connection.fromProbe.read(entry.bytes);
        break;
      case EntryKind.TO_PROBE:
        this.#toProbe(entry.bytes);
        break;
      case EntryKind.DISCONNECTED:
        this.#disconnected();
    }
  }

  #take(event: ProbeEvent): void {
    this.#expectHello(event);
    if ("realtimeNs" in event) this.#listeners.clocks?.(event);
    if (event.kind === "hello") this.#takeHello(event);
    else if (event.kind === "connection") this.#listeners.connection?.(event);
    else if (event.kind === "trouble") this.#listeners.troubles?.(event.troubles);
  }

  /** As a live source, which ends the connection. */
  #expectHello(event: ProbeEvent): void {
    if (event.kind !== "hello") {
      if (!this.#connection.hasHello) throw this.#damage(`the probe began with ${event.kind} instead of HELLO`);
      return;
    }
    if (this.#connection.hasHello) throw this.#damage("the probe said HELLO twice");
    if (event.protocol !== FLOWSPAN_PROTOCOL) throw this.#damage(`HELLO has protocol ${event.protocol}`);
    this.#connection.hasHello = true;
  }

  #damage(why: string): RecordingDamage {
    return new RecordingDamage(this.#at, `frame ${this.#frame} of connection ${this.#connects}: ${why}`);
  }

  get #frame(): number {
    return this.#connection.fromProbe.frames;
  }

  #takeHello(hello: Hello): void {
    if (this.#hello !== undefined && this.#hello.startedNs !== hello.startedNs) {
      this.#ledger.clear();
      this.#evidence.clear();
    }
    this.#hello = hello;
    this.#listeners.hello?.(hello);
  }

  #takeExchange(exchange: ExchangeData): void {
    this.#connection.asked = false;
    this.#outcomes.push({ exchange, at: this.#at });
  }

  #toProbe(bytes: Buffer): void {
    const failure = this.#connection.toProbe.push(bytes, (kind, payload) => this.#command(kind, payload));
    if (failure !== undefined) this.#count(failure, 1, this.#connection.commands + 1);
  }

  #command(kind: number, payload: Buffer): void {
    this.#connection.commands++;
    if (kind === FrameKind.COMMAND_EXCHANGE) this.#connection.asked = true;
    const failure = this.#recordedSettle(kind, payload);
    if (failure !== undefined) this.#count(failure, 1, this.#connection.commands);
  }

  #recordedSettle(kind: number, payload: Buffer): DecodeFailure | undefined {
    if (kind === FrameKind.COMMAND_SETTLE) return this.#ledger.recorded(payload);
    return kind === FrameKind.COMMAND_SETTLE_EVIDENCE ? this.#evidence.recorded(payload) : undefined;
  }

  #disconnected(): void {
    const { fromProbe, asked } = this.#connection;
    fromProbe.end();
    if (asked) this.#outcomes.push(new SourceError("disconnected", "the recorded connection to the probe broke"));
    this.#begin();
  }

  #begin(): void {
    this.#bytes += this.#connection.fromProbe.bytes;
    this.#frames += this.#connection.fromProbe.frames;
    this.#connection = this.#newConnection();
  }

  #newConnection(): Connection {
    const fromProbe = new ExchangeReader(
      {
        event: (event) => this.#take(event),
        exchange: (exchange) => this.#takeExchange(exchange),
        // Counted by the reader; what comes next may be whole.
        outOfOrder: () => {},
        beyondHello: (why) => {
          throw this.#damage(why);
        },
        failure: (name, count) => this.#count(name, count),
      },
      this.#edgesMax,
    );
    return { fromProbe, toProbe: new FrameSplitter(), commands: 0, hasHello: false, asked: false };
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw closedError();
  }

  #count(name: string, by = 1, frame = this.#frame): void {
    const known = this.#unread.get(name);
    if (known !== undefined) known.count += by;
    else this.#unread.set(name, { name, count: by, at: this.#at, frame });
  }
}
