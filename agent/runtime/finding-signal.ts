/**
 * The signal of findings: what edges and namespaces' counters show to be wrong, as log records and as a metric, beside the
 * pipeline of metrics, whose steps it watches and never changes.
 */
import type { Growth } from "../edges/edge-table.ts";
import { Findings } from "../findings/all-findings.ts";
import type { Brought } from "../findings/evidence-of.ts";
import type { FindingSnapshot, StartedFindings } from "../model/active-finding.ts";
import type { LogStats } from "../model/log-record.ts";
import type { LocalEnd } from "../model/names.ts";
import { ActiveFindingsExporter } from "../otlp/active-findings.ts";
import { LOG_LOSSES, LogExporter } from "../otlp/log-exporter.ts";
import { encodeLogs } from "../otlp/log-request.ts";
import type { ReportedCauses } from "../otlp/reported-causes.ts";
import { createTransport, type Transport } from "../otlp/transport.ts";
import type { Log } from "../shared/log.ts";
import type { ExchangeData } from "../source/source.ts";
import { SCOPE } from "./instrumentation-scope.ts";
import { logLimits, transportOptions } from "./options.ts";
import type { LiveConfig } from "./reload.ts";
import type { LossReading, Signal } from "./signal.ts";

export interface FindingSignalOptions {
  readonly live: LiveConfig;
  readonly reportedCauses: ReportedCauses;
  /** The metrics' own, for flowspan.findings.active; undefined: no metric is exported. It stays its maker's to shut down. */
  readonly metrics: Transport | undefined;
  /** What findings of the node are about. */
  readonly node: () => LocalEnd;
  readonly log: Log;
}

/** What log records get when the agent ends, after the last exchange. */
const LAST_MS = 5_000;

export class FindingSignal implements Signal {
  readonly #findings: Findings;
  /** Undefined: no log record is made. */
  readonly #logs: LogExporter | undefined;
  readonly #active: ActiveFindingsExporter | undefined;
  readonly losses: readonly LossReading[];
  #timeUnixNs = 0n;

  /** Nothing is connected before the first finding. */
  constructor({ live, reportedCauses, metrics, node, log }: FindingSignalOptions) {
    const { disabled, logs } = live.settings;
    this.#findings = new Findings(() => live.settings.findings, node);
    if (!disabled && logs.exporter === "otlp") {
      this.#logs = new LogExporter({
        transport: createTransport(transportOptions(live, "logs"), "logs", reportedCauses),
        encode: (records) => encodeLogs(records, SCOPE),
        limits: logLimits(live.settings),
        log,
      });
    }
    this.#active = metrics === undefined ? undefined : new ActiveFindingsExporter(metrics, SCOPE, log);
    this.losses = [
      ["finding_left_out", () => this.#findings.leftOut],
      ...LOG_LOSSES.map((loss): LossReading => [loss, () => this.#logs?.stats().dropped[loss] ?? 0]),
    ];
  }

  /** Of the pipeline: an exchange's edges have got their names. */
  judge(growth: Growth, exchange: Pick<ExchangeData, "namespaces" | "evidence">, troubles: Brought["troubles"]): void {
    this.#timeUnixNs = growth.clock.timeUnixNs;
    // Also where no log record is made: the metric is.
    const { namespaces, evidence } = exchange;
    const { neighbourTables } = evidence;
    const records = this.#findings.observe(growth, { namespaces, neighbourTables, troubles });
    this.#logs?.add(records);
    this.#active?.send(this.#findings.active(), growth.clock.timeUnixNs);
  }

  /** For own metrics: undefined where no log record is made. */
  get logs(): LogStats | undefined {
    return this.#logs?.stats();
  }

  /** Since the agent started, by name. */
  started(): readonly StartedFindings[] {
    return this.#findings.started();
  }

  /** Active ones, for `flowspan top`. */
  snapshot(): readonly FindingSnapshot[] {
    return this.#findings.snapshot();
  }

  /** Everything comes through `judge`. */
  async start(): Promise<void> {}

  stats(): object {
    return {
      active: this.snapshot(),
      started: this.started(),
      leftOut: this.#findings.leftOut,
      logs: this.logs ?? null,
    };
  }

  /** Ends what is active and sends that. */
  async stop(): Promise<void> {
    const records = this.#findings.end();
    this.#logs?.add(records);
    await Promise.all([this.#logs?.shutdown(LAST_MS), this.#active?.end(this.#timeUnixNs)]);
  }
}
