/**
 * From the kernel's records to spans at the Collector, beside the pipeline of metrics, in one direction:
 *
 *   record ─► wall clock ─► queue ─► names ─► span ─► batch ─► retrying transport ─► resolved ─┬─► exemplars
 *                             ▲        │ not there yet                                         └─► ledger
 *                             └────────┘
 *
 * Nothing here holds the metrics up, and nothing of it is in their way when it fails.
 */

import type { Connection } from "../model/connection-record.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { Names } from "../model/names.ts";
import type { InstrumentationScope } from "../otlp/plan.ts";
import type { Transport } from "../otlp/transport.ts";
import type { Logger } from "../shared/logger.ts";
import type { Exemplars } from "./exemplars.ts";
import { type Resolved, SpanExporter, type SpanLimits } from "./export.ts";
import type { Entry, Naming, SpanStats } from "./queue.ts";
import { isInterim, type Span } from "./span.ts";
import { SpanEncoder } from "./span-encoder.ts";
import { type SpanIdentity, SpanNames } from "./span-names.ts";
import { type Moment, WallClock } from "./wall-clock.ts";

export interface SpansOptions {
  readonly transport: Transport;
  /** Makes the request that `transport` takes; left out: OTLP. */
  readonly encode?: (spans: readonly Span[]) => Uint8Array;
  readonly limits: SpanLimits;
  readonly scope: InstrumentationScope;
  readonly log: Logger;
  readonly exemplars?: { readonly into: Exemplars; readonly flowOf: (key: EdgeKey, names: Names) => string };
  /** Some records are no longer pending. */
  readonly onResolved?: () => void;
  /** A clock that only moves forward. */
  readonly nowMs?: () => number;
}

export const END_OF_TIME = 2n ** 63n;

export class Spans {
  readonly #options: SpansOptions;
  readonly #clock: WallClock;
  readonly #exporter: SpanExporter;
  #names: SpanNames | undefined;
  /** CLOCK_BOOTTIME of the last exchange. */
  #exchangedNs = 0n;
  /** Of an edge, under the names that it had last. */
  readonly #flows = new WeakMap<EdgeKey, { readonly names: Names; readonly flow: string }>();

  constructor(options: SpansOptions) {
    const { transport, limits, log, scope, onResolved } = options;
    const encoder = new SpanEncoder(scope);
    this.#options = options;
    this.#clock = new WallClock(options.nowMs ?? (() => performance.now()));
    this.#exporter = new SpanExporter({
      transport,
      encode: options.encode ?? ((spans) => encoder.encode(spans)),
      naming: () => this.#naming(),
      limits,
      log,
      onResolved: (resolved) => {
        this.#offerExemplars(resolved);
        onResolved?.();
      },
    });
  }

  /** Who names the ends; until then all wait. */
  nameBy(identity: SpanIdentity): void {
    this.#names = new SpanNames(identity);
    this.#exporter.namesChanged();
  }

  /** Both clocks at one moment, as the source hears them. */
  clocks(moment: Moment): void {
    this.#clock.read(moment);
  }

  add(connection: Connection): void {
    const offsetNs = this.#clock.offsetNs(connection.endNs) ?? 0n;
    this.#exporter.add({ connection, offsetNs, arrivedMs: this.#clock.nowMs() });
  }

  /** An exchange has brought the names of cgroups. @param bootNs its time, CLOCK_BOOTTIME; END_OF_TIME: no other will come */
  exchanged(bootNs: bigint): void {
    this.#exchangedNs = bootNs;
    this.#exporter.namesChanged();
  }

  stats(): SpanStats {
    return this.#exporter.stats();
  }

  /** Records that have neither become an accepted span nor were dropped yet. */
  get pending(): number {
    return this.#exporter.pending;
  }

  /** For any reason. */
  get dropped(): number {
    return this.#exporter.dropped;
  }

  shutdown(withinMs: number): Promise<void> {
    return this.#exporter.shutdown(withinMs);
  }

  /** Names as of now. */
  #naming(): (entry: Entry) => Naming {
    const names = this.#names;
    if (names === undefined) return () => "pending";
    const nowNs = this.#clock.nowNs();
    return (entry) => names.of(entry, nowNs, this.#exchangedNs);
  }

  #offerExemplars({ accepted }: Resolved): void {
    const { exemplars } = this.#options;
    if (exemplars === undefined) return;
    for (const span of accepted) {
      if (isInterim(span.connection)) continue;
      exemplars.into.offer(this.#flowOf(span, exemplars.flowOf), span, span.connection);
    }
  }

  #flowOf({ connection: { key }, names }: Span, flowOf: (key: EdgeKey, names: Names) => string): string {
    const known = this.#flows.get(key);
    if (known?.names === names) return known.flow;
    const flow = flowOf(key, names);
    this.#flows.set(key, { names, flow });
    return flow;
  }
}
