/** The probe as the agent's source: connected, with the settings that are in effect. */
import type { Settings } from "../config/settings.ts";
import { hasFeature } from "../model/feature.ts";
import type { Hello, ProbeTrouble } from "../model/probe-event.ts";
import type { Recorder } from "../recording/recorder.ts";
import type { Log } from "../shared/log.ts";
import { DECODE_FAILURES } from "../source/frame-decoder.ts";
import { ProbeClient } from "../source/probe-client.ts";
import { DEFAULT_KEY_WARNING, TraceKeyFile } from "../spans/trace-key.ts";
import { prefixRulesOf, probeSettings, usesDefaultKey } from "./options.ts";
import type { LiveConfig } from "./reload.ts";
import type { LossReading } from "./signal.ts";
import type { SpanSignal } from "./span-signal.ts";

export interface ProbeLink {
  readonly source: ProbeClient;
  /** Of the probe that answered last; undefined before the first. */
  hello(): Hello | undefined;
  /** What the connected probe last said to be wrong. */
  troubles(): readonly ProbeTrouble[];
  /** Whether it counts a cgroup's sockets alone. */
  isFiltered(): boolean;
  readonly losses: readonly LossReading[];
  stop(): Promise<void>;
}

/** Failures of a source that mean bytes which nobody could read; the others only cost time. */
const UNUSABLE: ReadonlySet<string> = new Set([...DECODE_FAILURES, ...["frame_too_long", "header_not_zero"]]);

const DEFAULT_KEY = {
  remedy: "set spans.key_file to a file with 32 hex digits, the same on all nodes: openssl rand -hex 16",
};

/**
 * @param spans where its records go
 * @param recorder of all bytes, where they are recorded
 */
export function linkProbe(live: LiveConfig, spans: SpanSignal, recorder: Recorder | undefined, log: Log): ProbeLink {
  const { settings } = live;
  let hello: Hello | undefined;
  let troubles: readonly ProbeTrouble[] = [];
  const source = new ProbeClient({
    path: settings.probe.socket,
    log,
    edgesMax: settings.probe.edges,
    pendingRecords: () => spans.pendingRecords,
    listeners: {
      ...spans.listeners,
      hello: (newest) => {
        hello = newest;
      },
      troubles: (newest) => {
        troubles = newest;
      },
    },
    ...(recorder === undefined ? {} : { tap: recorder }),
  });
  const traceKey = new TraceKeyFile(settings.spans.keyFile, log, () => configure(live.settings));
  if (usesDefaultKey(settings)) log.warn(DEFAULT_KEY, DEFAULT_KEY_WARNING);
  const configure = (changed: Settings) => source.settings(probeSettings(changed, traceKey.key));
  const apply = (changed: Settings) => {
    configure(changed);
    source.prefixRules(prefixRulesOf(changed));
  };
  apply(settings);
  live.onChange(apply);
  return {
    source,
    hello: () => hello,
    troubles: () => troubles,
    isFiltered: () => hello !== undefined && !hasFeature(hello.features, "FEATURE_WHOLE_MACHINE"),
    losses: [["frame_unusable", () => unusable(source.stats().failures)]],
    async stop() {
      traceKey.close();
      await source.close();
    },
  };
}

function unusable(failures: Readonly<Record<string, number>>): number {
  return Object.entries(failures).reduce((sum, [name, count]) => sum + (UNUSABLE.has(name) ? count : 0), 0);
}
