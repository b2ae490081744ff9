/**
 * A real Jaeger 2 for a test: spans in by OTLP, traces and the service graph out by its query API.
 *
 * It knows nothing but OTel spans. With its memory storage it draws the graph when asked, from the parents of the
 * spans that it holds: one call for each span whose parent it holds too. Traces are read raw, without what
 * Jaeger does for its screen, such as moving clocks.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonTraceRequest } from "../otlp/otlp-json.ts";
import { type ReceivedSpan, spansOf } from "../otlp/spans.ts";
import { freePorts } from "../shared/free-ports.ts";
import { component } from "./find.ts";
import { answers, askUntil, Running } from "./running.ts";

/** Traces that it keeps, and gives at the most; the oldest go first. */
const MAX_TRACES = 200_000;
const DAY_MS = 86_400_000;

/** Spans of one id, the earliest first; a parent before its children where both began at once. */
export interface Trace {
  readonly traceId: string;
  readonly spans: readonly ReceivedSpan[];
}

/** `parent` has called `child` so often. */
export interface Dependency {
  readonly parent: string;
  readonly child: string;
  readonly callCount: number;
}

export interface Jaeger {
  /** OTLP over gRPC, for an exporter. */
  readonly endpoint: string;
  /** The query API's. */
  readonly url: string;
  /** By service.name, sorted. */
  services(): Promise<string[]>;
  /** The whole traces in which the service has a span, the earliest first. */
  traces(service: string): Promise<Trace[]>;
  /** Asks until they are as wanted, and gives them; the last ones when the deadline has passed. */
  tracesOnce(service: string, areRight: (traces: Trace[]) => boolean, deadlineMs?: number): Promise<Trace[]>;
  /** The service graph, sorted by names. */
  dependencies(): Promise<Dependency[]>;
  dependenciesOnce(areRight: (graph: Dependency[]) => boolean, deadlineMs?: number): Promise<Dependency[]>;
  log(): string;
  stop(): Promise<void>;
}

/** @throws Error with its log when it does not get ready */
export async function startJaeger(): Promise<Jaeger> {
  const program = component("jaeger");
  const directory = mkdtempSync(join(tmpdir(), "flowspan-jaeger-"));
  const [otlp = 0, query = 0, health = 0] = await freePorts(3);
  const config = join(directory, "jaeger.yaml");
  writeFileSync(config, configText({ otlp, query, health }));
  const running = new Running("Jaeger", program, ["--config", config], { directory });
  await running.ready(() => answers(`http://127.0.0.1:${health}/status`));

  const url = `http://127.0.0.1:${query}`;
  const traces = (service: string) => findTraces(url, service);
  const dependencies = () => serviceGraph(url);
  return {
    endpoint: `http://127.0.0.1:${otlp}`,
    url,
    services: async () =>
      [...((await answerOf<{ services?: string[] }>(url, "/api/v3/services")).services ?? [])].sort(),
    traces,
    tracesOnce: (service, areRight, deadlineMs) => askUntil(() => traces(service), areRight, deadlineMs),
    dependencies,
    dependenciesOnce: (areRight, deadlineMs) => askUntil(dependencies, areRight, deadlineMs),
    log: () => running.words,
    stop: () => running.stop(),
  };
}

function configText({ otlp, query, health }: { otlp: number; query: number; health: number }): string {
  return `
extensions:
  jaeger_storage: { backends: { memory: { memory: { max_traces: ${MAX_TRACES} } } } }
  jaeger_query:
    storage: { traces: memory }
    enable_tracing: false # it would send spans of its own to port 4317 of whoever listens there
    http: { endpoint: "127.0.0.1:${query}" }
    grpc: { endpoint: "127.0.0.1:0" }
  healthcheckv2: { use_v2: true, http: { endpoint: "127.0.0.1:${health}" } }
receivers: { otlp: { protocols: { grpc: { endpoint: "127.0.0.1:${otlp}" } } } }
exporters: { jaeger_storage_exporter: { trace_storage: memory } }
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  telemetry: { metrics: { level: none } }
  pipelines: { traces: { receivers: [otlp], exporters: [jaeger_storage_exporter] } }
`;
}

async function findTraces(url: string, service: string): Promise<Trace[]> {
  const query = new URLSearchParams({
    "query.service_name": service,
    "query.start_time_min": new Date(Date.now() - DAY_MS).toISOString(),
    "query.start_time_max": new Date(Date.now() + DAY_MS).toISOString(),
    "query.num_traces": String(MAX_TRACES),
    "query.raw_traces": "true",
  });
  const { result } = await answerOf<{ result?: JsonTraceRequest }>(url, `/api/v3/traces?${query}`, [404]);
  const byId = Map.groupBy(spansOf(result ?? {}), ({ traceId }) => traceId);
  return [...byId]
    .map(([traceId, spans]) => ({ traceId, spans: spans.sort(inOrder) }))
    .sort((a, b) => inOrder(a.spans[0] as ReceivedSpan, b.spans[0] as ReceivedSpan));
}

async function serviceGraph(url: string): Promise<Dependency[]> {
  // Traces count that lie wholly inside the window.
  const query = new URLSearchParams({ endTs: String(Date.now() + DAY_MS), lookback: String(2 * DAY_MS) });
  const { data } = await answerOf<{ data?: Dependency[] }>(url, `/api/dependencies?${query}`);
  return [...(data ?? [])].sort((a, b) => (`${a.parent}\0${a.child}` < `${b.parent}\0${b.child}` ? -1 : 1));
}

function inOrder(a: ReceivedSpan, b: ReceivedSpan): number {
  if (a.startUnixNs !== b.startUnixNs) return a.startUnixNs < b.startUnixNs ? -1 : 1;
  if (a.parentSpanId === b.spanId) return 1;
  return a.spanId === b.parentSpanId || a.spanId < b.spanId ? -1 : 1;
}

/** @param empty statuses that mean that there is nothing yet */
async function answerOf<T extends object>(url: string, path: string, empty: readonly number[] = []): Promise<T> {
  const response = await fetch(`${url}${path}`);
  const text = await response.text();
  if (empty.includes(response.status)) return {} as T;
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}
