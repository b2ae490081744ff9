/** The agent's own metrics are sent as the stock OTLP exporter would send them under the same preference. */
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { AggregationTemporality, InstrumentType } from "@opentelemetry/sdk-metrics";
import { expect, test } from "vitest";
import type { Transport } from "../../../agent/otlp/transport.ts";
import { sendingReader } from "../../../agent/telemetry/provider.ts";

const transport: Transport = {
  target: "nowhere",
  send: async () => ({ state: "accepted", rejectedPoints: 0, message: "" }),
  shutdown: async () => {},
};
const silent = { info: () => {}, warn: () => {} };

test.each(["cumulative", "delta"] as const)("%s", async (temporality) => {
  const preference = temporality === "delta" ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE;
  const stock = new OTLPMetricExporter({ url: "http://localhost:1", temporalityPreference: preference });
  const ours = sendingReader({ transport, intervalMs: 3_600_000, temporality }, silent);

  const of = (exporter: Pick<OTLPMetricExporter, "selectAggregationTemporality" | "selectAggregation">) =>
    Object.values(InstrumentType).map((type) => [
      type,
      exporter.selectAggregationTemporality(type),
      exporter.selectAggregation(type),
    ]);

  expect(of(ours)).toEqual(of(stock));
  await Promise.all([ours.shutdown(), stock.shutdown()]);
});
