/** The signal of metrics: the pipeline from the kernel's growth to what the Collector has accepted. */
import type { Settings } from "../config/settings.ts";
import type { Identity } from "../model/names.ts";
import type { RequestResult } from "../otlp/flow-exporter.ts";
import type { Transport } from "../otlp/transport.ts";
import type { ExemplarSource } from "../series/series-table.ts";
import type { Log } from "../shared/log.ts";
import type { IntervalClock } from "../shared/ticker.ts";
import { deliverBy, EvidenceStep } from "./evidence-step.ts";
import { makeExporter, NO_EXPORT } from "./flow-export.ts";
import { type FlowSteps, makeFlowSteps } from "./flow-steps.ts";
import { aggregateOptions } from "./options.ts";
import { type PipelineListeners, runPipeline } from "./pipeline.ts";
import type { LossReading, Signal, SignalInputs } from "./signal.ts";

export interface MetricSignalOptions {
  readonly settings: Settings;
  readonly identity: Identity;
  /** Undefined: nothing is sent. It stays open for own metrics until this signal stops. */
  readonly transport: Transport | undefined;
  readonly exemplars: ExemplarSource;
  readonly clock: IntervalClock;
  /** Aborted: one last turn follows. */
  readonly stop: AbortSignal;
  readonly log: Log;
  readonly onResult: (result: RequestResult) => void;
  readonly listeners: PipelineListeners;
}

export class MetricSignal implements Signal {
  readonly #options: MetricSignalOptions;
  readonly #exporter: Parameters<typeof runPipeline>[0]["exporter"] & { shutdown(): Promise<void> };
  readonly #steps: FlowSteps;
  readonly #evidence: EvidenceStep;
  readonly losses: readonly LossReading[];

  constructor(options: MetricSignalOptions) {
    const { settings, identity, transport, exemplars, log, onResult } = options;
    this.#options = options;
    this.#steps = makeFlowSteps(aggregateOptions(settings), identity, exemplars);
    this.#exporter = transport === undefined ? NO_EXPORT : makeExporter(transport, settings, log, onResult);
    const deliver = transport && deliverBy(transport, settings, onResult);
    this.#evidence = new EvidenceStep({ settings, identity, deliver });
    this.losses = [
      ["series_over_budget_detail", () => this.#steps.series.stats().overBudget + this.#evidence.overBudget],
    ];
  }

  /** Of the kernel's edges, which the agent knows by the rows of metrics: coverage, and what `top` shows. */
  get edges(): Pick<FlowSteps["edges"], "coverage" | "blindness" | "snapshot"> {
    return this.#steps.edges;
  }

  async start({ source, identity }: SignalInputs): Promise<void> {
    const { clock, stop, log, listeners } = this.#options;
    await runPipeline({
      ...{ source, identity, steps: this.#steps, exporter: this.#exporter, evidence: this.#evidence },
      ...{ clock, stop, log, listeners },
    });
  }

  stats(): object {
    const { edges, naming, series } = this.#steps;
    const pendingRows = naming.pendingRows + this.#evidence.pendingRows;
    return { edges: edges.size, ...series.stats(), pendingRows };
  }

  async stop(): Promise<void> {
    await this.#exporter.shutdown();
  }
}
