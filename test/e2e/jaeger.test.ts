/**
 * Spans through deploy/otel-collector into a real Jaeger, and read back there: what the tracing backend holds is
 * what was sent, and its service graph is who called whom.
 *
 *   stock SDK and exporter, one per service ─► the real Collector ─► Jaeger 2 ─► its query API
 */
import { join } from "node:path";
import { createTraceState, type HrTime, ROOT_CONTEXT, type Span, SpanKind, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, onTestFinished } from "vitest";
import { startCollector } from "../components/collector.ts";
import { startJaeger } from "../components/jaeger.ts";
import { needs } from "../machine/needs.ts";
import type { JsonTraceRequest } from "../otlp/otlp-json.ts";
import { spansOf } from "../otlp/spans.ts";
import { freePorts } from "../shared/free-ports.ts";

const DEPLOY = join(import.meta.dirname, "../../deploy/otel-collector");
const SCOPE = { name: "flowspan", version: "0.2.0" };
/** What a client span's place in the world is: a sampled parent that nobody sends, and a sampling threshold. */
const OUTSIDE = { traceId: "0102030405060708090a0b0c0d0e0f10", spanId: "00f067aa0ba902b7", traceState: "ot=th:c" };

const test = needs("otelcol", "jaeger");

test("Jaeger and the Collector's file hold both ends of a connection as they were sent, in one trace", async () => {
  const { jaeger, collector, endpoint } = await chain("collector.yaml");
  const [cart, db] = [sender(endpoint, "cart"), sender(endpoint, "db")];
  const second = Math.floor(Date.now() / 1000);
  const at = (ns: number): HrTime => [second, ns];

  const client = cart.start("tcp db", SpanKind.CLIENT, outside(), at(23));
  client.setAttributes({ "server.port": 5432, "flowspan.rtt": 0.023, cold: true, names: ["db", "db-0"] });
  client.addEvent("retransmit", { type: "fast" }, at(29));
  client.setStatus({ code: 2, message: "reset by peer" });
  const server = db.start("tcp cart", SpanKind.SERVER, trace.setSpan(ROOT_CONTEXT, client), at(31));
  server.addLink({ context: client.spanContext(), attributes: { why: "test" } });
  server.end(at(37));
  client.end(at(41));
  await Promise.all([cart.flush(), db.flush()]);

  const ns = (offset: number) => BigInt(second) * 1_000_000_000n + BigInt(offset);
  const { traceId, traceState } = OUTSIDE;
  const scope = { scope: SCOPE.name, scopeVersion: SCOPE.version };
  // Jaeger and the Collector fill the flags in as they like.
  const common = { traceId, traceState, ...scope, flags: expect.any(Number), droppedEvents: 0 };
  const sent = [
    {
      ...common,
      spanId: idOf(client),
      parentSpanId: OUTSIDE.spanId,
      name: "tcp db",
      kind: "client",
      resource: { "service.name": "cart", "k8s.pod.name": "cart-1" },
      attributes: { "server.port": 5432, "flowspan.rtt": 0.023, cold: true, names: ["db", "db-0"] },
      startUnixNs: ns(23),
      endUnixNs: ns(41),
      events: [{ name: "retransmit", timeUnixNs: ns(29), attributes: { type: "fast" } }],
      links: [],
      status: "error",
      statusMessage: "reset by peer",
    },
    {
      ...common,
      spanId: idOf(server),
      parentSpanId: idOf(client),
      name: "tcp cart",
      kind: "server",
      resource: { "service.name": "db", "k8s.pod.name": "db-1" },
      attributes: {},
      startUnixNs: ns(31),
      endUnixNs: ns(37),
      events: [],
      links: [{ traceId, spanId: idOf(client), traceState, attributes: { why: "test" } }],
      status: "unset",
      statusMessage: "",
    },
  ];
  const traces = await jaeger.tracesOnce("db", ([first]) => first?.spans.length === 2);
  expect(traces).toEqual([{ traceId, spans: sent }]);
  expect(await jaeger.traces("cart")).toEqual(traces);
  expect(await jaeger.services()).toEqual(["cart", "db"]);
  const batches = await collector.batchesOnce((all) => spansIn(all).length === 2);
  expect(new Set(spansIn(batches))).toEqual(new Set(sent));
});

for (const file of ["collector.yaml", "snippet.yaml", "snippet-remote-write.yaml"]) {
  test(`through ${file}, Jaeger's service graph is who called whom and how often`, async () => {
    const { jaeger, endpoint } = await chain(file);
    const services = Object.fromEntries(["cart", "catalog", "db"].map((name) => [name, sender(endpoint, name)]));
    const calls = [
      { parent: "cart", child: "catalog", callCount: 23 },
      { parent: "cart", child: "db", callCount: 29 },
      { parent: "catalog", child: "db", callCount: 31 },
    ];

    for (const { parent, child, callCount } of calls)
      for (let i = 0; i < callCount; i++) connect(services[parent] as Sender, services[child]);
    // Nobody answers, and a caller who sends no spans: neither is a call from one service to another.
    for (let i = 0; i < 7; i++) connect(services.db as Sender, undefined);
    for (let i = 0; i < 11; i++) services.catalog?.start("tcp cart", SpanKind.SERVER, outside()).end();
    await Promise.all(Object.values(services).map((service) => service.flush()));

    const all = 23 + 29 + 31;
    const graph = await jaeger.dependenciesOnce(
      (links) => links.reduce((sum, link) => sum + link.callCount, 0) === all,
    );
    expect(graph).toEqual(calls);
    const traces = await jaeger.tracesOnce("db", ({ length }) => length === 29 + 31 + 7);
    expect(traces.filter(({ spans }) => spans.length === 2).length).toBe(29 + 31);
  });
}

/** A Collector with that configuration before a Jaeger; both end with the test. */
async function chain(file: string) {
  const jaeger = await startJaeger();
  onTestFinished(() => jaeger.stop());
  const [otlp = 0, scrape = 0] = await freePorts(2);
  const collector = await startCollector({
    configs: [join(DEPLOY, file)],
    env: {
      TRACES_ENDPOINT: jaeger.endpoint,
      FLOWSPAN_TRACES_ENDPOINT: jaeger.endpoint,
      FLOWSPAN_OTLP_ENDPOINT: `127.0.0.1:${otlp}`,
      FLOWSPAN_PROMETHEUS_ENDPOINT: `127.0.0.1:${scrape}`,
    },
  });
  onTestFinished(() => collector.stop());
  return { jaeger, collector, endpoint: file === "collector.yaml" ? collector.endpoint : `http://127.0.0.1:${otlp}` };
}

type Sender = ReturnType<typeof sender>;

/** A service with the stock SDK, which sends for itself. */
function sender(endpoint: string, name: string) {
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": name, "k8s.pod.name": `${name}-1` }),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: endpoint }) })],
  });
  onTestFinished(() => provider.shutdown());
  const tracer = provider.getTracer(SCOPE.name, SCOPE.version);
  return {
    start: (span: string, kind: SpanKind, parent = ROOT_CONTEXT, startTime?: HrTime) =>
      tracer.startSpan(span, { kind, ...(startTime && { startTime }) }, parent),
    flush: () => provider.forceFlush(),
  };
}

/** A client span, and the server's below it if there is a server. */
function connect(from: Sender, to: Sender | undefined): void {
  const client = from.start("tcp connect", SpanKind.CLIENT);
  to?.start("tcp accept", SpanKind.SERVER, trace.setSpan(ROOT_CONTEXT, client)).end();
  client.end();
}

function outside() {
  return trace.setSpanContext(ROOT_CONTEXT, {
    ...OUTSIDE,
    traceFlags: 1,
    traceState: createTraceState(OUTSIDE.traceState),
  });
}

function idOf(span: Span): string {
  return span.spanContext().spanId;
}

function spansIn(batches: readonly object[]) {
  return batches.flatMap((batch) => spansOf(batch as JsonTraceRequest));
}
