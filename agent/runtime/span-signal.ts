/** The signal of spans: records of connections, beside the pipeline of metrics. */

import type { ReportedCauses } from "../otlp/reported-causes.ts";
import { createTransport, type Transport } from "../otlp/transport.ts";
import { attributeSetKey } from "../series/attribute-set.ts";
import type { Log } from "../shared/log.ts";
import type { SourceListeners } from "../source/source.ts";
import type { Exemplars } from "../spans/exemplars.ts";
import { DROP_REASONS, type DropReason, type SpanStats } from "../spans/queue.ts";
import { Spans } from "../spans/spans.ts";
import { UnreportedDrops } from "../spans/unreported-drops.ts";
import type { AgentLoss } from "../telemetry/losses.ts";
import type { Sending } from "../telemetry/provider.ts";
import { SCOPE } from "./instrumentation-scope.ts";
import { aggregateOptions, spanLimits, transportOptions } from "./options.ts";
import type { LiveConfig } from "./reload.ts";
import type { LossReading, Signal, SignalInputs } from "./signal.ts";

export interface SpanSignalOptions {
  readonly live: LiveConfig;
  readonly reportedCauses: ReportedCauses;
  /** Where accepted spans are offered as exemplars of flows. */
  readonly exemplars: Exemplars;
  readonly log: Log;
}

/** What the spans' queue gets when the agent ends, after the last exchange. */
const LAST_MS = 5_000;

/** A disabled agent asks for no records. */
const NO_TRANSPORT: Transport = {
  target: "nowhere",
  send: async () => ({ state: "failed", reason: "disabled", retryable: false, retryAfterMs: undefined }),
  shutdown: async () => undefined,
};

export class SpanSignal implements Signal {
  readonly #spans: Spans;
  readonly #unreported: UnreportedDrops;
  /** Where what became of records is reported. */
  #ledger: Pick<SignalInputs["source"], "reportRecords"> | undefined;
  readonly losses: readonly LossReading[];
  /** What this signal hears of the source. */
  readonly listeners: Required<Pick<SourceListeners, "connection" | "clocks">>;

  /** Nothing is connected before the first span. */
  constructor({ live, reportedCauses, exemplars, log }: SpanSignalOptions) {
    const { settings } = live;
    const options = aggregateOptions(settings);
    const isSent = !settings.disabled && settings.traces.exporter !== "none";
    const spans = new Spans({
      transport: isSent ? createTransport(transportOptions(live, "traces"), "traces", reportedCauses) : NO_TRANSPORT,
      limits: spanLimits(settings),
      scope: SCOPE,
      log,
      exemplars: { into: exemplars, flowOf: (key, names) => attributeSetKey(key, names, options) },
      onResolved: () => this.#ledger?.reportRecords(),
    });
    this.#spans = spans;
    this.#unreported = new UnreportedDrops(() => spans.dropped);
    this.listeners = {
      connection: (connection) => spans.add(connection),
      clocks: (moment) => spans.clocks(moment),
    };
    this.losses = Object.entries(DROP_REASONS).map(([reason, loss]): [AgentLoss, () => number] => [
      loss,
      () => spans.stats().dropped[reason as DropReason],
    ]);
  }

  /** Records that came and are neither accepted nor counted as lost by an accepted request. */
  get pendingRecords(): number {
    return this.#spans.pending + this.#unreported.count;
  }

  /** For own metrics: the drops that they report count as reported when they are accepted. */
  get sending(): Sending {
    return () => this.#unreported.sending();
  }

  async start({ source, identity }: SignalInputs): Promise<void> {
    this.#ledger = source;
    this.#spans.nameBy(identity);
  }

  /** An exchange has brought the names of cgroups. @param bootNs its time, CLOCK_BOOTTIME */
  exchanged(bootNs: bigint): void {
    this.#spans.exchanged(bootNs);
  }

  stats(): SpanStats {
    return this.#spans.stats();
  }

  stop(): Promise<void> {
    return this.#spans.shutdown(LAST_MS);
  }
}
