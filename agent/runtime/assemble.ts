/**
 * The parts of a running agent, made from settings and joined, from top to bottom: each needs only those above it.
 *
 *   spans ◄─ records ─ probe ─ rows ─► metrics ─► findings        names ─► all        own metrics, status ◄─ all
 *
 * A signal to come is one line beside `spans`, `findings` and `metrics`.
 */

import type { Settings } from "../config/settings.ts";
import { socketStorageOf } from "../model/feature.ts";
import type { RequestResult } from "../otlp/flow-exporter.ts";
import { ReportedCauses } from "../otlp/reported-causes.ts";
import { createTransport, type Transport } from "../otlp/transport.ts";
import type { Recorder } from "../recording/recorder.ts";
import type { Log } from "../shared/log.ts";
import { SystemClock } from "../shared/ticker.ts";
import { TroubleLog } from "../shared/trouble-log.ts";
import { Exemplars } from "../spans/exemplars.ts";
import { startAdmin } from "../telemetry/admin-server.ts";
import { startSelfMetrics } from "../telemetry/agent-metrics.ts";
import { SelfState } from "../telemetry/agent-state.ts";
import { selfExport } from "../telemetry/export-options.ts";
import { createLosses } from "../telemetry/losses.ts";
import type { Sending } from "../telemetry/provider.ts";
import { PipelineVitals } from "../telemetry/vitals.ts";
import { FindingSignal } from "./finding-signal.ts";
import { MetricSignal } from "./metric-signal.ts";
import { startNames } from "./name-sources.ts";
import { exportsMetrics, transportOptions } from "./options.ts";
import type { PipelineListeners } from "./pipeline.ts";
import { linkProbe } from "./probe-link.ts";
import type { LiveConfig } from "./reload.ts";
import type { Signal } from "./signal.ts";
import { SpanSignal } from "./span-signal.ts";
import { type StatusParts, statusOf } from "./status-page.ts";

const BLIND = "blind: flows have nothing of what the kernel counts; flowspan doctor and the probe's log may tell why";

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
    const clock = new SystemClock(settings.interval);
    const state = new SelfState(createLosses());
    const exemplars = new Exemplars();
    const reportedCauses = new ReportedCauses();

    const spans = new SpanSignal({ live, reportedCauses, exemplars, log });
    const probe = linkProbe(live, spans, recorder, log);
    closing.push(() => probe.stop());
    const names = await startNames(settings, env, log);
    closing.push(() => names.stop());
    const { identity } = names;
    const namesTrouble = () => identity.nodeTrouble();
    const vitals = new PipelineVitals({
      intervalMs: () => clock.intervalMs,
      metadata: () => names.readings(),
      namesTrouble,
      blindness: () => blindness(),
      probeTroubles: () => probe.troubles(),
      probeAwayMs: () => probe.source.awayMs,
    });
    const transport = exportsMetrics(settings)
      ? createTransport(transportOptions(live, "metrics"), "metrics", reportedCauses)
      : undefined;
    const node = () => identity.node();
    const findings = new FindingSignal({ live, reportedCauses, metrics: transport, node, log });
    const blindness = () => (probe.isFiltered() ? undefined : metrics.edges.blindness);
    const listeners = listenersOf({ vitals, state, spans, findings, blindness, namesTrouble, log });
    const onResult = (result: RequestResult) => state.addRequest(result);
    const parts = { settings, identity, transport, exemplars, clock, stop, log };
    const metrics = new MetricSignal({ ...parts, onResult, listeners });
    closing.push(() => metrics.stop());

    const made: StatusParts = { live, vitals, state, probe, names, spans, findings, metrics };
    followParts(made);
    if (transport !== undefined) closing.push(startSelf(settings, transport, state, log, spans.sending));
    closing.push(() => spans.stop());
    closing.push(() => findings.stop());

    const answers = {
      vitals: () => vitals.read(),
      edges: () => ({ ...metrics.edges.snapshot(), findings: findings.snapshot() }),
      status: () => statusOf(made),
    };
    const admin = await startAdmin({ ...settings.admin, answers });
    state.adminRefusals = () => admin.refusals();
    closing.push(() => admin.close());
    live.onChange((changed) => {
      log.level = changed.logLevel;
      clock.set(changed.interval);
    });

    const signals: readonly Signal[] = [spans, findings, metrics];
    await Promise.all(signals.map((signal) => signal.start({ source: probe.source, identity })));
  } finally {
    // The last made is the first closed: self metrics still tell of the end, the source goes last.
    for (const close of closing.reverse()) await close();
  }
}

interface Listening extends Pick<StatusParts, "vitals" | "state" | "spans" | "findings"> {
  readonly blindness: () => string | undefined;
  readonly namesTrouble: () => string | undefined;
  readonly log: Log;
}

/** Who hears of each turn of the pipeline. */
function listenersOf(parts: Listening): PipelineListeners {
  const { vitals, state, spans, findings, blindness, namesTrouble, log } = parts;
  const nodeLog = new TroubleLog(log, "the node's name is right");
  const sightLog = new TroubleLog(log, "flows account for what the kernel counts again");
  return {
    turn: () => vitals.turn(),
    judge: (growth, exchange, evidence) => findings.judge(growth, exchange, evidence),
    failed: (error) => vitals.failed(error),
    exchanged: (exchange, seconds) => {
      vitals.exchanged();
      nodeLog.tell(namesTrouble());
      sightLog.tell(blindness() && BLIND);
      spans.exchanged(exchange.end.bootNs);
      state.addExchange(exchange, seconds);
    },
  };
}

/** What the agent says of itself, it asks its parts for. */
function followParts({ live, vitals, state, probe, names, spans, findings, metrics }: StatusParts): void {
  for (const { losses } of [probe, metrics, names, spans, findings]) {
    for (const [reason, count] of losses) state.losses.follow(reason, count);
  }
  state.metadata = () => names.readings();
  state.exchangeAgeMs = () => vitals.exchangeAgeMs();
  state.probeTroubles = () => probe.troubles();
  state.socketStorage = () => socketStorageOf(probe.hello()?.features);
  if (live.settings.coverage) state.coverage = () => metrics.edges.coverage();
  if (!live.settings.disabled) state.spans = () => spans.stats();
  state.logs = () => findings.logs;
  state.findings = () => findings.started();
}

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
