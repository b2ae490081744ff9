/**
 * Every query of every panel of the shipped dashboards, asked of a real Prometheus behind the real Collector while a shop
 * runs in the lab, with the demo's troubles in it. What a workload counts itself is compared; the rest must have an answer.
 */
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test as plainTest } from "vitest";
import type { Sample } from "../components/prometheus.ts";
import { startTraffic } from "../lab/demo/demo-traffic.ts";
import { shop } from "../lab/world/describe.ts";
import { missing, needs } from "../machine/needs.ts";
import { filledIn, panelQueries, shippedDashboards } from "./dashboards.ts";
import { MonitoredLab } from "./monitored-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus"] as const;
const test = needs(...NEEDS);
const RANGE = "30s";
const DEADLINE_MS = 60_000;
const CONNECTIONS = 23;
/** What the reader of a picture has chosen. */
const PICTURED = { namespace: "shop", service: "frontend", role: "client" };

/** Findings of the demo's shop come and go: finding-alerts.test.ts asks their dashboard. The others hold for as long as the shop runs. */
const DASHBOARDS = shippedDashboards().filter(({ uid }) => uid !== "flowspan-findings");
/** What the lab has not: no answer is the right one. */
const WITHOUT: Readonly<Record<string, string>> = {
  "flowspan-own-health: Agents without Resource labels, A": "all have them",
  "flowspan-own-health: Agents by replica, A": "no directory",
  "flowspan-own-health: Refusals, A": "no directory",
  "flowspan-own-health: Answers and changes, A": "no directory",
  "flowspan-own-health: Answers and changes, B": "no directory",
  "flowspan-own-health: Addresses asked for, A": "no directory",
  "flowspan-own-health: Connection spans, C": "none was dropped",
};

describe("dashboards with a shop's real traffic", () => {
  let monitored: MonitoredLab;
  let sent = 0;

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const zones = ["north", "south", "south"];
    const description = shop();
    const nodes = description.nodes.map((node, index) => ({ ...node, zone: zones[index] }));
    monitored = await MonitoredLab.start({ ...description, nodes }, { scrapeMs: 3000 });
    await monitored.startCollector();
    await Promise.all(nodes.map(({ name }) => monitored.watch(name)));
    await startTraffic(monitored.lab);
    // The demo has no resets: these clients end their connections by one.
    const server = [{ address: monitored.lab.pod("catalog").ips.v4, port: 8080 }];
    monitored.lab.pod("cart").start("send", { to: server, count: 0, paceMs: 200, closer: "reset" });
    // A client of which everything is known: it opens 23 connections and ends.
    const { clusterIps, port } = monitored.lab.service("log-store");
    const to = [{ address: clusterIps.v4, port }];
    const counts = await monitored.lab
      .pod("reports")
      .play("send", { to, count: CONNECTIONS, upload: 1009, uploadStep: 7 });
    sent = counts.bytesSent;
  });

  afterAll(async () => {
    if (monitored !== undefined) await keepAnswers();
    await monitored?.close();
  });

  for (const { name, expr } of panelQueries(DASHBOARDS)) {
    const query = filledIn(expr, RANGE);
    const why = WITHOUT[name];
    if (why !== undefined) {
      test(`${name}: has no series, since ${why}`, async () => {
        expect(await monitored.prometheus.query(query)).toEqual([]);
      });
      continue;
    }
    test(`${name}: is answered with numbers`, async () => {
      const samples = await monitored.prometheus.queryOnce(query, hasNumbers, DEADLINE_MS);

      expect(samples.filter(({ value }) => Number.isFinite(value) && value >= 0).length).toBeGreaterThan(0);
    });
  }

  plainTest("each panel asks something, and each of its queries has a test", () => {
    const panels = shippedDashboards().flatMap(({ uid, panels }) => panels.map((panel) => ({ uid, ...panel })));
    const silent = panels.filter(({ type, targets = [] }) => type !== "row" && targets.length === 0);

    expect(silent.map(({ uid, title }) => `${uid}: ${title}`)).toEqual([]);
    const names = panelQueries(DASHBOARDS).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(WITHOUT).filter((name) => !names.includes(name))).toEqual([]);
  });

  test("each variable of a dashboard lists what the lab has", async () => {
    const lists = await Promise.all(
      DASHBOARDS.flatMap(({ uid, templating }) =>
        templating.list
          .filter(({ type }) => type === "query")
          .map(async ({ name, query }) => [`${uid} ${name}`, await values(query)] as const),
      ),
    );

    const namespaces = ["data", "ops", "shop"];
    const services = ["cart", "catalog", "checkout", "frontend", "log-shipper", "log-store", "payment", "postgres"];
    expect(Object.fromEntries(lists)).toEqual({
      "flowspan-edges namespace": namespaces,
      "flowspan-edges role": ["client", "server"],
      "flowspan-overview namespace": namespaces,
      "flowspan-own-health node": ["node-1", "node-2", "node-3"],
      "flowspan-service namespace": namespaces,
      "flowspan-service service": [...services, "reports"].sort(),
    });
  });

  test("the panel of payload by server holds exactly what the client has sent, when its rate is summed up", async () => {
    const panel = panelQueries(DASHBOARDS).find(({ name }) => name === "flowspan-service: Payload by server, A");
    // The counter that the panel's rate is of: rate() extrapolates, so that only the sum can be exact.
    const sum = filledIn(panel?.expr ?? "", RANGE, { namespace: "data", service: "reports" })
      .replace("rate(", "(")
      .replace(`[${RANGE}]`, "");
    const toLogStore = `(${sum}) and on (service_peer_name, network_io_direction) label_replace(label_replace(vector(1), "service_peer_name", "log-store", "", ""), "network_io_direction", "transmit", "", "")`;

    const samples = await monitored.prometheus.queryOnce(toLogStore, ([first]) => first?.value === sent, DEADLINE_MS);

    expect(samples.map(({ value }) => value)).toEqual([sent]);
  });

  test("the refused port, the server that does not accept and the lossy link are in the panels that are about them", async () => {
    const failed = await answer("flowspan-overview: Connections that fail, by pair and reason, A");
    const waiting = await answer("flowspan-overview: Waiting to be accepted, A");
    const resent = await answer("flowspan-overview: Segments sent again, by pair, A");
    const far = await answer("flowspan-overview: Round trip, 99th percentile, by pair, A");

    const pairs = failed.map(({ labels }) => [labels.service_name, labels.service_peer_name, labels.error_type].join());
    expect(pairs).toContain("cart,checkout,refused");
    expect(waiting.find(({ labels }) => labels.server_port === "9091")?.value).toBeGreaterThan(1);
    expect(resent.some(({ labels, value }) => labels.service_name === "frontend" && value > 0)).toBe(true);
    const slow = far.find(({ labels }) => labels.service_name === "checkout" && labels.service_peer_name === "payment");
    // The link to node 3 is 40 ms long each way; a bucket's middle is up to 9 % off.
    expect(slow?.value).toBeGreaterThan(0.07);
  });

  /** For the pictures of the documents: what each panel's queries are answered with, over the lab's time. */
  async function keepAnswers(): Promise<void> {
    const path = process.env.FLOWSPAN_DASHBOARD_DATA;
    if (path === undefined) return;
    const end = Date.now() / 1000;
    const range = { start: end - 90, end, step: 1 };
    const answers = panelQueries(DASHBOARDS).map(async (query) => [
      query.name,
      await monitored.prometheus.queryRange(filledIn(query.expr, RANGE, PICTURED), range),
    ]);
    writeFileSync(path, JSON.stringify(Object.fromEntries(await Promise.all(answers))));
  }

  function answer(name: string): Promise<Sample[]> {
    const query = panelQueries(DASHBOARDS).find((each) => each.name === name);
    return monitored.prometheus.queryOnce(filledIn(query?.expr ?? "", RANGE), hasNumbers, DEADLINE_MS);
  }

  /** What Grafana's `label_values(SELECTOR, LABEL)` lists. */
  async function values(query: string | { readonly query: string }): Promise<string[]> {
    const text = typeof query === "string" ? query : query.query;
    const [, selector = "", label = ""] = /^label_values\((.*), (\w+)\)$/.exec(text) ?? [];
    const samples = await monitored.prometheus.query(`group by (${label}) (${filledIn(selector, RANGE)})`);
    return samples.flatMap(({ labels }) => labels[label] ?? []).sort();
  }
});

function hasNumbers(samples: readonly Sample[]): boolean {
  return samples.some(({ value }) => Number.isFinite(value));
}
