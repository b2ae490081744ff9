/**
 * deploy/otel-collector/examples with real Collectors: each file is valid, and what an agent sends comes out where the file says.
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { type Attributes, SpanStatusCode } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, onTestFinished, test } from "vitest";
import { type CollectorOptions, startCollector } from "../components/collector.ts";
import { component } from "../components/find.ts";
import { startPrometheus } from "../components/prometheus.ts";
import { holds } from "../components/running.ts";
import { decodeMetrics } from "../otlp/metric-points.ts";
import { Receiver } from "../otlp/receiver.ts";
import { CART_TO_CATALOG, exportTo, now } from "./sent-flow.ts";

const EXAMPLES = join(import.meta.dirname, "../../deploy/otel-collector/examples");
const DEADLINE_MS = 20_000;

test.each(readdirSync(EXAMPLES))("%s is valid", async (file) => {
  const env = { ...process.env, VENDOR_API_KEY: "key" };
  const validate = promisify(execFile)(component("otelcol"), ["validate", "--config", join(EXAMPLES, file)], { env });

  await expect(validate).resolves.toBeTruthy();
});

test("through node.yaml and gateway.yaml, Prometheus has the bytes, and a tracing backend the span", async () => {
  const prometheus = await startPrometheus({ nativeHistograms: false });
  onTestFinished(() => prometheus.stop());
  const tempo = await Receiver.start({ unregistered: true });
  onTestFinished(() => tempo.close());
  const gateway = await collectorOf("gateway.yaml", {
    REMOTE_WRITE: prometheus.remoteWrite,
    TRACES_ENDPOINT: tempo.endpoint.replace("http://", ""),
  });
  const node = await collectorOf("node.yaml", { GATEWAY_ENDPOINT: gateway.endpoint.replace("http://", "") });

  await exportTo(node.endpoint, [now(CART_TO_CATALOG)]);
  await exportSpans(node.endpoint, [{ name: "tcp connection" }]);

  const query = 'flowspan_tcp_io_bytes_total{k8s_pod_name="cart-1",network_io_direction="transmit"}';
  const samples = await prometheus.queryOnce(query, (all) => all.length > 0);
  expect(samples.map(({ value }) => value)).toEqual([23_029]);
  expect(await holds(async () => tempo.spans.length > 0, DEADLINE_MS)).toBe(true);
  expect(tempo.spans.map(({ name }) => name)).toEqual(["tcp connection"]);
  expect(node.log() + gateway.log()).not.toMatch(/Exporting failed/);
});

test("through tail-sampling.yaml, failures and lossy connections are kept, and span metrics count all spans", async () => {
  const tempo = await Receiver.start({ unregistered: true });
  onTestFinished(() => tempo.close());
  const collector = await collectorOf("tail-sampling.yaml", {
    TRACES_ENDPOINT: tempo.endpoint.replace("http://", ""),
    DECISION_WAIT: "1s",
    FLUSH_INTERVAL: "200ms",
  });
  const prometheus = await startPrometheus({ scrapeTargets: [collector.scrapeTarget] });
  onTestFinished(() => prometheus.stop());

  await exportSpans(collector.endpoint, [
    ...Array.from({ length: 23 }, () => ({ name: "healthy", attributes: { "flowspan.tcp.retransmit.count": 0 } })),
    ...Array.from({ length: 7 }, () => ({ name: "failed", isError: true })),
    ...Array.from({ length: 5 }, () => ({ name: "lossy", attributes: { "flowspan.tcp.retransmit.count": 3 } })),
  ]);

  const kept = () => tempo.spans.filter(({ name }) => name !== "healthy");
  expect(await holds(async () => kept().length >= 12, DEADLINE_MS)).toBe(true);
  const counted = await prometheus.queryOnce(
    "sum by (span_name) (traces_span_metrics_calls_total)",
    (all) => all.length === 3,
  );
  // One in a hundred of the healthy ones is kept by chance.
  const healthy = tempo.spans.length - kept().length;
  expect({ failed: named(kept(), "failed"), lossy: named(kept(), "lossy"), mostGo: healthy < 12 }).toEqual({
    failed: 7,
    lossy: 5,
    mostGo: true,
  });
  expect(Object.fromEntries(counted.map(({ labels, value }) => [labels.span_name, value]))).toEqual({
    failed: 7,
    healthy: 23,
    lossy: 5,
  });
});

const named = (spans: readonly { readonly name: string }[], wanted: string) =>
  spans.filter(({ name }) => name === wanted).length;

test("through vendor.yaml, the vendor gets metrics by OTLP over HTTP with the key, compressed", async () => {
  const vendor = await startVendor();
  const collector = await collectorOf("vendor.yaml", { VENDOR_ENDPOINT: vendor.endpoint, VENDOR_API_KEY: "key-23" });

  await exportTo(collector.endpoint, [now(CART_TO_CATALOG)]);

  expect(await holds(async () => vendor.requests.length > 0, DEADLINE_MS)).toBe(true);
  const [request] = vendor.requests;
  expect([request?.path, request?.headers["api-key"], request?.headers["content-type"]]).toEqual([
    "/v1/metrics",
    "key-23",
    "application/x-protobuf",
  ]);
  const points = decodeMetrics(gunzipSync(request?.body ?? ""));
  const sent = points.filter(
    ({ metric, attributes }) => metric === "flowspan.tcp.io" && attributes["network.io.direction"] === "transmit",
  );
  expect(sent.map(({ value }) => Number(value))).toEqual([23_029]);
});

async function collectorOf(file: string, env: NonNullable<CollectorOptions["env"]>) {
  const collector = await startCollector({ configs: [join(EXAMPLES, file)], env });
  onTestFinished(() => collector.stop());
  return collector;
}

interface VendorRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function startVendor(): Promise<{ readonly endpoint: string; readonly requests: readonly VendorRequest[] }> {
  const requests: VendorRequest[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    requests.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) });
    response.setHeader("content-type", "application/x-protobuf").end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

interface Sent {
  readonly name: string;
  readonly isError?: boolean;
  readonly attributes?: Attributes;
}

/** Each span as a trace of its own. */
async function exportSpans(endpoint: string, spans: readonly Sent[]): Promise<void> {
  const exporter = new OTLPTraceExporter({ url: endpoint });
  const provider = new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter })] });
  const tracer = provider.getTracer("flowspan");
  for (const { name, isError, attributes = {} } of spans) {
    const span = tracer.startSpan(name, { attributes });
    if (isError) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  }
  await provider.shutdown();
}
