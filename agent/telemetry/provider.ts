/**
 * Readings of a program's state → OTLP metrics through the stock SDK, as in any instrumented program, and the
 * transport that the flows take. Names come from the registry.
 *
 * Everything is read at collection time. The log says when sending begins to fail and when it works again, not each
 * time, and not what the flows' exporter has reported of the same Collector.
 */

import { type Attributes, type Meter, type ObservableResult, ValueType } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  type AggregationOption,
  AggregationType,
  InstrumentType,
  MeterProvider,
  type MetricReader,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import type { MetricDescriptor } from "../generated/semconv.ts";
import {
  ATTR_HOST_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_PROCESS_CREATION_TIME,
  ATTR_PROCESS_PID,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
  SCHEMA_URL,
} from "../generated/semconv.ts";
import type { Attributes as ResourceAttributes } from "../model/attribute.ts";
import type { ExportOutcome } from "../model/export-outcome.ts";
import type { HistogramForm, Temporality } from "../model/flow.ts";
import { EXPLICIT_BOUNDS } from "../otlp/explicit.ts";
import type { Transport } from "../otlp/transport.ts";
import type { Logger } from "../shared/logger.ts";
import { Deltas } from "./deltas.ts";

/** A metric, and what gives its points when it is collected. */
export type Reading<State> = readonly [MetricDescriptor, (state: State, result: ObservableResult) => void];

export interface SelfResource {
  /** service.name, where nothing else is configured. */
  readonly name: string;
  readonly version: string;
  readonly instanceId: string;
  readonly hostName: string;
  readonly nodeName: string | undefined;
  /** Its id where it runs, and when it began: process.* metrics are of this process. */
  readonly process: { readonly pid: number; readonly createdMs: number };
  /** From OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME or the file: these win. */
  readonly configured: ResourceAttributes;
}

export function selfAttributes(resource: SelfResource): ResourceAttributes {
  return {
    [ATTR_SERVICE_NAME]: resource.name,
    [ATTR_SERVICE_VERSION]: resource.version,
    [ATTR_SERVICE_INSTANCE_ID]: resource.instanceId,
    [ATTR_HOST_NAME]: resource.hostName,
    ...(resource.nodeName === undefined ? {} : { [ATTR_K8S_NODE_NAME]: resource.nodeName }),
    [ATTR_PROCESS_PID]: resource.process.pid,
    [ATTR_PROCESS_CREATION_TIME]: new Date(resource.process.createdMs).toISOString(),
    ...resource.configured,
  };
}

export interface SelfMetrics {
  /** Collects and sends what there is now. */
  flush(): Promise<void>;
  /** Sends once more, then stops. Does not throw when the Collector is away. */
  shutdown(): Promise<void>;
}

export interface SendOptions {
  readonly transport: Transport;
  readonly intervalMs: number;
  /** Of one request. */
  readonly timeoutMs?: number;
  /** `low_memory`: own counters are read at each collection (observable), and stay cumulative by OTel's rule. */
  readonly temporality: Temporality | "low_memory";
  readonly histograms?: HistogramForm;
}

/** Called when metrics that were collected just now are sent. @returns what is called with the Collector's answer */
export type Sending = () => (accepted: boolean) => void;

/** A reader that sends to the Collector every `intervalMs`. The transport stays its maker's to shut down. */
export function sendingReader(options: SendOptions, log: Logger, sending: Sending = () => () => {}): MetricReader {
  return new PeriodicExportingMetricReader({
    exporter: new OwnMetricsExporter(options, log, sending),
    exportIntervalMillis: options.intervalMs,
    exportTimeoutMillis: Math.min(options.intervalMs, options.timeoutMs ?? 10_000),
  });
}

const AGGREGATIONS: Readonly<Record<HistogramForm, AggregationOption>> = {
  exponential: { type: AggregationType.EXPONENTIAL_HISTOGRAM },
  explicit: {
    type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
    options: { boundaries: [...EXPLICIT_BOUNDS.handshake.seconds] },
  },
};

/** Registers every reading on a provider with this one reader; `meter` takes what else there is. */
export function measure<State>(
  state: State,
  readings: readonly Reading<State>[],
  attributes: ResourceAttributes,
  reader: MetricReader,
  histograms: HistogramForm = "exponential",
): SelfMetrics & { readonly meter: Meter } {
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ ...attributes } as Attributes),
    readers: [reader],
    // The SDK's default bounds are made for milliseconds.
    views: [{ instrumentType: InstrumentType.HISTOGRAM, aggregation: AGGREGATIONS[histograms] }],
  });
  const meter = provider.getMeter("flowspan", String(attributes[ATTR_SERVICE_VERSION] ?? ""), {
    schemaUrl: SCHEMA_URL,
  });
  for (const [metric, read] of readings) observe(meter, metric, (result) => read(state, result));
  return {
    meter,
    flush: () => provider.forceFlush(),
    shutdown: () => provider.shutdown(),
  };
}

function observe(meter: Meter, metric: MetricDescriptor, callback: (result: ObservableResult) => void): void {
  const options = optionsOf(metric);
  const instrument =
    metric.instrument === "counter"
      ? meter.createObservableCounter(metric.name, options)
      : metric.instrument === "gauge"
        ? meter.createObservableGauge(metric.name, options)
        : meter.createObservableUpDownCounter(metric.name, options);
  instrument.addCallback(callback);
}

/** Seconds and ratios are fractions, everything else is a whole number. */
export function optionsOf({ unit, description }: MetricDescriptor) {
  return { unit, description, valueType: unit === "s" || unit === "1" ? ValueType.DOUBLE : ValueType.INT };
}

class OwnMetricsExporter implements PushMetricExporter {
  readonly #options: SendOptions;
  readonly #log: Logger;
  readonly #sending: Sending;
  readonly #deltas: Deltas | undefined;
  #failing = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: SendOptions, log: Logger, sending: Sending) {
    this.#options = options;
    this.#deltas = options.temporality === "cumulative" ? undefined : new Deltas(options.temporality);
    this.#log = log;
    this.#sending = sending;
  }

  export(metrics: ResourceMetrics, done: (result: ExportResult) => void): void {
    const answered = this.#sending();
    // The SDK gives a late request up and makes the next; deltas of both would be since the same answer.
    this.#turn = this.#turn.then(async () => {
      const accepted = await this.#send(metrics);
      answered(accepted);
      done({ code: accepted ? ExportResultCode.SUCCESS : ExportResultCode.FAILED });
    });
  }

  async #send(cumulative: ResourceMetrics): Promise<boolean> {
    const growth = this.#deltas?.since(cumulative);
    const bytes = ProtobufMetricsSerializer.serializeRequest(growth?.metrics ?? cumulative) ?? new Uint8Array(0);
    const outcome = await this.#options.transport.send(bytes);
    const accepted = outcome.state === "accepted";
    if (accepted) growth?.accept();
    this.#logOutcome(outcome);
    return accepted;
  }

  #logOutcome(outcome: ExportOutcome): void {
    const { target, reportedCauses } = this.#options.transport;
    const failing = outcome.state === "failed";
    if (failing) {
      const { reason, cause = reason, message, remedy } = outcome;
      if (reportedCauses?.isNews(target, cause) ?? true)
        this.#log.warn({ target, reason, message, remedy }, "own metrics are not accepted");
    } else {
      reportedCauses?.isWell(target);
      if (this.#failing) this.#log.info({}, "own metrics are accepted again");
    }
    this.#failing = failing;
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}
}
