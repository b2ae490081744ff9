/**
 * Both ends of every connection in one trace, read back from a tracing backend that knows nothing but OTel spans:
 * pods on two lab nodes, an agent on each that never talks to the other, the real Collector with the shipped
 * configuration, Jaeger. Its service graph must be who calls whom in the lab.
 *
 *   pods ─ Services (DNAT) ─ pods │ kernel ─ probe ─ agent ─ OTLP ─ otelcol ─ OTLP ─ Jaeger ─ its query API
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import {
  METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION,
  METRIC_FLOWSPAN_TCP_RETRANSMITS,
  METRIC_FLOWSPAN_TCP_RTT,
} from "../../agent/generated/semconv.ts";
import { type Collector, startCollector } from "../components/collector.ts";
import { type Dependency, type Jaeger, startJaeger, type Trace } from "../components/jaeger.ts";
import { startAgents } from "../lab/agents/agents.ts";
import { ALL_SPANS, configDirectory, configText, recording, replaceFile } from "../lab/agents/span-lab.ts";
import type { Counts } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { startMetadata } from "../lab/world/metadata.ts";
import { missing, needs } from "../machine/needs.ts";
import { pointsOf } from "../otlp/metric-points.ts";
import type { JsonMetricRequest, JsonTraceRequest } from "../otlp/otlp-json.ts";
import { type ReceivedSpan, spansOf } from "../otlp/spans.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "jaeger"] as const;
const test = needs(...NEEDS);

const SHOP = describe({
  pods: [
    { key: "frontend", namespace: "shop" },
    { key: "cart", namespace: "shop", node: "node-2" },
    { key: "reports", namespace: "back-office", node: "node-2", kind: "Job" },
    { key: "catalog", namespace: "data", kind: "StatefulSet" },
  ],
  services: [
    { name: "cart", namespace: "shop", port: 80, targetPort: 8080 },
    { name: "catalog", namespace: "data", port: 80, targetPort: 8080 },
  ],
  links: [{ between: ["node-1", "node-2"], loss: 0.02 }],
});
/** Who calls whom, how often. Primes, so that nothing that is counted twice can match by luck. */
const CALLS = [
  { parent: "cart", child: "catalog", callCount: 29 },
  { parent: "frontend", child: "cart", callCount: 23 },
  { parent: "reports", child: "catalog", callCount: 31 },
] as const;
/** Attempts of the frontend's that nobody answers: no edge of the graph. */
const REFUSED = 7;
const DEADLINE_MS = 20_000;

const undo: (() => unknown)[] = [];
let jaeger: Jaeger;
let collector: Collector;
let played: ReadonlyMap<string, Counts>;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  jaeger = await startJaeger();
  undo.push(() => jaeger.stop());
  collector = await startCollector({ env: { TRACES_ENDPOINT: jaeger.endpoint } });
  undo.push(() => collector.stop());
  const lab = await startLab(SHOP);
  undo.push(() => lab.close());
  const { api, kubeconfig } = await startMetadata(lab);
  undo.push(() => api.stop());
  const directory = configDirectory();
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  const config = join(directory, "flowspan.yaml");
  replaceFile(config, configText({ spans: ALL_SPANS }));
  const agentArguments = ["--config", config];
  const setup = { endpoint: collector.endpoint, endpointByVariable: true, kubeconfig, intervalMs: 300, agentArguments };
  const agents = await startAgents(lab, setup);
  undo.push(() => Promise.all(agents.map((agent) => agent.stop())));
  await recording(agents);
  played = await play(lab);
});

afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

test("Jaeger's service graph is who calls whom in the lab, and how often", async () => {
  const all = CALLS.reduce((sum, { callCount }) => sum + callCount, 0);
  const graph = await jaeger.dependenciesOnce((links) => sum(links) >= all, DEADLINE_MS);

  expect(graph).toEqual(CALLS);
  expect(await jaeger.services()).toEqual(["cart", "catalog", "frontend", "reports"]);
});

for (const { parent, child, callCount } of CALLS) {
  test(`each connection of ${parent} to ${child} is one trace: ${parent}'s CLIENT span, ${child}'s SERVER span below it`, async () => {
    const between = (traces: Trace[]) => traces.filter(({ spans }) => names(spans) === `${parent} ${child}`);
    const traces = between(await jaeger.tracesOnce(child, (all) => between(all).length >= callCount, DEADLINE_MS));

    expect(traces.map(inWords)).toEqual(
      Array.from({ length: callCount }, () => [
        `CLIENT of ${podName(parent)} to ${child}, a root`,
        `SERVER of ${podName(child)} from ${parent}, below the first`,
      ]),
    );
    const bytes = (i: number, name: string) =>
      traces.reduce((total, { spans }) => total + Number(spans[i]?.attributes[`flowspan.tcp.bytes.${name}`]), 0);
    const { bytesSent, bytesReceived } = played.get(parent) as Counts;
    expect([bytes(0, "sent"), bytes(0, "received")]).toEqual([bytesSent, bytesReceived]);
    expect([bytes(1, "sent"), bytes(1, "received")]).toEqual([bytesReceived, bytesSent]);
  });
}

test("an attempt that nobody answers is a trace of one span with the error, and no span is left over", async () => {
  const all = REFUSED + 23 + 29 + 31;
  await jaeger.tracesOnce("frontend", ({ length }) => length === REFUSED + 23, DEADLINE_MS);
  await jaeger.dependenciesOnce((links) => sum(links) >= all - REFUSED, DEADLINE_MS);

  const kept = await Promise.all((await jaeger.services()).map((service) => jaeger.traces(service)));
  const traces = new Map(kept.flat().map((trace) => [trace.traceId, trace]));
  const alone = [...traces.values()].filter(({ spans }) => spans.length === 1).flatMap(({ spans }) => spans);

  expect({ traces: traces.size, alone: alone.length }).toEqual({ traces: all, alone: REFUSED });
  expect(
    new Set(
      alone.map(({ resource, kind, status, attributes }) =>
        JSON.stringify([resource["service.name"], kind, status, attributes["error.type"]]),
      ),
    ),
  ).toEqual(new Set([JSON.stringify(["frontend", "client", "error", "refused"])]));
});

test("exemplars of handshake, RTT and retransmits point at spans that the Collector got, of the same pod, with the same value", async () => {
  const measured = new Map([
    [METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION.name, "flowspan.tcp.handshake.time"],
    [METRIC_FLOWSPAN_TCP_RTT.name, "flowspan.tcp.rtt.last"],
    [METRIC_FLOWSPAN_TCP_RETRANSMITS.name, "flowspan.tcp.retransmit.count"],
  ]);
  const pods = (batches: object[], metric: string) =>
    new Set(exemplars(batches).flatMap((each) => (each.metric === metric ? [each.pod] : [])));
  const everyPod = new Set(SHOP.pods.map(({ name }) => name));
  // Not every pod has sent something again.
  const wanted = [everyPod.size, everyPod.size, 1];
  const isThere = (batches: object[]) =>
    [...measured.keys()].every((metric, i) => pods(batches, metric).size >= (wanted[i] ?? 0));
  const batches = await collector.batchesOnce(isThere, DEADLINE_MS);

  const spans = new Map(
    batches.flatMap((batch) => spansOf(batch as JsonTraceRequest)).map((span) => [span.spanId, span]),
  );
  const wrong = exemplars(batches).filter(({ metric, pod, traceId, spanId, value }) => {
    const span = spans.get(spanId);
    const attribute = measured.get(metric);
    if (span?.traceId !== traceId || span.resource["k8s.pod.name"] !== pod) return true;
    return attribute !== undefined && span.attributes[attribute] !== value;
  });
  expect(wrong).toEqual([]);
  expect(isThere(batches)).toBe(true);
});

/** Every edge at once, and the attempts that fail. @returns what each client counted itself, by its name */
async function play(lab: Lab): Promise<ReadonlyMap<string, Counts>> {
  const listen = [{ port: 8080 }];
  await Promise.all(["cart", "catalog"].map((key) => lab.pod(key).serve({ listen })));
  const nobody = [{ address: lab.pod("catalog").ips.v4, port: 9 }];
  const failing = lab.pod("frontend").play("fail", { to: nobody, count: REFUSED });
  const counts = await Promise.all(
    CALLS.map(async ({ parent, child, callCount: count }) => {
      const { clusterIps, port } = lab.service(child);
      const to = [{ address: clusterIps.v4, port }];
      return [
        parent,
        await lab.pod(parent).play("send", { to, count, parallel: 7, upload: 100_003, uploadStep: 7, download: 503 }),
      ] as const;
    }),
  );
  await failing;
  return new Map(counts);
}

function sum(links: readonly Dependency[]): number {
  return links.reduce((total, { callCount }) => total + callCount, 0);
}

function names(spans: readonly ReceivedSpan[]): string {
  return spans.map(({ resource }) => resource["service.name"]).join(" ");
}

function podName(key: string): string {
  return SHOP.pods.find((pod) => pod.key === key)?.name ?? key;
}

/** The two spans of a trace: what each is, of which pod, to whom, and where it hangs. */
function inWords({ spans }: Trace): string[] {
  return spans.map(({ kind, resource, attributes, parentSpanId, status }) => {
    const where = parentSpanId === "" ? "a root" : parentSpanId === spans[0]?.spanId ? "below the first" : "an orphan";
    const to = kind === "client" ? "to" : "from";
    const failed = status === "unset" ? "" : `, ${status}`;
    return `${kind.toUpperCase()} of ${resource["k8s.pod.name"]} ${to} ${attributes["service.peer.name"]}, ${where}${failed}`;
  });
}

interface Exemplar {
  readonly metric: string;
  readonly pod: unknown;
  readonly traceId: string;
  readonly spanId: string;
  readonly value: number;
}

/** As the Collector's own decoder read them. */
function exemplars(batches: readonly object[]): Exemplar[] {
  return (batches as JsonMetricRequest[])
    .flatMap(pointsOf)
    .flatMap(({ metric, resource, exemplars: list }) =>
      list.map(({ traceId, spanId, value }) => ({ metric, pod: resource["k8s.pod.name"], traceId, spanId, value })),
    );
}
