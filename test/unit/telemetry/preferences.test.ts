/** The agent's own metrics are sent as the stock OTLP exporter would send them under the same preference. */
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { AggregationTemporality, AggregationType, InstrumentType, MeterProvider } from "@opentelemetry/sdk-metrics";
import { expect, test } from "vitest";
import { receivingReader } from "./receiving-reader.ts";

test.each(["cumulative", "delta"] as const)("%s", async (temporality) => {
  const preference = temporality === "delta" ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE;
  const stock = new OTLPMetricExporter({ url: "http://localhost:1", temporalityPreference: preference });
  const { reader, points } = receivingReader(temporality);
  const aggregation = { type: AggregationType.EXPONENTIAL_HISTOGRAM } as const;
  const provider = new MeterProvider({
    readers: [reader],
    views: [{ instrumentType: InstrumentType.HISTOGRAM, aggregation }],
  });
  const meter = provider.getMeter("test");

  meter.createCounter("COUNTER").add(1);
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
    Object.fromEntries(Object.values(InstrumentType).map((type) => [type, isDelta(type)])),
  );
  await stock.shutdown();
});
