/**
 * The parts of a running agent, made from settings and joined: source, identity, aggregate, exporter,
 * self metrics and admin around the pipeline.
 */
import { hostname, uptime } from "node:os";
import type { Settings } from "../config/settings.ts";
import { FLOWSPAN_PROTOCOL } from "../generated/layout.ts";
import { SCHEMA_URL } from "../generated/semconv.ts";
import { FEEDS_OF } from "../kubernetes/reads.ts";
import { type ClusterWatch, feedsOf, watchCluster } from "../kubernetes/watch-cluster.ts";
import type { Hello } from "../model/probe-event.ts";
import { type ClusterIdentity, createIdentity, type RemoteDirectory } from "../naming/identify.ts";
import { FlowEncoder } from "../otlp/encode.ts";
import { createFlowExporter, type FlowExporter, type RequestResult } from "../otlp/flow-exporter.ts";
import { Told } from "../otlp/told.ts";
import { createTransport, type Transport } from "../otlp/transport.ts";
import type { Recorder } from "../recording/recorder.ts";
import { FLOW_METRICS } from "../series/instruments.ts";
import { placeKey } from "../series/place.ts";
import { collectRegularly } from "../shared/force-gc.ts";
import { type Log, redact } from "../shared/log.ts";
import { VERSION } from "../shared/own-version.ts";
import { SystemClock } from "../shared/ticker.ts";
import { TroubleLog } from "../shared/trouble-log.ts";
import { ProbeClient } from "../source/probe-client.ts";
import { Exemplars } from "../spans/exemplars.ts";
import { DROP_REASONS, type DropReason } from "../spans/queue.ts";
import { Spans } from "../spans/spans.ts";
import { TraceKeyFile } from "../spans/trace-key.ts";
import { UntoldDrops } from "../spans/untold.ts";
import { startAdmin } from "../telemetry/admin-server.ts";
import { startSelfMetrics } from "../telemetry/agent-metrics.ts";
import { SelfState } from "../telemetry/agent-state.ts";
import { selfExport } from "../telemetry/export-options.ts";
import { createLosses } from "../telemetry/losses.ts";
import type { Sending } from "../telemetry/provider.ts";
import { PipelineVitals } from "../telemetry/vitals.ts";
import { type Cluster, clusterOf, startDirectory } from "./cluster.ts";
import { makeFlowSteps } from "./flow-steps.ts";
import { aggregateOptions, exportsMetrics, probeSettings, scopesOf, spanLimits, transportOptions } from "./options.ts";
import { ownAddresses } from "./own-addresses.ts";
import { runPipeline } from "./pipeline.ts";
import type { LiveConfig } from "./reload.ts";

export interface AgentParts {
  readonly live: LiveConfig;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  readonly recorder: Recorder | undefined;
  readonly stop: AbortSignal;
}

/** Runs until `stop`, then flushes and closes everything, also what was made before a failure. */
export async function runAgent({ live, env, log, recorder, stop }: AgentParts): Promise<void> {
  const { settings } = live;
  const closing: (() => Promise<void>)[] = [];
  try {
    const state = new SelfState(createLosses());
    const clock = new SystemClock(settings.interval);
    const exemplars = new Exemplars();
    const told = new Told();
    const spans = makeSpans(live, told, log, clock, exemplars, () => source.tellRecords());
    let hello: Hello | undefined;
    const untold = new UntoldDrops(() => spans.dropped);
    const source: ProbeClient = new ProbeClient({
      path: settings.probe.socket,
      log,
      pendingRecords: () => spans.pending + untold.count,
      listeners: {
        connection: (connection) => spans.add(connection),
        clocks: (moment) => spans.clocks(moment),
        hello: (told) => {
          hello = told;
        },
      },
      ...(recorder === undefined ? {} : { tap: recorder }),
    });
    closing.push(() => source.close());
    const configure = (changed: Settings) => source.settings(probeSettings(changed, traceKey.key));
    const traceKey = new TraceKeyFile(settings.spans.keyFile, log, () => configure(live.settings));
    closing.push(async () => traceKey.close());
    configure(settings);
    source.scopes(scopesOf(settings));

    const cluster = chooseCluster(settings, env, log);
    const directory = await startDirectory(cluster, settings, () => identity, log);
    if (directory !== undefined) closing.push(() => directory.stop());
    const identity: ClusterIdentity = makeIdentity(settings, cluster, directory?.client);
    const watch = cluster === undefined ? undefined : startClusterWatch(cluster, settings, identity, log);
    if (watch !== undefined) closing.push(() => watch.stop());

    spans.nameBy(identity);

    const steps = makeFlowSteps(aggregateOptions(settings), identity, exemplars);
    const transport = exportsMetrics(settings)
      ? createTransport(transportOptions(live, "metrics"), "metrics", told)
      : undefined;
    const exporter =
      transport === undefined
        ? NO_EXPORT
        : makeExporter(transport, settings, log, (result) => state.addRequest(result));
    closing.push(() => exporter.shutdown());

    state.metadata = () => [...(watch?.states() ?? []), ...(directory === undefined ? [] : [directory.client.state])];
    if (settings.coverage) state.coverage = () => steps.edges.coverage();
    state.losses.follow("frame_unusable", () => sum(source.stats().failures, UNUSABLE));
    state.losses.follow("series_over_budget_detail", () => steps.series.stats().overBudget);
    state.losses.follow(
      "address_over_limit_detail",
      () => identity.stats().addressesRefused + (directory?.client.state.refused ?? 0),
    );
    state.losses.follow("metadata_unreadable_detail", () => malformedObjects(watch));
    if (!settings.disabled) state.spans = () => spans.stats();
    for (const [reason, loss] of Object.entries(DROP_REASONS))
      state.losses.follow(loss, () => spans.stats().dropped[reason as DropReason]);
    if (transport !== undefined) closing.push(startSelf(settings, transport, state, log, () => untold.sending()));
    closing.push(() => spans.shutdown(SPANS_LAST_MS));

    const vitals = new PipelineVitals({
      intervalMs: () => clock.intervalMs,
      metadata: () => state.metadata(),
      namesTrouble: () => identity.nodeTrouble(),
    });
    const nodeLog = new TroubleLog(log, "the node's name is right");
    const status = () => ({
      version: VERSION,
      protocol: FLOWSPAN_PROTOCOL,
      node: process.version,
      pid: process.pid,
      uptimeMs: Math.round(process.uptime() * 1000),
      memory: process.memoryUsage(),
      vitals: vitals.read(),
      config: { ...live.report(), settings: redact(live.settings) },
      losses: state.allLosses(),
      exports: Object.fromEntries(state.exports),
      hello: hello ?? null,
      probe: state.status ?? null,
      programs: state.programs(),
      source: source.stats(),
      spans: spans.stats(),
      aggregate: { edges: steps.edges.size, ...steps.series.stats(), pendingRows: steps.naming.pendingRows },
      identity: identity.stats(),
      kubernetes: watch?.states() ?? [],
      directory: directory?.client.state ?? null,
      coverage: state.coverage(),
    });
    live.onChange((changed) => {
      log.level = changed.logLevel;
      clock.set(changed.interval);
      configure(changed);
      source.scopes(scopesOf(changed));
    });
    const answers = { vitals: () => vitals.read(), edges: () => steps.edges.snapshot(), status };
    const admin = await startAdmin({ ...settings.admin, answers });
    closing.push(() => admin.close());

    const listeners: Parameters<typeof runPipeline>[0]["listeners"] = {
      turn: () => vitals.turn(),
      failed: (error) => vitals.failed(error),
      exchanged: (exchange, seconds) => {
        vitals.exchanged();
        nodeLog.tell(identity.nodeTrouble());
        spans.exchanged();
        state.addExchange(exchange, seconds);
      },
    };
    await runPipeline({ source, identity, steps, exporter, clock, stop, log, listeners });
  } finally {
    // The last made is the first closed: self metrics still tell of the end, the source goes last.
    for (const close of closing.reverse()) await close();
  }
}

function makeIdentity(
  settings: Settings,
  cluster: Cluster | undefined,
  directory: RemoteDirectory | undefined,
): ClusterIdentity {
  return createIdentity({
    hostName: hostname(),
    hostAddresses: ownAddresses(),
    cidrs: settings.cidrs,
    kubernetes:
      cluster === undefined
        ? undefined
        : {
            nodeName: cluster.nodeName,
            clusterName: settings.cluster,
            feeds: directory === undefined ? feedsOf(settings.kubernetes.scope) : FEEDS_OF.watch,
            directory,
          },
    // os.uptime reads CLOCK_BOOTTIME on Linux, in hundredths of a second.
    startedNs: BigInt(Math.round(uptime() * 1000)) * 1_000_000n,
    bootUnixMs: Date.now() - uptime() * 1000,
  });
}

/** What the spans' queue gets when the agent ends, after the last exchange. */
const SPANS_LAST_MS = 5_000;

/** Nothing is connected before the first span. */
function makeSpans(
  live: LiveConfig,
  told: Told,
  log: Log,
  clock: SystemClock,
  into: Exemplars,
  onResolved: () => void,
): Spans {
  const { settings } = live;
  const options = aggregateOptions(settings);
  return new Spans({
    transport:
      settings.disabled || settings.traces.exporter === "none"
        ? NO_TRANSPORT
        : createTransport(transportOptions(live, "traces"), "traces", told),
    limits: spanLimits(settings),
    scope: SCOPE,
    log,
    // The next exchange tells it, or the one after that if it was just under way.
    cgroupWaitMs: () => 2 * clock.intervalMs + 5_000,
    exemplars: { into, flowOf: (key, names) => placeKey(key, names, options) },
    onResolved,
  });
}

export const SCOPE = { name: "flowspan", version: VERSION, schemaUrl: SCHEMA_URL };

export function makeExporter(
  transport: Transport,
  settings: Settings,
  log: Log,
  onResult: (result: RequestResult) => void,
): FlowExporter {
  const encoder = new FlowEncoder({
    metrics: FLOW_METRICS,
    temporality: settings.otlp.temporality,
    scope: SCOPE,
  });
  return createFlowExporter({
    encoder,
    transport,
    log,
    onResult,
  });
}

/** For an agent that is disabled or exports no metrics: nothing is sent, so nothing is settled, and the kernel keeps it all. */
const NO_EXPORT: Pick<FlowExporter, "exportFlows" | "shutdown"> = {
  exportFlows: async () => [],
  shutdown: async () => undefined,
};

/** The same for spans: a disabled agent asks for no records. */
const NO_TRANSPORT: Transport = {
  target: "nowhere",
  send: async () => ({ state: "failed", reason: "disabled", retryable: false, retryAfterMs: undefined }),
  shutdown: async () => undefined,
};

/** @returns what ends it */
function startSelf(
  settings: Settings,
  transport: Transport,
  state: SelfState,
  log: Log,
  sending: Sending,
): () => Promise<void> {
  const { attributes, options } = selfExport("flowspan", settings, transport);
  const self = startSelfMetrics(state, attributes, options, log, sending);
  return () => self.shutdown();
}

function chooseCluster(settings: Settings, env: NodeJS.ProcessEnv, log: Log): Cluster | undefined {
  const cluster = clusterOf(settings, env);
  if ("none" in cluster) {
    log.info({ why: cluster.none }, "names come from this machine alone, without Kubernetes");
    return undefined;
  }
  log.info({ server: cluster.connection.description, node: cluster.nodeName }, "names come from Kubernetes");
  return cluster;
}

function startClusterWatch(cluster: Cluster, settings: Settings, identity: ClusterIdentity, log: Log): ClusterWatch {
  const { scope, metadata, podLabels, podAnnotations, appLabels } = settings.kubernetes;
  const feeds = metadata === "directory" ? FEEDS_OF["agent-with-directory"] : undefined;
  const collect = collectRegularly();
  const onChange: Parameters<typeof watchCluster>[0]["onChange"] = (change) => {
    identity.apply(change);
    collect();
  };
  return watchCluster({
    ...cluster,
    scope,
    feeds,
    podLabels,
    podAnnotations,
    wellKnownLabels: appLabels,
    onChange,
    log,
  });
}

/** Failures of a source that mean bytes which nobody could read; the others only cost time. */
const UNUSABLE: ReadonlySet<string> = new Set([
  ...["unknown_kind", "wrong_length", "wrong_magic", "unknown_role", "slot_out_of_range", "number_too_large"],
  ...["frame_too_long", "header_not_zero", "unknown_event"],
]);

function sum(counts: Readonly<Record<string, number>>, names: ReadonlySet<string>): number {
  return Object.entries(counts).reduce((total, [name, count]) => total + (names.has(name) ? count : 0), 0);
}

function malformedObjects(watch: ClusterWatch | undefined): number {
  return (watch?.states() ?? []).reduce((total, { unreadable }) => total + unreadable, 0);
}
