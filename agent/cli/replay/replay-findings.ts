/**
 * Findings of a recording: printed as they start and end, or sent to a Collector. All of them: neither a rate nor a limit
 * of the settings leaves one out here.
 */
import type { Config } from "../../config/load.ts";
import type { Growth } from "../../edges/edge-table.ts";
import { Findings } from "../../findings/all-findings.ts";
import type { Brought } from "../../findings/evidence-of.ts";
import type { LogRecord } from "../../model/log-record.ts";
import type { LocalEnd } from "../../model/names.ts";
import { LogExporter } from "../../otlp/log-exporter.ts";
import { encodeLogs } from "../../otlp/log-request.ts";
import { createTransport } from "../../otlp/transport.ts";
import { SCOPE } from "../../runtime/instrumentation-scope.ts";
import { exportsLogs, logLimits, transportOptions } from "../../runtime/options.ts";
import type { Log } from "../../shared/log.ts";
import type { ExchangeData } from "../../source/source.ts";
import { logLine } from "./log-lines.ts";

const ALL = Number.MAX_SAFE_INTEGER;
/** How long the log records of a recording may take to be sent. */
const LAST_MS = 60_000;

export interface ReplayFindings {
  judge(growth: Growth, exchange: Pick<ExchangeData, "namespaces" | "evidence">, troubles: Brought["troubles"]): void;
  /** Ends what is active at the recording's end. @returns how many log records were not accepted */
  end(): Promise<number>;
}

/** @param write prints them; undefined: they are sent, where the settings send any */
export function replayFindings(
  config: Config,
  node: () => LocalEnd,
  log: Log,
  write: ((lines: string) => Promise<void>) | undefined,
): ReplayFindings {
  const { settings } = config;
  const findings = new Findings(() => ({ ...settings.findings, limit: ALL, rate: ALL }), node);
  const exporter = write === undefined && exportsLogs(settings) ? makeExporter(config, log) : undefined;
  let written: Promise<void> = Promise.resolve();
  const tell = (records: readonly LogRecord[]) => {
    exporter?.add(records);
    if (records.length > 0 && write !== undefined)
      written = written.then(() => write(records.map((record) => `${logLine(record)}\n`).join("")));
  };
  return {
    judge: (growth, { namespaces, evidence: { neighbourTables } }, troubles) =>
      tell(findings.observe(growth, { namespaces, neighbourTables, troubles })),
    async end() {
      tell(findings.end());
      await written;
      await exporter?.shutdown(LAST_MS);
      const { observed, accepted } = exporter?.stats() ?? { observed: 0, accepted: 0 };
      return observed - accepted;
    },
  };
}

function makeExporter(config: Config, log: Log): LogExporter {
  return new LogExporter({
    transport: createTransport(transportOptions(config, "logs"), "logs"),
    encode: (records) => encodeLogs(records, SCOPE),
    limits: { ...logLimits(config.settings), queue: ALL },
    log,
  });
}
