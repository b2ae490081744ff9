/**
 * The agent's own metrics: what it costs, what it lost, and whether it gets its data out.
 *
 * Everything that SelfState keeps is read at collection time; only durations are recorded as they happen.
 * Kernel losses stand as the kernel has them, since its maps were made: what was lost while no agent ran
 * must show too.
 */

import type { Histogram, Meter } from "@opentelemetry/api";
import type { MetricReader } from "@opentelemetry/sdk-metrics";
import type { MetricDescriptor } from "../generated/semconv.ts";
import {
  ATTR_FLOWSPAN_BPF_PROGRAM_NAME,
  ATTR_FLOWSPAN_FINDING_NAME,
  ATTR_FLOWSPAN_FINDING_SEVERITY,
  ATTR_FLOWSPAN_LOSS_REASON,
  ATTR_FLOWSPAN_NETNS,
  ATTR_FLOWSPAN_PROBE_TROUBLE,
  type FlowspanProbeTrouble,
  METRIC_FLOWSPAN_BPF_PROGRAM_RECURSION_MISSES,
  METRIC_FLOWSPAN_BPF_PROGRAM_RUN_TIME,
  METRIC_FLOWSPAN_BPF_PROGRAM_RUNS,
  METRIC_FLOWSPAN_CGROUPS_USAGE,
  METRIC_FLOWSPAN_COVERAGE_CONNECTIONS,
  METRIC_FLOWSPAN_COVERAGE_SEGMENTS,
  METRIC_FLOWSPAN_EDGES_EVICTED,
  METRIC_FLOWSPAN_EDGES_LIMIT,
  METRIC_FLOWSPAN_EDGES_TENANT_LIMIT,
  METRIC_FLOWSPAN_EDGES_TENANT_USAGE,
  METRIC_FLOWSPAN_EDGES_USAGE,
  METRIC_FLOWSPAN_EXCHANGE_AGE,
  METRIC_FLOWSPAN_EXCHANGE_DURATION,
  METRIC_FLOWSPAN_EXPORT_DURATION,
  METRIC_FLOWSPAN_EXPORT_IO,
  METRIC_FLOWSPAN_EXPORT_POINTS,
  METRIC_FLOWSPAN_EXPORT_POINTS_REJECTED,
  METRIC_FLOWSPAN_EXPORT_REQUESTS,
  METRIC_FLOWSPAN_FINDINGS_STARTED,
  METRIC_FLOWSPAN_LOGS_ACCEPTED,
  METRIC_FLOWSPAN_LOGS_DROPPED,
  METRIC_FLOWSPAN_LOGS_LIMIT,
  METRIC_FLOWSPAN_LOGS_OBSERVED,
  METRIC_FLOWSPAN_LOGS_PENDING,
  METRIC_FLOWSPAN_LOSSES,
  METRIC_FLOWSPAN_PROBE_CPU_TIME,
  METRIC_FLOWSPAN_PROBE_MEMORY_CHARGED,
  METRIC_FLOWSPAN_PROBE_MEMORY_LIMIT,
  METRIC_FLOWSPAN_PROBE_MEMORY_NEEDED,
  METRIC_FLOWSPAN_PROBE_MEMORY_USAGE,
  METRIC_FLOWSPAN_PROBE_RECORDS,
  METRIC_FLOWSPAN_PROBE_SOCKETS_ADOPTED,
  METRIC_FLOWSPAN_PROBE_TROUBLES,
  METRIC_FLOWSPAN_SPANS_ACCEPTED,
  METRIC_FLOWSPAN_SPANS_DROPPED,
  METRIC_FLOWSPAN_SPANS_LIMIT,
  METRIC_FLOWSPAN_SPANS_OBSERVED,
  METRIC_FLOWSPAN_SPANS_PENDING,
  METRIC_FLOWSPAN_WALK_DURATION,
  METRIC_FLOWSPAN_WALK_SOCKETS,
} from "../generated/semconv.ts";
import type { Attributes as ResourceAttributes } from "../model/attribute.ts";
import type { HistogramForm } from "../model/flow.ts";
import type { LogStats } from "../model/log-record.ts";
import { probeMemory } from "../model/probe-memory.ts";
import type { Logger } from "../shared/logger.ts";
import { DROP_REASONS, type DropReason, type SpanStats } from "../spans/queue.ts";
import type { DurationListeners, SelfState } from "./agent-state.ts";
import { ADMIN_READINGS, errorType, METADATA_READINGS, PROCESS_READINGS } from "./common-readings.ts";
import {
  measure,
  optionsOf,
  type Reading,
  type SelfMetrics,
  type Sending,
  type SendOptions,
  sendingReader,
} from "./provider.ts";

/**
 * Begins to send the metrics of `state` every `intervalMs`.
 *
 * @param@param log hears when sending begins to fail and when it works again
 * @param@param sending called for each request and with its answer
 */
export function startSelfMetrics(
  state: SelfState,
  attributes: ResourceAttributes,
  options: SendOptions,
  log: Logger,
  sending?: Sending,
): SelfMetrics {
  return measureSelf(state, attributes, sendingReader(options, log, sending), options.histograms);
}

/** Registers every instrument on a provider with this one reader. */
export function measureSelf(
  state: SelfState,
  attributes: ResourceAttributes,
  reader: MetricReader,
  histograms?: HistogramForm,
): SelfMetrics {
  const { meter, ...metrics } = measure(state, READINGS, attributes, reader, histograms);
  state.durations = recordDurations(meter);
  return metrics;
}

type Read = Reading<SelfState>[1];

/** A reading that needs the probe's word: absent until the first exchange. */
function ofStatus(value: (status: NonNullable<SelfState["status"]>) => number): Read {
  return (state, result) => {
    if (state.status !== undefined) result.observe(value(state.status));
  };
}

/** A reading of the probe's word in which 0 stands for "not known": absent then. */
function ofStatusIfKnown(value: (status: NonNullable<SelfState["status"]>) => number): Read {
  return (state, result) => {
    const known = state.status === undefined ? 0 : value(state.status);
    if (known !== 0) result.observe(known);
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

/** A reading of the spans' queue: absent where no spans are made. */
function ofSpans(value: (spans: SpanStats) => number): Read {
  return (state, result) => {
    const spans = state.spans();
    if (spans !== undefined) result.observe(value(spans));
  };
}

/** A reading of the queue of log records: absent where none are made. */
function ofLogs(value: (logs: LogStats) => number): Read {
  return (state, result) => {
    const logs = state.logs();
    if (logs !== undefined) result.observe(value(logs));
  };
}

const TROUBLES: readonly FlowspanProbeTrouble[] = ["pins", "hooks", "filter"];

const READINGS: readonly Reading<SelfState>[] = [
  ...PROCESS_READINGS,
  [
    METRIC_FLOWSPAN_PROBE_CPU_TIME,
    (state, result) => {
      if (state.status !== undefined) result.observe(state.probeCpuSeconds());
    },
  ],
  [METRIC_FLOWSPAN_PROBE_MEMORY_USAGE, ofStatus((status) => status.probeRssBytes)],
  [
    METRIC_FLOWSPAN_PROBE_MEMORY_NEEDED,
    (state, result) => {
      const { status, walkSockets } = state;
      if (status !== undefined && walkSockets !== undefined)
        result.observe(probeMemory(status.edges, walkSockets, state.socketStorage()));
    },
  ],
  [METRIC_FLOWSPAN_PROBE_MEMORY_CHARGED, ofStatusIfKnown((status) => status.memoryCharged)],
  [METRIC_FLOWSPAN_PROBE_MEMORY_LIMIT, ofStatusIfKnown((status) => status.memoryLimit)],
  [METRIC_FLOWSPAN_PROBE_RECORDS, ofStatus((status) => status.records)],
  [METRIC_FLOWSPAN_PROBE_SOCKETS_ADOPTED, ofStatus((status) => status.adopted)],
  [
    METRIC_FLOWSPAN_PROBE_TROUBLES,
    (state, result) => {
      if (state.status === undefined) return;
      const troubles = state.probeTroubles();
      for (const name of TROUBLES) {
        result.observe(troubles.includes(name) ? 1 : 0, { [ATTR_FLOWSPAN_PROBE_TROUBLE]: name });
      }
    },
  ],
  [METRIC_FLOWSPAN_BPF_PROGRAM_RUN_TIME, ofPrograms((program) => program.runTimeNs / 1e9)],
  [METRIC_FLOWSPAN_BPF_PROGRAM_RUNS, ofPrograms((program) => program.runs)],
  [METRIC_FLOWSPAN_BPF_PROGRAM_RECURSION_MISSES, ofPrograms((program) => program.recursionMisses)],
  [METRIC_FLOWSPAN_EDGES_USAGE, ofStatus((status) => status.edges)],
  [METRIC_FLOWSPAN_EDGES_LIMIT, ofStatus((status) => status.edgeCapacity)],
  [METRIC_FLOWSPAN_EDGES_TENANT_USAGE, ofStatus((status) => status.tenantEdges)],
  [METRIC_FLOWSPAN_EDGES_TENANT_LIMIT, ofStatus((status) => status.tenantLimit)],
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
  [
    METRIC_FLOWSPAN_FINDINGS_STARTED,
    (state, result) => {
      for (const { name, severity, count } of state.findings())
        result.observe(count, { [ATTR_FLOWSPAN_FINDING_NAME]: name, [ATTR_FLOWSPAN_FINDING_SEVERITY]: severity });
    },
  ],
  [METRIC_FLOWSPAN_LOGS_OBSERVED, ofLogs((logs) => logs.observed)],
  [METRIC_FLOWSPAN_LOGS_ACCEPTED, ofLogs((logs) => logs.accepted)],
  [
    METRIC_FLOWSPAN_LOGS_DROPPED,
    (state, result) => {
      for (const [reason, count] of Object.entries(state.logs()?.dropped ?? {}))
        if (count > 0) result.observe(count, { [ATTR_FLOWSPAN_LOSS_REASON]: reason });
    },
  ],
  [METRIC_FLOWSPAN_LOGS_PENDING, ofLogs((logs) => logs.pending)],
  [METRIC_FLOWSPAN_LOGS_LIMIT, ofLogs((logs) => logs.limit)],
  [METRIC_FLOWSPAN_COVERAGE_SEGMENTS, ofCoverage("segments")],
  [METRIC_FLOWSPAN_COVERAGE_CONNECTIONS, ofCoverage("connections")],
  ...METADATA_READINGS,
  ...ADMIN_READINGS,
  [METRIC_FLOWSPAN_EXPORT_REQUESTS, ofExports("requests")],
  [METRIC_FLOWSPAN_EXPORT_POINTS, ofExports("points")],
  [METRIC_FLOWSPAN_EXPORT_POINTS_REJECTED, (state, result) => result.observe(state.rejectedPoints)],
  [METRIC_FLOWSPAN_EXPORT_IO, (state, result) => result.observe(state.exportedBytes)],
  [
    METRIC_FLOWSPAN_EXCHANGE_AGE,
    (state, result) => {
      const ageMs = state.exchangeAgeMs();
      if (ageMs !== undefined) result.observe(ageMs / 1000);
    },
  ],
  [
    METRIC_FLOWSPAN_WALK_SOCKETS,
    (state, result) => {
      if (state.walkSockets !== undefined) result.observe(state.walkSockets);
    },
  ],
];

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
