/** What `/status` says of a running agent: all that helps whoever looks for a fault. No secret is in it. */

import { FLOWSPAN_PROTOCOL } from "../generated/layout.ts";
import { redact } from "../shared/log.ts";
import { VERSION } from "../shared/own-version.ts";
import type { SelfState } from "../telemetry/agent-state.ts";
import type { PipelineVitals } from "../telemetry/vitals.ts";
import type { FindingSignal } from "./finding-signal.ts";
import type { MetricSignal } from "./metric-signal.ts";
import type { NameSources } from "./name-sources.ts";
import type { ProbeLink } from "./probe-link.ts";
import type { LiveConfig } from "./reload.ts";
import type { SpanSignal } from "./span-signal.ts";

export interface StatusParts {
  readonly live: LiveConfig;
  readonly vitals: PipelineVitals;
  readonly state: SelfState;
  readonly probe: ProbeLink;
  readonly names: NameSources;
  readonly spans: SpanSignal;
  readonly findings: FindingSignal;
  readonly metrics: MetricSignal;
}

export function statusOf({ live, vitals, state, probe, names, spans, findings, metrics }: StatusParts): object {
  return {
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
    hello: probe.hello() ?? null,
    probe: state.status ?? null,
    programs: state.programs(),
    source: probe.source.stats(),
    spans: spans.stats(),
    findings: findings.stats(),
    aggregate: metrics.stats(),
    identity: names.identity.stats(),
    kubernetes: names.watches(),
    directory: names.directory() ?? null,
    coverage: state.coverage(),
    adminRefusals: state.adminRefusals(),
  };
}
