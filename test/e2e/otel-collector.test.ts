/**
 * deploy/otel-collector with the real Collector and a real Prometheus: every file there is run, and what comes
 * out at the far end is what went in.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, onTestFinished, test } from "vitest";
import type { Resource } from "../../agent/model/flow.ts";
import { EXPLICIT_BOUNDS } from "../../agent/otlp/explicit.ts";
import { type CollectorOptions, SHIPPED_CONFIG, startCollector } from "../components/collector.ts";
import { component } from "../components/find.ts";
import { type PrometheusOptions, startPrometheus } from "../components/prometheus.ts";
import { freePorts } from "../shared/free-ports.ts";
import { histogram } from "../unit/otlp/flows.ts";
import { CART_TO_CATALOG, exportTo, now, SCOPE } from "./sent-flow.ts";

const DEPLOY = join(import.meta.dirname, "../../deploy/otel-collector");
const SNIPPET = join(DEPLOY, "snippet.yaml");
const REMOTE_WRITE = join(DEPLOY, "snippet-remote-write.yaml");

/** Not a pod: what k8s_attributes would put under the name of the agent's pod. */
const HOST: Resource = { id: "host", attributes: { "host.name": "node-1" } };

/** A Collector that somebody runs already: its metrics pass `processor`, which names pods. */
const existingText = (processor: string) => `
receivers: { otlp: { protocols: { grpc: { endpoint: "\${env:OTLP_ENDPOINT}" } } } }
processors: { ${processor}, batch: {} }
exporters: { debug: {} }
service:
  pipelines:
    traces: { receivers: [otlp], processors: [${processor.split(":")[0]}, batch], exporters: [debug] }
    metrics: { receivers: [otlp], processors: [${processor.split(":")[0]}, batch], exporters: [debug] }
`;
const K8S_ATTRIBUTES = "k8s_attributes: { auth_type: none }";
/** Does to every Resource what k8s_attributes does to one without a pod, and needs no cluster to start. */
const NAMES_ALL = "resource: { attributes: [{ key: k8s.pod.name, value: flowspan-x7k2p, action: insert }] }";

const directory = mkdtempSync(join(tmpdir(), "flowspan-existing-"));
afterAll(() => rmSync(directory, { recursive: true }));

test.each([
  ["collector.yaml", [SHIPPED_CONFIG]],
  ["snippet.yaml beside an existing configuration", [existing(K8S_ATTRIBUTES), SNIPPET]],
  ["snippet-remote-write.yaml beside an existing configuration", [existing(K8S_ATTRIBUTES), REMOTE_WRITE]],
])("%s is valid", async (_, configs) => {
  const validate = promisify(execFile)(component("otelcol"), [
    "validate",
    ...configs.flatMap((path) => ["--config", path]),
  ]);

  await expect(validate).resolves.toBeTruthy();
});

test("prometheus.yaml is valid", async () => {
  const check = promisify(execFile)(component("promtool"), ["check", "config", join(DEPLOY, "prometheus.yaml")]);

  await expect(check).resolves.toBeTruthy();
});

test("through collector.yaml, the file holds the bytes and Prometheus answers with them under the pod's name", async () => {
  const collector = await collectorOf();
  const prometheus = await prometheusOf({ scrapeTargets: [collector.scrapeTarget] });

  await exportTo(collector.endpoint, [now(CART_TO_CATALOG)]);

  const batches = await collector.batchesOnce((all) => all.length > 0);
  expect(JSON.stringify(batches)).toContain('"asInt":"23029"');
  const sent = 'flowspan_tcp_io_bytes_total{network_io_direction="transmit"}';
  const samples = await prometheus.queryOnce(sent, (all) => all.length > 0);
  expect(samples).toEqual([
    {
      labels: {
        __name__: "flowspan_tcp_io_bytes_total",
        flowspan_role: "client",
        instance: "shop.cart-1.web",
        job: "shop/cart",
        k8s_namespace_name: "shop",
        k8s_pod_name: "cart-1",
        network_io_direction: "transmit",
        otel_scope_name: "flowspan",
        otel_scope_schema_url: SCOPE.schemaUrl,
        otel_scope_version: "0.1.0",
        server_port: "8080",
        service_instance_id: "shop.cart-1.web",
        service_name: "cart",
        service_namespace: "shop",
        service_peer_name: "catalog",
      },
      value: 23_029,
    },
  ]);
  const count = await prometheus.query("histogram_count(flowspan_tcp_rtt_seconds)");
  const median = await prometheus.query("histogram_quantile(0.5, flowspan_tcp_rtt_seconds)");
  expect(count.map(({ value }) => value)).toEqual([23]);
  // Slot 40 holds 2^10 to 2^10.25 µs.
  expect(median[0]?.value).toBeGreaterThan(1024e-6);
  expect(median[0]?.value).toBeLessThan(1218e-6);
});

test("over HTTP with explicit buckets, Prometheus without native histograms has exact counts in every bucket", async () => {
  const [http = 0] = await freePorts(1);
  const overHttp = join(directory, "http.yaml");
  writeFileSync(overHttp, `receivers: { otlp: { protocols: { http: { endpoint: "127.0.0.1:${http}" } } } }\n`);
  const collector = await collectorOf({ configs: [SHIPPED_CONFIG, overHttp] });
  const prometheus = await prometheusOf({ scrapeTargets: [collector.scrapeTarget], nativeHistograms: false });
  // Two slots that end at bounds, one on either side of one, and one beyond the last.
  const spec = { ...CART_TO_CATALOG, rtt: histogram({ 39: 5, 40: 7, 43: 11, 44: 13, 111: 3 }, 39_000_001) };

  await exportTo(`http://127.0.0.1:${http}/v1/metrics`, [now(spec)], { protocol: "http/protobuf", form: "explicit" });

  const samples = await prometheus.queryOnce("flowspan_tcp_rtt_seconds_bucket", (all) => all.length > 0);
  const byBound = Object.fromEntries(
    samples.map(({ labels, value }) => [Number(labels.le?.replace("+Inf", "Infinity")), value]),
  );
  const wanted = EXPLICIT_BOUNDS.rtt.seconds.map((bound) => {
    const count = bound < 0.001024 ? 0 : bound < 0.002048 ? 5 : bound < 0.004096 ? 23 : 36;
    return [bound, count];
  });
  expect(byBound).toEqual({ ...Object.fromEntries(wanted), Infinity: 39 });
  const sums = await prometheus.query("flowspan_tcp_rtt_seconds_sum");
  const counts = await prometheus.query("flowspan_tcp_rtt_seconds_count");
  expect([...sums, ...counts].map(({ value }) => value)).toEqual([39.000001, 39]);
  const sent = await prometheus.query('flowspan_tcp_io_bytes_total{network_io_direction="transmit"}');
  expect(sent.map(({ value }) => value)).toEqual([23_029]);
});

test("through snippet.yaml beside an existing Collector, a host's points keep their own Resource", async () => {
  const [otlp = 0, scrape = 0] = await freePorts(2);
  await collectorOf({
    configs: [existing(NAMES_ALL), SNIPPET],
    env: { FLOWSPAN_OTLP_ENDPOINT: `127.0.0.1:${otlp}`, FLOWSPAN_PROMETHEUS_ENDPOINT: `127.0.0.1:${scrape}` },
  });
  const prometheus = await prometheusOf({ scrapeTargets: [`127.0.0.1:${scrape}`] });

  await exportTo(`http://127.0.0.1:${otlp}`, [now({ ...CART_TO_CATALOG, resource: HOST })]);

  const samples = await prometheus.queryOnce("flowspan_tcp_connections_total", (all) => all.length > 0);
  expect(samples.map(({ labels, value }) => ({ host: labels.host_name, pod: labels.k8s_pod_name, value }))).toEqual([
    { host: "node-1", pod: undefined, value: 23 },
  ]);
});

test("snippet-remote-write.yaml brings the counters to a Prometheus without native histograms", async () => {
  const [otlp = 0] = await freePorts(1);
  const prometheus = await prometheusOf({ nativeHistograms: false });
  const collector = await collectorOf({
    configs: [existing(NAMES_ALL), REMOTE_WRITE],
    env: { FLOWSPAN_OTLP_ENDPOINT: `127.0.0.1:${otlp}`, FLOWSPAN_REMOTE_WRITE: prometheus.remoteWrite },
  });

  await exportTo(`http://127.0.0.1:${otlp}`, [now(CART_TO_CATALOG)]);

  const samples = await prometheus.queryOnce(
    'flowspan_tcp_io_bytes_total{k8s_pod_name="cart-1",network_io_direction="receive"}',
    (all) => all.length > 0,
  );
  expect(samples.map(({ value }) => value)).toEqual([1_000_003]);
  expect(collector.log()).not.toMatch(/Exporting failed/);
});

function existing(processor: string): string {
  const path = join(directory, `existing-${processor.split(":")[0]}.yaml`);
  writeFileSync(path, existingText(processor));
  return path;
}

async function collectorOf(options?: CollectorOptions) {
  const collector = await startCollector(options);
  onTestFinished(() => collector.stop());
  return collector;
}

async function prometheusOf(options: PrometheusOptions) {
  const prometheus = await startPrometheus(options);
  onTestFinished(() => prometheus.stop());
  return prometheus;
}
