/**
 * From the kernel's records to spans at the Collector, beside the pipeline of metrics:
 *
 *   source ── connection ──► wall clock ──► queue ──► names ──► span ──► Collector ──► exemplars ──► flows
 *             (any time)      (its offset)    │  ▲
 *                                             └──┘ names not there yet: asked for again
 *
 * Nothing here holds the metrics up, and nothing of it is in their way when it fails.
 */

import type { Connection } from "../model/connection-record.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { Identified, Identity } from "../model/names.ts";
import type { ExportLog } from "../otlp/flow-exporter.ts";
import type { Transport } from "../otlp/transport.ts";
import type { Exemplars, Measured } from "./exemplars.ts";
import { SpanExporter, type SpanLimits } from "./export.ts";
import { connectionSpanId } from "./ids.ts";
import { encodeSpans, type Scope } from "./otlp.ts";
import type { Entry, NamedEntry, Naming, SpanStats } from "./queue.ts";
import { isStretch, type Names, roleOf, type Span, spanOf } from "./span.ts";
import { type Moment, WallClock } from "./wall-clock.ts";

/** What spans need of the identity: a cgroup's name may come later than its first record. */
export interface SpanIdentity extends Pick<Identity, "identify"> {
  knowsCgroup(id: bigint): boolean;
}

export interface SpansOptions {
  readonly transport: Transport;
  /** Makes the request that `transport` takes; left out: OTLP. */
  readonly encode?: (spans: readonly Span[]) => Uint8Array;
  readonly limits: SpanLimits;
  readonly scope: Scope;
  readonly log: ExportLog;
  /** The longest time until an exchange has told the names of new cgroups. */
  readonly cgroupWaitMs: () => number;
  readonly exemplars?: { readonly into: Exemplars; readonly flowOf: (key: EdgeKey, names: Names) => string };
  /** Some spans are no longer pending. */
  readonly onSettled?: () => void;
  /** A clock that only moves forward. */
  readonly nowMs?: () => number;
}

/** Longer than the identity keeps anything pending by itself. */
const NAMES_WAIT_MS = 120_000;

export class Spans {
  readonly #options: SpansOptions;
  readonly #clock: WallClock;
  readonly #exporter: SpanExporter;
  #identity: SpanIdentity | undefined;

  constructor(options: SpansOptions) {
    const { scope, onSettled = () => {}, encode = (spans) => encodeSpans(spans, scope) } = options;
    this.#options = options;
    this.#clock = new WallClock(options.nowMs ?? (() => performance.now()));
    this.#exporter = new SpanExporter({
      transport: options.transport,
      encode: (entries) => encode(entries.map(spanOfEntry)),
      name: (entry) => this.#name(entry),
      limits: options.limits,
      log: options.log,
      onAccepted: (entries) => this.#offerExemplars(entries),
      onSettled,
    });
  }

  /** Who names the ends; until then all wait. */
  nameBy(identity: SpanIdentity): void {
    this.#identity = identity;
    this.#exporter.namesChanged();
  }

  /** Both clocks at one moment, as the source hears them. */
  clocks(moment: Moment): void {
    this.#clock.read(moment);
  }

  add(connection: Connection): void {
    const offsetNs = this.#clock.offsetNs(connection.endNs) ?? 0n;
    this.#exporter.add({ connection, offsetNs, arrivedNs: this.#clock.nowNs() });
  }

  /** An exchange has brought the names of cgroups. */
  exchanged(): void {
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

  #name({ connection, arrivedNs }: Entry): Naming {
    const identity = this.#identity;
    if (identity === undefined) return "pending";
    const { key, startNs, endNs } = connection;
    const nowNs = this.#clock.nowNs();
    const waitedMs = Number(nowNs - arrivedNs) / 1e6;
    if (!identity.knowsCgroup(key.cgroup) && waitedMs < this.#options.cgroupWaitMs()) return "pending";
    const answer: Identified = identity.identify(key, startNs, endNs, nowNs);
    if (answer.state === "named") return answer;
    return waitedMs < NAMES_WAIT_MS ? "pending" : "unnamed";
  }

  #offerExemplars(entries: readonly NamedEntry[]): void {
    const { exemplars } = this.#options;
    if (exemplars === undefined) return;
    for (const { connection, names, offsetNs } of entries) {
      if (isStretch(connection)) continue;
      const { key, traceId, endNs } = connection;
      const spanId = connectionSpanId(traceId, roleOf(connection));
      const span = { traceId, spanId, endUnixNs: endNs + offsetNs };
      exemplars.into.offer(exemplars.flowOf(key, names), span, measuredBy(connection));
    }
  }
}

function spanOfEntry({ connection, names, offsetNs }: NamedEntry): Span {
  return spanOf(connection, names, offsetNs);
}

function measuredBy({ handshakeUs, lastRttUs, retransmits }: Connection): Measured {
  return {
    handshake: handshakeUs === 0 ? undefined : handshakeUs / 1e6,
    rtt: lastRttUs === 0 ? undefined : lastRttUs / 1e6,
    retransmits: retransmits === 0 ? undefined : retransmits,
  };
}
