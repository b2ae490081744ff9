/**
 * The agent's own metrics: what it costs, what it lost, and whether it gets its data out.
 *
 * SDK and exporter are the stock ones, as in any instrumented program; names come from the registry.
 * Everything that SelfState keeps is read at collection time; only durations are recorded as they happen.
 * Kernel losses stand as the kernel has them, since its maps were made: what was lost while no agent ran
 * must show too.
 */
import { type Attributes, type Histogram, type Meter, type ObservableResult, ValueType } from "@opentelemetry/api";
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
  ATTR_CPU_MODE,
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_BPF_PROGRAM_NAME,
  ATTR_FLOWSPAN_LOSS_REASON,
  ATTR_FLOWSPAN_METADATA_FEED,
  ATTR_FLOWSPAN_NETNS,
  ATTR_HOST_NAME,
  ATTR_K8S_NODE_NAME,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
  CPU_MODE_VALUE_SYSTEM,
  CPU_MODE_VALUE_USER,
  METRIC_FLOWSPAN_BPF_PROGRAM_RECURSION_MISSES,
  METRIC_FLOWSPAN_BPF_PROGRAM_RUN_TIME,
  METRIC_FLOWSPAN_BPF_PROGRAM_RUNS,
  METRIC_FLOWSPAN_CGROUPS_USAGE,
  METRIC_FLOWSPAN_COVERAGE_CONNECTIONS,
  METRIC_FLOWSPAN_COVERAGE_SEGMENTS,
  METRIC_FLOWSPAN_EDGES_EVICTED,
  METRIC_FLOWSPAN_EDGES_LIMIT,
  METRIC_FLOWSPAN_EDGES_USAGE,
  METRIC_FLOWSPAN_EXCHANGE_DURATION,
  METRIC_FLOWSPAN_EXPORT_DURATION,
  METRIC_FLOWSPAN_EXPORT_IO,
  METRIC_FLOWSPAN_EXPORT_POINTS,
  METRIC_FLOWSPAN_EXPORT_POINTS_REJECTED,
  METRIC_FLOWSPAN_EXPORT_REQUESTS,
  METRIC_FLOWSPAN_LOSSES,
  METRIC_FLOWSPAN_METADATA_AGE,
  METRIC_FLOWSPAN_METADATA_LISTS,
  METRIC_FLOWSPAN_METADATA_OBJECTS,
  METRIC_FLOWSPAN_METADATA_RECONNECTS,
  METRIC_FLOWSPAN_PROBE_CPU_TIME,
  METRIC_FLOWSPAN_PROBE_MEMORY_USAGE,
  METRIC_FLOWSPAN_PROBE_RECORDS,
  METRIC_FLOWSPAN_PROBE_SOCKETS_ADOPTED,
  METRIC_FLOWSPAN_SPANS_ACCEPTED,
  METRIC_FLOWSPAN_SPANS_DROPPED,
  METRIC_FLOWSPAN_SPANS_LIMIT,
  METRIC_FLOWSPAN_SPANS_OBSERVED,
  METRIC_FLOWSPAN_SPANS_PENDING,
  METRIC_FLOWSPAN_WALK_DURATION,
  METRIC_FLOWSPAN_WALK_SOCKETS,
  METRIC_PROCESS_CPU_TIME,
  METRIC_PROCESS_MEMORY_USAGE,
  SCHEMA_URL,
} from "../generated/semconv.ts";
import type { MetricDescriptor, Attributes as ResourceAttributes, Temporality } from "../model.ts";
import { DROP_REASONS, type DropReason, type SpanStats } from "../spans/queue.ts";
import type { DurationListeners, SelfState } from "./state.ts";

export interface SelfResource {
  readonly version: string;
  readonly instanceId: string;
  readonly hostName: string;
  readonly nodeName: string | undefined;
  /** From OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME or the file: these win. */
  readonly configured: ResourceAttributes;
}

export function selfAttributes(resource: SelfResource): ResourceAttributes {
  return {
    [ATTR_SERVICE_NAME]: "flowspan",
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

/**
 * Begins to send the metrics of `state` every `intervalMs`.
 *
 * @param log told when sending begins to fail and when it works again
 */
export function startSelfMetrics(
  state: SelfState,
  attributes: ResourceAttributes,
  options: TransportOptions & { readonly intervalMs: number; readonly temporality: Temporality },
  log: ExportLog,
): SelfMetrics {
  const exporter = new OTLPMetricExporter({
    ...stockOptions(options),
    temporalityPreference:
      options.temporality === "delta" ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE,
  });
  const reader = new PeriodicExportingMetricReader({
    exporter: new LoggedExporter(exporter, log),
    exportIntervalMillis: options.intervalMs,
    exportTimeoutMillis: Math.min(options.intervalMs, options.timeoutMs ?? 10_000),
  });
  return measureSelf(state, attributes, reader);
}

/** Registers every instrument on a provider with this one reader. */
export function measureSelf(state: SelfState, attributes: ResourceAttributes, reader: MetricReader): SelfMetrics {
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ ...attributes } as Attributes),
    readers: [reader],
    // The SDK's default bounds are made for milliseconds.
    views: [{ instrumentType: InstrumentType.HISTOGRAM, aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });
  const meter = provider.getMeter("flowspan", String(attributes[ATTR_SERVICE_VERSION] ?? ""), {
    schemaUrl: SCHEMA_URL,
  });
  for (const [metric, read] of READINGS) observe(meter, metric, (result) => read(state, result));
  state.durations = recordDurations(meter);
  return {
    flush: () => provider.forceFlush(),
    shutdown: () => provider.shutdown(),
  };
}

type Read = (state: SelfState, result: ObservableResult) => void;

/** A reading that needs the probe's word: absent until the first exchange. */
function ofStatus(value: (status: NonNullable<SelfState["status"]>) => number): Read {
  return (state, result) => {
    if (state.status !== undefined) result.observe(value(state.status));
  };
}

function ofPrograms(value: (program: ReturnType<SelfState["programs"]>[number]) => number): Read {
  return (state, result) => {
    for (const program of state.programs()) {
      result.observe(value(program), { [ATTR_FLOWSPAN_BPF_PROGRAM_NAME]: program.name });
    }
  };
}

function ofExports(field: "requests" | "points"): Read {
  return (state, result) => {
    for (const [reason, sums] of state.exports) result.observe(sums[field], errorType(reason));
  };
}

function ofCoverage(field: "segments" | "connections"): Read {
  return (state, result) => {
    for (const reading of state.coverage()) {
      const ratio = reading[field];
      if (ratio !== undefined) result.observe(ratio, { [ATTR_FLOWSPAN_NETNS]: reading.netns });
    }
  };
}

function ofMetadata(value: (reading: ReturnType<SelfState["metadata"]>[number]) => number): Read {
  return (state, result) => {
    for (const reading of state.metadata()) {
      result.observe(value(reading), { [ATTR_FLOWSPAN_METADATA_FEED]: reading.name });
    }
  };
}

function observeReconnects(state: SelfState, result: ObservableResult): void {
  for (const { name, ends, failures } of state.metadata()) {
    for (const [reason, count] of [["", ends] as const, ...Object.entries(failures)]) {
      result.observe(count, { [ATTR_FLOWSPAN_METADATA_FEED]: name, ...errorType(reason) });
    }
  }
}

/** A reading of the spans' queue: absent where no spans are made. */
function ofSpans(value: (spans: SpanStats) => number): Read {
  return (state, result) => {
    const spans = state.spans();
    if (spans !== undefined) result.observe(value(spans));
  };
}

function errorType(reason: string): Attributes {
  return reason === "" ? {} : { [ATTR_ERROR_TYPE]: reason };
}

const READINGS: readonly (readonly [MetricDescriptor, Read])[] = [
  [
    METRIC_PROCESS_CPU_TIME,
    (_, result) => {
      const { user, system } = process.cpuUsage();
      result.observe(user / 1e6, { [ATTR_CPU_MODE]: CPU_MODE_VALUE_USER });
      result.observe(system / 1e6, { [ATTR_CPU_MODE]: CPU_MODE_VALUE_SYSTEM });
    },
  ],
  [METRIC_PROCESS_MEMORY_USAGE, (_, result) => result.observe(process.memoryUsage.rss())],
  [
    METRIC_FLOWSPAN_PROBE_CPU_TIME,
    (state, result) => {
      if (state.status !== undefined) result.observe(state.probeCpuSeconds());
    },
  ],
  [METRIC_FLOWSPAN_PROBE_MEMORY_USAGE, ofStatus((status) => status.probeRssBytes)],
  [METRIC_FLOWSPAN_PROBE_RECORDS, ofStatus((status) => status.records)],
  [METRIC_FLOWSPAN_PROBE_SOCKETS_ADOPTED, ofStatus((status) => status.adopted)],
  [METRIC_FLOWSPAN_BPF_PROGRAM_RUN_TIME, ofPrograms((program) => program.runTimeNs / 1e9)],
  [METRIC_FLOWSPAN_BPF_PROGRAM_RUNS, ofPrograms((program) => program.runs)],
  [METRIC_FLOWSPAN_BPF_PROGRAM_RECURSION_MISSES, ofPrograms((program) => program.recursionMisses)],
  [METRIC_FLOWSPAN_EDGES_USAGE, ofStatus((status) => status.edges)],
  [METRIC_FLOWSPAN_EDGES_LIMIT, ofStatus((status) => status.edgeCapacity)],
  [METRIC_FLOWSPAN_EDGES_EVICTED, ofStatus((status) => status.evicted)],
  [METRIC_FLOWSPAN_CGROUPS_USAGE, ofStatus((status) => status.cgroups)],
  [
    METRIC_FLOWSPAN_LOSSES,
    (state, result) => {
      for (const [reason, count] of Object.entries(state.allLosses())) {
        result.observe(count, { [ATTR_FLOWSPAN_LOSS_REASON]: reason });
      }
    },
  ],
  [METRIC_FLOWSPAN_SPANS_OBSERVED, ofSpans((spans) => spans.observed)],
  [METRIC_FLOWSPAN_SPANS_ACCEPTED, ofSpans((spans) => spans.accepted)],
  [
    METRIC_FLOWSPAN_SPANS_DROPPED,
    (state, result) => {
      for (const [reason, count] of Object.entries(state.spans()?.dropped ?? {})) {
        if (count > 0) result.observe(count, { [ATTR_FLOWSPAN_LOSS_REASON]: DROP_REASONS[reason as DropReason] });
      }
    },
  ],
  [METRIC_FLOWSPAN_SPANS_PENDING, ofSpans((spans) => spans.pending)],
  [METRIC_FLOWSPAN_SPANS_LIMIT, ofSpans((spans) => spans.limit)],
  [METRIC_FLOWSPAN_COVERAGE_SEGMENTS, ofCoverage("segments")],
  [METRIC_FLOWSPAN_COVERAGE_CONNECTIONS, ofCoverage("connections")],
  [METRIC_FLOWSPAN_METADATA_AGE, ofMetadata(({ ageMs }) => ageMs / 1000)],
  [METRIC_FLOWSPAN_METADATA_OBJECTS, ofMetadata(({ objects }) => objects)],
  [METRIC_FLOWSPAN_METADATA_LISTS, ofMetadata(({ lists }) => lists)],
  [METRIC_FLOWSPAN_METADATA_RECONNECTS, observeReconnects],
  [METRIC_FLOWSPAN_EXPORT_REQUESTS, ofExports("requests")],
  [METRIC_FLOWSPAN_EXPORT_POINTS, ofExports("points")],
  [METRIC_FLOWSPAN_EXPORT_POINTS_REJECTED, (state, result) => result.observe(state.rejectedPoints)],
  [METRIC_FLOWSPAN_EXPORT_IO, (state, result) => result.observe(state.exportedBytes)],
  [
    METRIC_FLOWSPAN_WALK_SOCKETS,
    (state, result) => {
      if (state.walkSockets !== undefined) result.observe(state.walkSockets);
    },
  ],
];

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

function recordDurations(meter: Meter): DurationListeners {
  const histogram = (metric: MetricDescriptor): Histogram => meter.createHistogram(metric.name, optionsOf(metric));
  const exchange = histogram(METRIC_FLOWSPAN_EXCHANGE_DURATION);
  const walk = histogram(METRIC_FLOWSPAN_WALK_DURATION);
  const request = histogram(METRIC_FLOWSPAN_EXPORT_DURATION);
  return {
    exchange: (seconds) => exchange.record(seconds),
    walk: (seconds) => walk.record(seconds),
    request: (seconds, reason) => request.record(seconds, errorType(reason)),
  };
}

/** Seconds and ratios are fractions, everything else is a whole number. */
function optionsOf({ unit, description }: MetricDescriptor) {
  return { unit, description, valueType: unit === "s" || unit === "1" ? ValueType.DOUBLE : ValueType.INT };
}

/** The stock exporter, with a word in the log when it begins to fail and when it works again. */
class LoggedExporter implements PushMetricExporter {
  readonly #exporter: OTLPMetricExporter;
  readonly #log: ExportLog;
  #failing = false;

  constructor(exporter: OTLPMetricExporter, log: ExportLog) {
    this.#exporter = exporter;
    this.#log = log;
  }

  export(metrics: Parameters<PushMetricExporter["export"]>[0], done: (result: ExportResult) => void): void {
    this.#exporter.export(metrics, (result) => {
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
