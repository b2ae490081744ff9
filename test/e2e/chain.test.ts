/**
 * The whole chain, nothing faked: lab pods that a real kube-apiserver knows, a probe and an agent on each of two
 * lab nodes with the shipped service account, the real Collector with the shipped configuration, Prometheus
 * scraping it. Asked in PromQL, it must answer with the workload's own counts.
 *
 *   workload ─ kernel ─ probe ─ agent ─ OTLP ─ otelcol ─ scrape ─ Prometheus ─ PromQL
 *                                 └ names ─ kube-apiserver ─ etcd
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { DEFAULT_KEY_WARNING } from "../../agent/spans/trace-key.ts";
import { startCollector } from "../components/collector.ts";
import { startKube } from "../components/kubernetes.ts";
import { type Prometheus, type Sample, startPrometheus } from "../components/prometheus.ts";
import { type NodeAgent, startAgents } from "../lab/agents/agents.ts";
import type { Workload } from "../lab/programs/workload.ts";
import { describe as describeLab } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";
import { apply, manifests } from "./manifests.ts";
import { agentKubeconfig, register } from "./registered.ts";

const NEEDS = [
  "root",
  "btf",
  "cgroup2",
  "iptables",
  "build",
  "otelcol",
  "kube-apiserver",
  "etcd",
  "prometheus",
] as const;
const test = needs(...NEEDS);

const CONNECTIONS = 23;
const ROUNDS = 2;
const DEADLINE_MS = 30_000;
const TOTAL = CONNECTIONS * ROUNDS;

/** A shop and a back office on one node, the server of both on the other, behind a Service. */
const PLAIN = describeLab({
  nodes: 2,
  zones: ["north", "south"],
  pods: [
    { key: "cart", namespace: "shop" },
    { key: "reports", namespace: "back-office", kind: "Job" },
    { key: "catalog", namespace: "data", node: "node-2", kind: "StatefulSet" },
  ],
  services: [{ name: "catalog", namespace: "data", port: 80, targetPort: 8080 }],
  links: [{ between: ["node-1", "node-2"], loss: 0.05 }],
});

describe("PromQL at the end of the whole chain", () => {
  const undo: (() => unknown)[] = [];
  let agents: NodeAgent[];
  let prometheus: Prometheus;
  let played: Played;

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const kube = await startKube();
    undo.push(() => kube.stop());
    for (const object of manifests()) await apply(kube, object, { dryRun: false });
    const lab = await startLab(await register(kube, PLAIN));
    undo.push(() => lab.close());
    const collector = await startCollector();
    undo.push(() => collector.stop());
    prometheus = await startPrometheus({ scrapeTargets: [collector.scrapeTarget] });
    undo.push(() => prometheus.stop());
    const kubeconfig = await agentKubeconfig(kube, undo);
    agents = await startAgents(lab, { endpoint: collector.endpoint, kubeconfig, intervalMs: 500 });
    undo.push(() => Promise.all(agents.map((agent) => agent.stop())));
    played = await play(lab, prometheus);
  });

  afterAll(async () => {
    for (const step of undo.reverse()) await step();
  });

  test("who talks to whom is answered with the names of both and the workload's exact bytes", async () => {
    const [whoTalksToWhom = ""] = readmeQueries();

    expect(table(await settled(whoTalksToWhom, played.cart + played.reports))).toEqual([
      ["back-office", podName("reports"), "data", "catalog", played.reports],
      ["shop", podName("cart"), "data", "catalog", played.cart],
    ]);
  });

  test("the server's end says the same of each client", async () => {
    const query = `sum by (k8s_namespace_name, k8s_pod_name, service_peer_namespace, service_peer_name) (
      flowspan_tcp_io_bytes_total{flowspan_role="server", network_io_direction="receive"})`;

    expect(table(await settled(query, played.cart + played.reports))).toEqual([
      ["data", podName("catalog"), "back-office", "reports", played.reports],
      ["data", podName("catalog"), "shop", "cart", played.cart],
    ]);
    expect((await played.server.counts()).bytesReceived).toBe(played.reports + played.cart);
  });

  test("bytes between zones are the workload's own, by the zones of both ends", async () => {
    const query = `sum by (cloud_availability_zone, flowspan_peer_zone) (
      flowspan_tcp_io_bytes_total{flowspan_role="server", network_io_direction="receive"})`;

    const labels = { cloud_availability_zone: "south", flowspan_peer_zone: "north" };
    const value = played.cart + played.reports;
    expect(await settled(query, value)).toEqual([{ labels, value }]);
  });

  test("each connection is opened, closed and timed once at each end, but where the answer to a SYN-ACK was lost", async () => {
    const handshakes = "histogram_count(flowspan_tcp_handshake_duration_seconds";
    const sums = async (metric: string) => {
      const samples = await settled(`sum by (flowspan_role) (${metric})`, 2 * 2 * TOTAL);
      return Object.fromEntries(samples.map(({ labels, value }) => [labels.flowspan_role, value]));
    };

    const bothEnds = { client: 2 * TOTAL, server: 2 * TOTAL };
    expect(await sums('flowspan_tcp_connections_total{error_type=""}')).toEqual(bothEnds);
    expect(await sums("flowspan_tcp_connections_closed_total")).toEqual(bothEnds);
    const timed = await settled(`sum(${handshakes}{flowspan_role="client"}))`, 2 * TOTAL);
    expect(timed).toEqual([{ labels: {}, value: 2 * TOTAL }]);
    const [served] = await prometheus.query(`sum(${handshakes}{flowspan_role="server"}))`);
    // The link loses one segment in 20: what then completes a handshake is data, which times something else.
    expect(served?.value).toBeGreaterThan(TOTAL);
    expect(served?.value).toBeLessThanOrEqual(2 * TOTAL);
  });

  test("connections that were refused are told apart by their error", async () => {
    const query = 'sum by (k8s_pod_name, error_type) (flowspan_tcp_connections_total{error_type!=""})';

    const refused = await settled(query, TOTAL);

    expect(refused).toEqual([{ labels: { k8s_pod_name: podName("cart"), error_type: "refused" }, value: TOTAL }]);
  });

  test("every other query that the README shows has an answer about the right pair", async () => {
    const pairs = await Promise.all(
      readmeQueries()
        .slice(1)
        .map(async (query) => {
          const isRight = (samples: Sample[]) => samples.some(({ labels, value }) => isAboutPair(labels) && value > 0);
          return [query, isRight(await prometheus.queryOnce(query, isRight))] as const;
        }),
    );

    expect(pairs.length).toBeGreaterThan(3);
    expect(pairs.filter(([, isAnswered]) => !isAnswered)).toEqual([]);
  });

  test("nothing was lost, and the shipped grants were enough", async () => {
    const samples = await prometheus.query("sum by (k8s_node_name) (flowspan_losses_total)");
    const losses = Object.fromEntries(samples.map(({ labels, value }) => [labels.k8s_node_name, value]));
    const warnings = agents.flatMap(({ agent }) =>
      agent.stderr.filter((line) => /"level":"(warn|error|fatal)"/.test(line) && !line.includes(DEFAULT_KEY_WARNING)),
    );

    expect({ losses, warnings }).toEqual({ losses: { "node-1": 0, "node-2": 0 }, warnings: [] });
  });

  /** Asks until the answers add up to `total`. */
  function settled(query: string, total: number): Promise<Sample[]> {
    const isWanted = (samples: Sample[]) => samples.reduce((sum, { value }) => sum + value, 0) === total;
    return prometheus.queryOnce(query, isWanted, DEADLINE_MS);
  }
});

interface Played {
  /** Bytes that each client sent, as it counted them itself. */
  readonly cart: number;
  readonly reports: number;
  readonly server: Workload;
}

/**
 * Two rounds, so that rates have something to rise from: prime counts of connections whose sizes all differ,
 * and as many to a port where nobody listens.
 */
async function play(lab: Lab, prometheus: Prometheus): Promise<Played> {
  const { clusterIps, port } = lab.service("catalog");
  const to = [{ address: clusterIps.v4, port }];
  const nobody = [{ address: lab.pod("catalog").ips.v4, port: 9 }];
  const server = await lab.pod("catalog").serve({ listen: [{ port: 8080 }] });
  const sent = { cart: 0, reports: 0 };
  for (let round = 1; round <= ROUNDS; round++) {
    const [cart, reports] = await Promise.all([
      lab.pod("cart").play("send", { to, count: CONNECTIONS, upload: 1009, uploadStep: 1, download: 200_003 }),
      lab.pod("reports").play("send", { to, count: CONNECTIONS, upload: 50_021, uploadStep: 7, download: 101 }),
      lab.pod("cart").play("fail", { to: nobody, count: CONNECTIONS }),
    ]);
    sent.cart += cart.bytesSent;
    sent.reports += reports.bytesSent;
    const seen = `sum(flowspan_tcp_connections_closed_total) >= ${round * 4 * CONNECTIONS}`;
    await prometheus.queryOnce(seen, (samples) => samples.length > 0, DEADLINE_MS);
  }
  return { ...sent, server };
}

/** Cart calls the catalog, from the north to the south; a query may ask either end. */
function isAboutPair(labels: Sample["labels"]): boolean {
  const services = [labels.service_name, labels.service_peer_name].join();
  const zones = [labels.cloud_availability_zone, labels.flowspan_peer_zone].join();
  return services === "cart,catalog" || services === "catalog,cart" || zones === "south,north";
}

/** The PromQL blocks of what users read, in their order. */
function readmeQueries(): string[] {
  const text = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
  return [...text.matchAll(/```promql\n([\s\S]*?)```/g)].map(([, query = ""]) => query);
}

function podName(key: string): string {
  return PLAIN.pods.find((pod) => pod.key === key)?.name ?? key;
}

/** Rows of names and a value, sorted. */
function table(samples: readonly Sample[]): (string | number | undefined)[][] {
  return samples
    .map(({ labels, value }) => [
      labels.k8s_namespace_name,
      labels.k8s_pod_name,
      labels.service_peer_namespace,
      labels.service_peer_name,
      value,
    ])
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
}
