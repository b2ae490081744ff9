/** What a process says of itself, read back once through the SDK. */
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import type { SelfMetrics } from "../../../agent/telemetry/provider.ts";

/**
 * @param start measures with a reader
 * @param act what happens between the start and the reading
 * @returns the Resource, and every metric's points as `name` to attributes and value
 */
export async function collectOnce(
  start: (reader: PeriodicExportingMetricReader) => SelfMetrics,
  act: () => void = () => {},
) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const self = start(reader);
  act();
  await self.flush();
  const [collected] = exporter.getMetrics();
  await self.shutdown();
  const metrics = collected?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
  const points = metrics.map(({ descriptor, dataPoints }) => [
    descriptor.name,
    dataPoints.map(({ attributes, value }) => {
      if (typeof value === "number") return [attributes, value];
      return [attributes, { count: value.count, sum: value.sum }];
    }),
  ]);
  return { resource: collected?.resource.attributes, points: Object.fromEntries(points) };
}
