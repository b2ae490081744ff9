/**
 * Our requests through a real Collector: OTLP in, file out, read back and compared.
 *
 * The file is the Collector's own decoding of our bytes, by code that shares nothing with ours or with
 * the stock serializer's.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Flow, Resource } from "../../agent/model/flow.ts";
import { FlowEncoder } from "../../agent/otlp/encode.ts";
import { createFlowExporter, type RequestResult } from "../../agent/otlp/flow-exporter.ts";
import { createTransport, type TransportOptions } from "../../agent/otlp/transport.ts";
import { startSelfMetrics } from "../../agent/telemetry/agent-metrics.ts";
import { SelfState } from "../../agent/telemetry/agent-state.ts";
import { createLosses } from "../../agent/telemetry/losses.ts";
import { selfAttributes } from "../../agent/telemetry/provider.ts";
import {
  type Collector,
  type CollectorPorts,
  collectorPorts,
  startCollector as startReal,
} from "../components/collector.ts";
import { metricRequestOf } from "../otlp/protobuf.ts";
import { freePorts } from "../shared/free-ports.ts";
import { flow, histogram, METRICS, SCOPE } from "../unit/otlp/flows.ts";

const DEADLINE_MS = 30_000;

/** Each protocol, and how a failing connection is called there. */
const PROTOCOLS = [
  ["grpc", "UNAVAILABLE"],
  ["http/protobuf", "ECONNREFUSED"],
] as const;
type Protocol = (typeof PROTOCOLS)[number][0];

let directory: string;
let httpPort: number;
let collectors: Collector[];

beforeEach(async () => {
  [httpPort = 0] = await freePorts(1);
  directory = mkdtempSync(join(tmpdir(), "flowspan-export-"));
  collectors = [];
});
afterEach(async () => {
  for (const collector of collectors) await collector.stop();
  rmSync(directory, { recursive: true });
});

test.each(PROTOCOLS)(
  "requests of many Resources with histograms and exemplars are held as they were sent: %s",
  {
    timeout: 90_000,
  },
  async (protocol) => {
    const ports = await collectorPorts();
    await startCollector(ports);
    const flows = [...Array(23).keys()].map(shopFlow);
    const sent: Uint8Array[] = [];

    const results = await exportAll(wayOf(protocol, ports), flows, sent);

    expect(outcomesOf(results)).toEqual(sent.map(() => "accepted"));
    expect(sent.length).toBeGreaterThan(2);
    const held = await readBack(sent.length);
    expect(sorted(held)).toEqual(sorted(sent.map((bytes) => comparable(metricRequestOf(bytes)))));
  },
);

test.each(PROTOCOLS)(
  "a Collector that goes and comes back costs failed requests and nothing else: %s",
  {
    timeout: 90_000,
  },
  async (protocol, away) => {
    const ports = await collectorPorts();
    const transport = createTransport({ ...wayOf(protocol, ports), timeoutMs: 2000 });
    const logged: string[] = [];
    const log = {
      info: (_: object, message: string) => logged.push(message),
      warn: (_: object, message: string) => logged.push(message),
    };
    const encoder = new FlowEncoder({ metrics: METRICS, temporality: "cumulative", scope: SCOPE });
    const exporter = createFlowExporter({ encoder, transport, log });
    const flows = [shopFlow(0), shopFlow(1)];
    const exportOnce = async () => outcomesOf(await exporter.exportFlows(flows))[0];

    const before = await exportOnce();
    const first = await startCollector(ports);
    const afterStart = await until(exportOnce, (outcome) => outcome === "accepted");
    await first.stop();
    const whileAway = await exportOnce();
    await startCollector(ports);
    const afterReturn = await until(exportOnce, (outcome) => outcome === "accepted");
    await exporter.shutdown();

    expect([before, afterStart, whileAway, afterReturn]).toEqual([away, "accepted", away, "accepted"]);
    expect((await readBack(2)).length).toBe(2);
    expect(logged).toEqual([
      "export failed: growth stays in the kernel",
      "export works again",
      "export failed: growth stays in the kernel",
      "export works again",
    ]);
  },
);

test("the agent's own metrics reach the Collector under the agent's own Resource", { timeout: 90_000 }, async () => {
  const ports = await collectorPorts();
  const logged: string[] = [];
  const log = {
    info: (_: object, message: string) => logged.push(message),
    warn: (_: object, message: string) => logged.push(message),
  };
  const state = new SelfState(createLosses());
  state.losses.lose("points_rejected", 23);
  const attributes = selfAttributes({
    name: "flowspan",
    version: "1.2.3",
    instanceId: "8d0ef3c2",
    hostName: "node-7",
    nodeName: undefined,
    process: { pid: 4711, createdMs: 1_000 },
    configured: {},
  });
  const transport = createTransport({ endpoint: `http://127.0.0.1:${ports.otlp}` });

  const self = startSelfMetrics(state, attributes, { transport, intervalMs: 200, temporality: "cumulative" }, log);
  await until(
    async () => logged.length,
    (lines) => lines > 0,
  );
  const collector = await startCollector(ports);
  const [held] = await readBack(1);
  await collector.stop();
  await self.shutdown();
  await transport.shutdown();

  expect(logged.slice(0, 2)).toEqual(["own metrics are not accepted", "own metrics are accepted again"]);
  expect(held).toMatchObject({
    resourceMetrics: [
      {
        resource: {
          attributes: [
            { key: "service.name", value: { stringValue: "flowspan" } },
            { key: "service.version", value: { stringValue: "1.2.3" } },
            { key: "service.instance.id", value: { stringValue: "8d0ef3c2" } },
            { key: "host.name", value: { stringValue: "node-7" } },
            { key: "process.pid", value: { intValue: "4711" } },
            { key: "process.creation.time", value: { stringValue: "1970-01-01T00:00:01.000Z" } },
          ],
        },
        scopeMetrics: [
          {
            metrics: expect.arrayContaining([
              expect.objectContaining({
                name: "flowspan.losses",
                unit: "{loss}",
                sum: expect.objectContaining({
                  isMonotonic: true,
                  dataPoints: [
                    expect.objectContaining({
                      attributes: [{ key: "flowspan.loss.reason", value: { stringValue: "points_rejected" } }],
                      asInt: "23",
                    }),
                  ],
                }),
              }),
            ]),
          },
        ],
      },
    ],
  });
});

/** Flow `i` of five pods: every kind of value, and exemplars on histogram and sum. */
function shopFlow(i: number): Flow {
  const pod = i % 5;
  const resource: Resource = {
    id: `cart-${pod}`,
    attributes: {
      "k8s.pod.name": `cart-${pod}`,
      "container.image.tags": ["1.0", "latest"],
      "k8s.container.restart_count": pod,
    },
  };
  const exemplar = {
    timeUnixNs: 1_763_873_010_000_000_001n,
    traceId: "000102030405060708090a0b0c0d0e0f",
    spanId: "f0f1f2f3f4f5f6f7",
    filteredAttributes: { "source.port": 41_000 + i },
  };
  return flow({
    resource,
    attributes: { "service.peer.name": `catalog-${i}`, "server.port": 8080, overflow: i === 7 },
    counters: { bytesSent: 2 ** 40 + i, bytesReceived: 1000 + i, retransmitsFast: i, busyUs: 1_234_567 + i },
    rtt: histogram({ 50: 23, 51: 1, [60 + i]: 7 }, 123_457),
    duration: histogram({ 80: i, 150: 2 ** 33 }, 2 ** 50),
    open: i,
    exemplars: {
      rtt: [{ ...exemplar, value: 0.125 }],
      retransmits: i === 0 ? [] : [{ ...exemplar, value: 1 }],
    },
  });
}

function wayOf(protocol: Protocol, { otlp }: CollectorPorts) {
  const endpoint = protocol === "grpc" ? `http://127.0.0.1:${otlp}` : `http://127.0.0.1:${httpPort}/v1/metrics`;
  return { protocol, endpoint };
}

async function exportAll(
  way: Pick<TransportOptions, "protocol" | "endpoint">,
  flows: readonly Flow[],
  sent: Uint8Array[],
): Promise<readonly RequestResult[]> {
  const stock = createTransport({ ...way, timeoutMs: 10_000, compression: "gzip" });
  const transport = {
    target: stock.target,
    shutdown: () => stock.shutdown(),
    send: (bytes: Uint8Array) => {
      sent.push(bytes.slice()); // a request is detached once it is answered
      return stock.send(bytes);
    },
  };
  const silent = { info: () => {}, warn: () => {} };
  const encoder = new FlowEncoder({
    metrics: METRICS,
    temporality: "cumulative",
    scope: SCOPE,
    maxRequestBytes: 12_000,
  });
  const exporter = createFlowExporter({ encoder, transport, log: silent });
  const results = await exporter.exportFlows(flows);
  await exporter.shutdown();
  return results;
}

function outcomesOf(results: readonly RequestResult[]): string[] {
  return results.map(({ outcome }) => (outcome.state === "accepted" ? "accepted" : outcome.reason));
}

/** The Collector with a configuration of this test: each request becomes a line of `held.jsonl`. */
async function startCollector(ports: CollectorPorts): Promise<Collector> {
  const config = join(directory, "collector.yaml");
  writeFileSync(
    config,
    `receivers:
  otlp: { protocols: { grpc: { endpoint: "\${env:OTLP_ENDPOINT}" }, http: { endpoint: "127.0.0.1:${httpPort}" } } }
exporters:
  file: { path: "${join(directory, "held.jsonl")}", append: true, flush_interval: 50ms }
service:
  pipelines:
    metrics: { receivers: [otlp], exporters: [file] }
`,
  );
  const collector = await startReal({ configs: [config], ports });
  collectors.push(collector);
  return collector;
}

async function readBack(requests: number): Promise<object[]> {
  const lines = () => {
    const path = join(directory, "held.jsonl");
    return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  };
  const held = await until(
    async () => lines(),
    (all) => all.length >= requests,
  );
  return held.map((line) => comparable(JSON.parse(line)));
}

/** Acts again until the result is right, and gives it; the last one when the deadline has passed. */
async function until<T>(act: () => Promise<T>, right: (result: T) => boolean): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  let result = await act();
  while (!right(result) && performance.now() < deadline) {
    await delay(50);
    result = await act();
  }
  return result;
}

/** What both decodings say: absent and default are the same to protobuf, so neither is compared. */
function comparable<T>(value: T): object {
  const strip = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map((item) => strip(item) ?? {});
    if (part === null || typeof part !== "object") return part;
    const entries = Object.entries(part).map(([key, item]) => [key, strip(item)] as const);
    const kept = entries.filter(([, item]) => !isDefault(item));
    return Object.fromEntries(kept);
  };
  return strip(value) as object;
}

function isDefault(value: unknown): boolean {
  if (value === undefined || value === null || value === 0 || value === "0" || value === "" || value === false)
    return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** Requests in flight together may arrive in either order. */
function sorted(requests: readonly object[]): object[] {
  return [...requests].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}
