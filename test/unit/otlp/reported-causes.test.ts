/** One trouble of a Collector is told once, with what to do, by whoever meets it first. */

import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { expect, test } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { FlowEncoder } from "../../../agent/otlp/encode.ts";
import { createFlowExporter } from "../../../agent/otlp/flow-exporter.ts";
import { ReportedCauses } from "../../../agent/otlp/reported-causes.ts";
import type { Transport } from "../../../agent/otlp/transport.ts";
import { sendingReader } from "../../../agent/telemetry/provider.ts";
import { flow, METRICS, SCOPE } from "./flows.ts";

const AWAY = {
  state: "failed",
  reason: "UNAVAILABLE",
  message: "gone",
  cause: "nobody_listens",
  remedy: "start it",
  retryable: true,
  retryAfterMs: undefined,
} as const;
const UNKNOWN: ExportOutcome = { ...AWAY, cause: "unknown_ca", remedy: "name its CA" };
const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };

/** A Collector that answers what `now` says, to flows and to the agent's own metrics. */
function setUp() {
  const lines: string[] = [];
  const write = (fields: object, message: string) => {
    const { cause, remedy } = fields as { cause?: string; remedy?: string };
    lines.push([message, cause, remedy].filter(Boolean).join(": "));
  };
  const log = { info: write, warn: write };
  const collector = { now: AWAY as ExportOutcome };
  const transport: Transport = {
    target: "c:4317",
    reportedCauses: new ReportedCauses(),
    send: async () => collector.now,
    shutdown: async () => {},
  };
  const encoder = new FlowEncoder({ metrics: METRICS, temporality: "cumulative", scope: SCOPE });
  const flows = createFlowExporter({ encoder, transport, log });
  const reader = sendingReader({ transport, intervalMs: 3_600_000, temporality: "cumulative" }, log);
  const own = new MeterProvider({ readers: [reader] });
  own.getMeter("m").createCounter("c").add(1);
  return {
    lines,
    collector,
    sendFlows: () => flows.exportFlows([flow({})]),
    sendOwn: () => own.forceFlush().catch(() => {}),
  };
}

test("the flows' exporter says it with what to do, and the agent's own metrics say nothing more", async () => {
  const { lines, sendFlows, sendOwn } = setUp();

  await sendFlows();
  await sendOwn();
  await sendFlows();

  expect(lines).toEqual(["export failed: growth stays in the kernel: start it"]);
});

test("another cause is news, and so is the first one after the Collector was well", async () => {
  const { lines, collector, sendFlows, sendOwn } = setUp();

  for (const now of [AWAY, UNKNOWN, AWAY, ACCEPTED, AWAY] as const) {
    collector.now = now;
    await sendFlows();
    await sendOwn();
  }

  expect(lines).toEqual([
    "export failed: growth stays in the kernel: start it",
    "export failed: growth stays in the kernel: name its CA",
    "export works again",
    "own metrics are accepted again",
    "export failed: growth stays in the kernel: start it",
  ]);
});
