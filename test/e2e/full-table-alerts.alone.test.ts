/**
 * Alerts of the kernel's tables of neighbours and of tracked connections on a real Prometheus: each is seen firing while its fault lasts,
 * under the name of the node that it is about, and resolved after it.
 *
 *   node-1: client, other, crawler ─ MASQUERADE ── node-2: server; a probe and an agent each ─ the real Collector ─ Prometheus with the rules
 *
 * The limits of both tables belong to the whole machine: they are small for some seconds here, and the lab puts them back, also after a
 * crash. There is one table of neighbours, so that each node's agent finds it full.
 */
import { afterAll, beforeAll, expect } from "vitest";
import type { FindingName } from "../../agent/generated/findings.ts";
import { findingAlertName } from "../../monitoring/alerts/finding-alerts.ts";
import { pace } from "../../monitoring/alerts/rule.ts";
import { rulesFile } from "../../monitoring/alerts/rules-file.ts";
import { ruleGroups } from "../../monitoring/generate.ts";
import { askUntil } from "../components/running.ts";
import { describe as describeLab } from "../lab/world/describe.ts";
import { askNobody, crawlPorts, masquerade, raceForPorts, routeToNobody } from "../lab/world/full-tables.ts";
import type { LabPlace } from "../lab/world/lab.ts";
import { readNeighbourTable } from "../lab/world/neighbours.ts";
import { missing, needs } from "../machine/needs.ts";
import { firingAt } from "./alerts-at-places.ts";
import { MonitoredLab } from "./monitored-lab.ts";
import { expectSeen } from "./seen-alerts.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus", "expendable"] as const;
const test = needs(...NEEDS);
const PORT = 8080;
const NODES = ["node-1", "node-2"] as const;
/** Entries that the tables have left. */
const [TRACKED, NEIGHBOURS] = [3_001, 61];
const ASKED = 251;
const DEADLINE_MS = 90_000;
const TIMEOUT_MS = 240_000;

let monitored: MonitoredLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const clients = ["client", "other", "crawler"].map((key) => ({ key, node: "node-1" }));
  monitored = await MonitoredLab.start(
    describeLab({ nodes: 2, pods: [...clients, { key: "server", node: "node-2" }] }),
    {
      rules: rulesFile(ruleGroups(), pace()),
      scrapeMs: 1000,
    },
  );
  await pod("server").serve({ listen: [{ port: PORT, mode: "sink" }] });
  // A namespace is seen while a task lives in it.
  const nodes = NODES.map((node) => monitored.lab.host(node, "sleep.service"));
  for (const place of [...nodes, pod("client"), pod("other"), pod("crawler")]) place.spawn(["sleep", "infinity"]);
  await masquerade(nodes[0] as LabPlace, PORT);
  await routeToNobody(pod("crawler"));
  await monitored.startCollector();
  // A race is over at once: its finding is active for two intervals, which must be more than a scrape.
  await Promise.all(NODES.map((node) => monitored.watch(node, { intervalMs: 2_000 })));
}, TIMEOUT_MS);

afterAll(() => monitored?.close());

const pod = (key: "client" | "other" | "crawler" | "server") => monitored.lab.pod(key);

test(
  "packets that race for one entry of connection tracking alert at their node, until nothing races",
  async () => {
    let isSeen = false;
    const seen = firesAndResolves("conntrack_insert_failed", ["node-1"], () => {
      isSeen = true;
    });
    await raceForPorts([pod("client"), pod("other")], pod("server"), PORT, () => isSeen);

    expect(await seen).toEqual({ fired: ["node-1"], after: [] });
  },
  TIMEOUT_MS,
);

test(
  "a full table of tracked connections alerts at its node, until there is room",
  async () => {
    const limit = monitored.lab.limitConntrack(TRACKED);
    const seen = firesAndResolves("conntrack_full", ["node-1"], () => limit.remove());
    await crawlPorts(pod("crawler"), pod("server"), 2 * TRACKED);

    expect(await seen).toEqual({ fired: ["node-1"], after: [] });
  },
  TIMEOUT_MS,
);

test(
  "a full table of neighbours alerts at each node of the machine, until there is room",
  async () => {
    const limit = monitored.lab.limitNeighbourTable("v4", readNeighbourTable().entries + NEIGHBOURS);
    const seen = firesAndResolves("neighbour_table_overflow", NODES, () => limit.remove());
    await askNobody(pod("crawler"), 0, ASKED);
    await askNobody(pod("crawler"), 1, ASKED);

    expect(await seen).toEqual({ fired: NODES, after: [] });
  },
  TIMEOUT_MS,
);

test("each alert that this file is for has fired and is resolved", () =>
  expectSeen(monitored, "full-table-alerts.alone.test.ts"));

/** @param atNodes where it must fire @param end what then ends the fault @returns the nodes at which it has fired, and at which it still does */
async function firesAndResolves(finding: FindingName, atNodes: readonly string[], end: () => unknown) {
  const alert = findingAlertName(finding);
  const seen = new Set<string>();
  const firing = async () => {
    const places = (await firingAt(monitored, [alert])).map((each) => each.replace(`${alert} `, ""));
    for (const place of places) seen.add(place);
    return places;
  };
  await askUntil(firing, () => seen.size >= atNodes.length, DEADLINE_MS);
  await end();
  const after = await askUntil(firing, (places) => places.length === 0, DEADLINE_MS);
  return { fired: [...seen].sort(), after };
}
