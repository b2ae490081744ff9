/** The exporter of flows, from settings. */
import type { Settings } from "../config/settings.ts";
import { FlowEncoder } from "../otlp/encode.ts";
import { createFlowExporter, type FlowExporter, type RequestResult } from "../otlp/flow-exporter.ts";
import type { Transport } from "../otlp/transport.ts";
import { FLOW_METRICS } from "../series/instruments.ts";
import type { Log } from "../shared/log.ts";
import { flowTemporality, histogramForm } from "../telemetry/export-options.ts";
import { SCOPE } from "./instrumentation-scope.ts";

export function makeExporter(
  transport: Transport,
  settings: Settings,
  log: Log,
  onResult: (result: RequestResult) => void,
): FlowExporter {
  const temporality = flowTemporality(settings);
  const histograms = histogramForm(settings);
  const encoder = new FlowEncoder({ metrics: FLOW_METRICS, temporality, histograms, scope: SCOPE });
  return createFlowExporter({ encoder, transport, log, onResult });
}

/** For an agent that is disabled or exports no metrics: nothing is sent, so nothing is settled, and the kernel keeps it all. */
export const NO_EXPORT: Pick<FlowExporter, "exportFlows" | "shutdown"> = {
  exportFlows: async () => [],
  shutdown: async () => undefined,
};
