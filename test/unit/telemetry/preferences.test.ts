/** The agent's own metrics are sent as the stock OTLP exporter would send them under the same preference. */
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { AggregationTemporality, AggregationType, InstrumentType, MeterProvider } from "@opentelemetry/sdk-metrics";
import { afterEach, expect, test, vi } from "vitest";
import { receivingReader } from "./receiving-reader.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each(["cumulative", "delta", "low_memory"] as const)("%s", async (temporality) => {
  vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality.replace("_", ""));
  const stock = new OTLPMetricExporter({ url: "http://localhost:1" });
  const { reader, points } = receivingReader(temporality);
  const aggregation = { type: AggregationType.EXPONENTIAL_HISTOGRAM } as const;
  const provider = new MeterProvider({
    readers: [reader],
    views: [{ instrumentType: InstrumentType.HISTOGRAM, aggregation }],
  });
  const meter = provider.getMeter("test");

  // Own counters are observable; after collection nothing tells the two apart, and only low memory would have to.
  const isLeftOut = (type: string) => temporality === "low_memory" && type === "COUNTER";
  if (!isLeftOut("COUNTER")) meter.createCounter("COUNTER").add(1);
  meter.createUpDownCounter("UP_DOWN_COUNTER").add(1);
  meter.createHistogram("HISTOGRAM").record(1);
  meter.createGauge("GAUGE").record(1);
  meter.createObservableCounter("OBSERVABLE_COUNTER").addCallback((result) => result.observe(1));
  meter.createObservableUpDownCounter("OBSERVABLE_UP_DOWN_COUNTER").addCallback((result) => result.observe(1));
  meter.createObservableGauge("OBSERVABLE_GAUGE").addCallback((result) => result.observe(1));
  await provider.shutdown();

  const isDelta = (type: InstrumentType) =>
    stock.selectAggregationTemporality(type) === AggregationTemporality.DELTA && !type.endsWith("GAUGE");
  expect(Object.fromEntries(points.map(({ metric, kind }) => [metric, kind === "delta"]))).toEqual(
    Object.fromEntries(
      Object.values(InstrumentType)
        .filter((type) => !isLeftOut(type))
        .map((type) => [type, isDelta(type)]),
    ),
  );
  await stock.shutdown();
});
