/**
 * One connection's bytes from the probe → events and whole exchanges. Live and from a recording alike.
 *
 *   bytes ─► frames ─► events ─┬─► event(): HELLO, records, answers, and each part of an exchange as it comes
 *                              └─► exchange(): all of one, its rows in pages of their own
 *
 * Never throws: what cannot be used is counted by name. Says nothing of what should come when; that is for whoever
 * reads.
 */
import type { ProbeEvent } from "../model/probe-event.ts";
import { BEYOND_HELLO, ExchangeCollector, OUT_OF_ORDER } from "./collector.ts";
import { FRAMES } from "./decode.ts";
import { FrameSplitter, type SplitFailure } from "./frames.ts";
import type { ExchangeData } from "./source.ts";

export interface ReaderSink {
  /** Each event as it comes, also those that become part of an exchange after it. */
  event(event: ProbeEvent): void;
  exchange(exchange: ExchangeData): void;
  /** An exchange's parts came in another order than the contract's, or one that nobody began. */
  outOfOrder(kind: ProbeEvent["kind"]): void;
  /** More came than a probe with the edge table of its HELLO sends: whoever reads must end the connection. */
  beyondHello(why: string): void;
  /** Something came that cannot be used. */
  failure(name: string, count: number): void;
}

export class ExchangeReader {
  readonly #sink: ReaderSink;
  readonly #splitter = new FrameSplitter();
  readonly #collector: ExchangeCollector;
  #stopped = false;
  bytes = 0;
  frames = 0;
  /** Frames of records, also of those that could not be decoded. */
  records = 0;

  /** @param edgesMax edges of an exchange, whatever HELLO has room for; undefined: what a probe can have */
  constructor(sink: ReaderSink, edgesMax?: number) {
    this.#sink = sink;
    this.#collector = new ExchangeCollector(edgesMax);
  }

  /** @returns why the stream cannot be split any further; undefined while it can */
  read(chunk: Buffer): SplitFailure | undefined {
    this.bytes += chunk.length;
    const failure = this.#splitter.push(chunk, (kind, payload) => this.#take(kind, payload));
    if (failure === undefined || this.#stopped) return undefined;
    this.#sink.failure(failure, 1);
    return failure;
  }

  /** Whoever reads has given the connection up: nothing more of it is passed on. */
  stop(): void {
    this.#stopped = true;
  }

  /** The connection has ended. */
  end(): void {
    if (this.#splitter.pendingBytes > 0) this.#sink.failure("frame_cut", 1);
  }

  #take(kind: number, payload: Buffer): void {
    this.frames++;
    if (FRAMES.isRecord(kind)) this.records++;
    const event = FRAMES.decode(kind, payload, this.#collector.pages);
    if (typeof event === "string") this.#sink.failure(event, 1);
    else if (!this.#stopped) this.#pass(event);
  }

  #pass(event: ProbeEvent): void {
    this.#sink.event(event);
    // It may have been the event that made the reader stop.
    const result = this.#stopped ? undefined : this.#collector.take(event);
    if (result === undefined) return;
    if (result === OUT_OF_ORDER) {
      this.#sink.failure(OUT_OF_ORDER, 1);
      this.#sink.outOfOrder(event.kind);
      return;
    }
    if (result === BEYOND_HELLO) {
      this.#sink.failure(BEYOND_HELLO, 1);
      this.#sink.beyondHello(
        `the probe sent more frames of kind ${event.kind} than its HELLO allows, or probe.edges here: where it is rightly so many edges, set that to the probe's own`,
      );
      return;
    }
    this.#sink.exchange(result);
    const missing = result.end.edges - result.rows.length;
    if (missing !== 0 && !this.#stopped) this.#sink.failure("row_missing", Math.abs(missing));
  }
}
