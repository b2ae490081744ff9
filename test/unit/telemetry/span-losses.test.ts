/** The agent's own metrics of its spans: they add up, and are absent where no spans are made. */
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { expect, test } from "vitest";
import type { SpanStats } from "../../../agent/spans/queue.ts";
import { measureSelf } from "../../../agent/telemetry/agent-metrics.ts";
import { SelfState } from "../../../agent/telemetry/agent-state.ts";
import { createLosses } from "../../../agent/telemetry/losses.ts";

async function spanMetrics(spans: SpanStats | undefined) {
  const state = new SelfState(createLosses());
  state.spans = () => spans;
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const self = measureSelf(state, {}, new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 }));
  await self.flush();
  const [collected] = exporter.getMetrics();
  await self.shutdown();
  const metrics = collected?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
  return Object.fromEntries(
    metrics
      .filter(({ descriptor }) => descriptor.name.startsWith("flowspan.spans."))
      .map(({ descriptor, dataPoints }) => [
        descriptor.name,
        dataPoints.map(({ attributes, value }) => [attributes["flowspan.loss.reason"], value]),
      ]),
  );
}

test("what was observed is accepted, dropped by reason and pending", async () => {
  const dropped = { queue_full: 3, rejected: 5, gave_up: 0, unnamed: 0, shutdown: 7 };

  expect(await spanMetrics({ observed: 61, accepted: 23, dropped, pending: 23, unnamed: 2, limit: 8192 })).toEqual({
    "flowspan.spans.observed": [[undefined, 61]],
    "flowspan.spans.accepted": [[undefined, 23]],
    "flowspan.spans.dropped": [
      ["span_queue_full", 3],
      ["span_rejected", 5],
      ["span_shutdown", 7],
    ],
    "flowspan.spans.pending": [[undefined, 23]],
    "flowspan.spans.limit": [[undefined, 8192]],
  });
});

test("an agent that makes no spans says nothing of them", async () => {
  expect(await spanMetrics(undefined)).toEqual({});
});
