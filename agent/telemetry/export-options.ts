/**
 * What own metrics are sent with, the same for agent and directory: the Resource of this process and the exporter's
 * options, from settings.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { Settings } from "../config/settings.ts";
import type { HistogramForm, Temporality } from "../model/flow.ts";
import type { Transport } from "../otlp/transport.ts";
import { VERSION } from "../shared/own-version.ts";
import { selfAttributes } from "./provider.ts";

/** @param name service.name, unless the configuration says otherwise */
export function selfExport(name: string, settings: Settings, transport: Transport) {
  const attributes = selfAttributes({
    name,
    version: VERSION,
    instanceId: randomUUID(),
    hostName: hostname(),
    nodeName: settings.kubernetes.node,
    process: { pid: process.pid, createdMs: performance.timeOrigin },
    configured: settings.resource.attributes,
  });
  const { temporality, timeout: timeoutMs } = settings.otlp;
  const histograms = histogramForm(settings);
  return { attributes, options: { transport, timeoutMs, temporality, histograms, intervalMs: settings.interval } };
}

/** Of flows and evidence. The kernel gives their growth, as a synchronous instrument does, so low memory means deltas. */
export function flowTemporality({ otlp }: Settings): Temporality {
  return otlp.temporality === "cumulative" ? "cumulative" : "delta";
}

/** The form of all histograms that are exported. */
export function histogramForm({ otlp }: Settings): HistogramForm {
  return otlp.histogramAggregation === "explicit_bucket_histogram" ? "explicit" : "exponential";
}
