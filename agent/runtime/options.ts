/**
 * Settings → the options of each part of the pipeline. Pure; the parts own the meaning.
 */

import type { Config } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { DEFAULT_PROBABILITY } from "../config/span-settings.ts";
import type { Protocol } from "../config/standard-settings.ts";
import type { LogLimits } from "../otlp/log-exporter.ts";
import type { ExportedSignal, TransportOptions } from "../otlp/transport.ts";
import type { SettingNames } from "../otlp/trouble.ts";
import type { AggregateOptions } from "../series/aggregate-options.ts";
import type { PrefixRule, ProbeSettings, RecordSettings } from "../source/source.ts";
import type { SpanLimits } from "../spans/export.ts";
import { thresholdOf } from "../spans/sampling.ts";
import { DEFAULT_TRACE_KEY, type TraceKey } from "../spans/trace-key.ts";
import { flowTemporality } from "../telemetry/export-options.ts";

/** Where false, nothing is settled either: the kernel keeps what it counts. */
export function exportsMetrics({ disabled, otlp }: Settings): boolean {
  return !disabled && otlp.exporter === "otlp";
}

/** Whether findings become log records. */
export function exportsLogs({ disabled, findings, logs }: Settings): boolean {
  return !disabled && findings.enabled && logs.exporter === "otlp";
}

/** What is sent at all. */
export function exportedSignals(settings: Settings): ExportedSignal[] {
  const makesSpans = recordSettings(settings, [0n, 0n]) !== undefined;
  return [
    ...(exportsMetrics(settings) ? ["metrics" as const] : []),
    ...(makesSpans ? ["traces" as const] : []),
    ...(exportsLogs(settings) ? ["logs" as const] : []),
  ];
}

/** By which protocols what is sent is sent. */
export function protocolsOf(settings: Settings): (Protocol | undefined)[] {
  return exportedSignals(settings).map((signal) => settings[signal === "metrics" ? "otlp" : signal].protocol);
}

/** What a signal is sent with, and the names by which the user knows it. */
export function transportOptions(
  { settings, originOf, file }: Pick<Config, "settings" | "originOf" | "file">,
  signal: ExportedSignal,
): TransportOptions & { readonly names: SettingNames } {
  const group = signal === "metrics" ? "otlp" : signal;
  const { endpoint, protocol, headers, headersList, timeout, compression, caFile, certFile, keyFile } = settings[group];
  const name = (key: string) => originOf(`${group}.${key}`);
  return {
    // Only before settings are merged may one of these be missing.
    endpoint: endpoint as string,
    protocol: protocol as Protocol,
    headers,
    timeoutMs: timeout as number,
    compression: compression as "gzip" | "none",
    caFile,
    certFile,
    keyFile,
    names: {
      ...{ endpoint: name("endpoint"), timeout: name("timeout") },
      headers: name(file === undefined || Object.keys(headersList).length > 0 ? "headersList" : "headers"),
      ...{ caFile: name("caFile"), certFile: name("certFile"), keyFile: name("keyFile") },
    },
  };
}

export function aggregateOptions(settings: Settings): AggregateOptions {
  const { budget, peer } = settings;
  return {
    temporality: flowTemporality(settings),
    flowLimit: budget.flows,
    idleMs: budget.idle,
    peerZone: peer.zone,
    peerPod: peer.pod,
    peerAddress: peer.address,
  };
}

/** @param traceKey from `spans.key_file`, whose content is no setting */
export function probeSettings(settings: Settings, traceKey: TraceKey): ProbeSettings {
  const recording = recordSettings(settings, traceKey);
  return {
    idleNs: BigInt(settings.probe.idle) * NS_PER_MS,
    edgesShare: settings.probe.share,
    records: recording !== undefined,
    ...(recording === undefined ? {} : { recording }),
  };
}

const NS_PER_MS = 1_000_000n;
const NEVER_MORE = 0xffff_ffff;

/** @returns undefined where no span is to be made */
/** Whether the probe is asked for records of connections, and their trace ids have no key of their own. */
export function usesDefaultKey(settings: Settings): boolean {
  return settings.spans.keyFile === undefined && recordSettings(settings, DEFAULT_TRACE_KEY) !== undefined;
}

function recordSettings({ spans, traces, disabled }: Settings, traceKey: TraceKey): RecordSettings | undefined {
  const { every, adaptive, rtt, retransmits } = spans.sampling;
  const sampled = samplerOf(traces);
  const probability = spans.sampling.probability ?? sampled ?? DEFAULT_PROBABILITY;
  // The kernel takes "no strategy" for "everything"; whoever turns all of them off wants nothing.
  const nothing = probability === 0 && every === 0 && !adaptive;
  if (disabled || !spans.enabled || traces.exporter === "none" || sampled === 0 || nothing) return undefined;
  return {
    activeTimeoutNs: BigInt(spans.activeTimeout) * NS_PER_MS,
    traceKey,
    threshold: thresholdOf(probability),
    every,
    adaptive: adaptive ? { rttUs: rtt * 1000, retransmits: retransmits < 0 ? NEVER_MORE : retransmits } : undefined,
    rate: { perSecond: spans.rate, burst: spans.burst },
  };
}

/** What OTEL_TRACES_SAMPLER asks for; undefined where it asks for nothing. */
function samplerOf({ sampler, samplerArg }: Settings["traces"]): number | undefined {
  switch (sampler) {
    case undefined:
      return undefined;
    case "always_on":
    case "parentbased_always_on":
      return 1;
    case "always_off":
    case "parentbased_always_off":
      return 0;
    case "traceidratio":
    case "parentbased_traceidratio":
      return samplerArg ?? 1;
  }
}

export function spanLimits({ traces }: Settings): SpanLimits {
  return { queue: traces.queue, batch: traces.batch, delayMs: traces.delay };
}

export function logLimits({ logs }: Settings): LogLimits {
  return { queue: logs.queue, batch: logs.batch, delayMs: logs.delay };
}

/** The prefixes that the kernel looks remote addresses up in; what both lists name is kept apart. */
export function prefixRulesOf({ scopes }: Settings): PrefixRule[] {
  const kept = new Set(scopes.keep);
  // In this order: the kernel goes by a set while it is filled, and an edge's key stays as it was made.
  return [
    ...scopes.keep.map((prefix) => prefixRuleOf(prefix, false)),
    ...scopes.collapse.filter((prefix) => !kept.has(prefix)).map((prefix) => prefixRuleOf(prefix, true)),
  ];
}

function prefixRuleOf(prefix: string, collapse: boolean): PrefixRule {
  const slash = prefix.lastIndexOf("/");
  return { address: prefix.slice(0, slash), prefixLength: Number(prefix.slice(slash + 1)), collapse };
}

/** What must not be printed: the values of the headers. */
export function secretsOf({ otlp, traces, logs }: Settings): string[] {
  const all = [otlp, traces, logs].flatMap(({ headers, headersList }) => [headers, headersList]);
  return all.flatMap((headers) => Object.values(headers));
}
