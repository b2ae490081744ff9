/**
 * Readings of a program's state → OTLP metrics through the stock SDK and exporter, as in any instrumented
 * program. Names come from the registry.
 *
 * Everything is read at collection time. The exporter says in the log when sending begins to fail and when it
 * works again, not each time.
 */
import { type Attributes, type Meter, type ObservableResult, ValueType } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  AggregationType,
  InstrumentType,
  MeterProvider,
  type MetricReader,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import type { ExportLog } from "../export/export.ts";
import { stockOptions, type TransportOptions } from "../export/transport.ts";
import {
  ATTR_HOST_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
  SCHEMA_URL,
} from "../generated/semconv.ts";
import type { MetricDescriptor, Attributes as ResourceAttributes, Temporality } from "../model.ts";

/** A metric, and what gives its points when it is collected. */
export type Reading<State> = readonly [MetricDescriptor, (state: State, result: ObservableResult) => void];

export interface SelfResource {
  /** service.name, where nothing else is configured. */
  readonly name: string;
  readonly version: string;
  readonly instanceId: string;
  readonly hostName: string;
  readonly nodeName: string | undefined;
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
    ...resource.configured,
  };
}

export interface SelfMetrics {
  /** Collects and sends what there is now. */
  flush(): Promise<void>;
  /** Sends once more, then stops. Does not throw when the Collector is away. */
  shutdown(): Promise<void>;
}

export type SendOptions = TransportOptions & { readonly intervalMs: number; readonly temporality: Temporality };

/** Called when metrics that were collected just now are sent. @returns what is called with the Collector's answer */
export type Sending = () => (accepted: boolean) => void;

/** A reader that sends to the Collector every `intervalMs`. */
export function sendingReader(options: SendOptions, log: ExportLog, sending: Sending = () => () => {}): MetricReader {
  const exporter = new OTLPMetricExporter({
    ...stockOptions(options),
    temporalityPreference:
      options.temporality === "delta" ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
  });
  return new PeriodicExportingMetricReader({
    exporter: new LoggedExporter(exporter, log, sending),
    exportIntervalMillis: options.intervalMs,
    exportTimeoutMillis: Math.min(options.intervalMs, options.timeoutMs ?? 10_000),
  });
}

/** Registers every reading on a provider with this one reader; `meter` takes what else there is. */
export function measure<State>(
  state: State,
  readings: readonly Reading<State>[],
  attributes: ResourceAttributes,
  reader: MetricReader,
): SelfMetrics & { readonly meter: Meter } {
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ ...attributes } as Attributes),
    readers: [reader],
    // The SDK's default bounds are made for milliseconds.
    views: [{ instrumentType: InstrumentType.HISTOGRAM, aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
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

/** The stock exporter, with a word in the log when it begins to fail and when it works again. */
class LoggedExporter implements PushMetricExporter {
  readonly #exporter: OTLPMetricExporter;
  readonly #log: ExportLog;
  readonly #sending: Sending;
  #failing = false;

  constructor(exporter: OTLPMetricExporter, log: ExportLog, sending: Sending) {
    this.#exporter = exporter;
    this.#log = log;
    this.#sending = sending;
  }

  export(metrics: Parameters<PushMetricExporter["export"]>[0], done: (result: ExportResult) => void): void {
    const answered = this.#sending();
    this.#exporter.export(metrics, (result) => {
      answered(result.code === ExportResultCode.SUCCESS);
      const failing = result.code !== ExportResultCode.SUCCESS;
      if (failing && !this.#failing) this.#log.warn({ error: result.error?.message }, "own metrics are not accepted");
      if (!failing && this.#failing) this.#log.info({}, "own metrics are accepted again");
      this.#failing = failing;
      done(result);
    });
  }

  selectAggregationTemporality: NonNullable<PushMetricExporter["selectAggregationTemporality"]> = (instrument) =>
    this.#exporter.selectAggregationTemporality(instrument);

  selectAggregation: NonNullable<PushMetricExporter["selectAggregation"]> = (instrument) =>
    this.#exporter.selectAggregation(instrument);

  forceFlush(): Promise<void> {
    return this.#exporter.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}
