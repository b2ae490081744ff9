/**
 * Alerts and the dashboard of findings on a real Prometheus, from real faults in one lab: each is seen firing while its fault lasts, under the name of the
 * pod or node that it is about, and resolved after it. All faults are there at once, and each alert is its own fault's.
 *
 *   lab ─ probe ─ agent ─ the real Collector ─ Prometheus with the rules
 *
 * These alerts wait for nothing (`for: 0`), so that no time is scaled here: the agent's intervals and the scrapes are shorter, that is all.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { findingAlertName } from "../../monitoring/alerts/finding-alerts.ts";
import { pace } from "../../monitoring/alerts/rule.ts";
import { rulesFile } from "../../monitoring/alerts/rules-file.ts";
import { ruleGroups } from "../../monitoring/generate.ts";
import { askUntil } from "../components/running.ts";
import type { Workload } from "../lab/programs/workload.ts";
import { describe as describeLab, NOWHERE } from "../lab/world/describe.ts";
import { missing, needs } from "../machine/needs.ts";
import { alertAt, firingAt, type Labels, placeOf, type Where } from "./alerts-at-places.ts";
import { filledIn, panelQueries, shippedDashboards } from "./dashboards.ts";
import { MonitoredLab } from "./monitored-lab.ts";
import { expectSeen } from "./seen-alerts.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus"] as const;
const test = needs(...NEEDS);
const DEADLINE_MS = 90_000;
const TIMEOUT_MS = 240_000;
const [OPEN, CLOSED, STUCK] = [8080, 8089, 8081];

/** dashboards.test.ts asks those of the other dashboards. */
const PANELS = panelQueries(shippedDashboards().filter(({ uid }) => uid === "flowspan-findings"));

let monitored: MonitoredLab;
/** Unix seconds: when the troubles began. */
let startedS = 0;

/** node-1 has the clients, node-2 the servers, and node-3 is to be cut off from node-1. */
const PODS = {
  "node-1": ["refused", "unanswered", "waiting", "lossy", "writer", "near-1", "near-2"],
  "node-2": ["server", "stuck", "reader"],
  "node-3": ["far-1", "far-2"],
} as const;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const pods = Object.entries(PODS).flatMap(([node, keys]) => keys.map((key) => ({ key, node })));
  monitored = await MonitoredLab.start(describeLab({ nodes: 3, pods }), {
    rules: rulesFile(ruleGroups(), pace()),
    scrapeMs: 1000,
  });
  const { lab } = monitored;
  const serve = (key: string) => lab.pod(key).serve({ listen: [{ port: OPEN }] });
  await Promise.all(["server", "reader", "near-1", "near-2", "far-1", "far-2"].map(serve));
  await monitored.startCollector();
  await Promise.all(["node-1", "node-2", "node-3"].map((node) => monitored.watch(node)));
}, TIMEOUT_MS);

afterAll(() => monitored?.close());

const to = (key: string, port = OPEN) => ({ address: monitored.lab.pod(key).ips.v4, port });

/** What is wrong, which alert says so of whom, and what ends it. */
interface Trouble {
  readonly alert: string;
  readonly where: Where;
  start(): Promise<{ end(): Promise<unknown> }>;
}

const running = (...workloads: Workload[]) => ({
  end: () => Promise.all(workloads.map(({ process }) => process.stop("SIGKILL"))),
});
const client = (key: string) => monitored.lab.pod(key);

const TROUBLES: readonly Trouble[] = [
  {
    alert: "FlowspanConnectRefused",
    where: { pod: "refused" },
    start: async () =>
      running(client("refused").start("fail", { to: [to("server", CLOSED)], count: 0, paceMs: 20, parallel: 2 })),
  },
  {
    alert: "FlowspanConnectUnanswered",
    where: { pod: "unanswered" },
    start: async () => {
      const nowhere = [{ address: NOWHERE.blackhole.v4, port: OPEN }];
      return running(client("unanswered").start("fail", { to: nowhere, count: 0, parallel: 64, synRetries: 1 }));
    },
  },
  {
    alert: "FlowspanListenQueueOverflow",
    where: { pod: "stuck" },
    start: async () => {
      const server = await client("stuck").serve({ listen: [{ port: STUCK, mode: "stuck", backlog: 2 }] });
      const stuck = [to("stuck", STUCK)];
      await client("waiting").start("hold", { to: stuck, count: 3 }).ready();
      // Fewer at once than it takes for unanswered connects.
      const clients = client("waiting").start("fail", { to: stuck, count: 0, parallel: 2, synRetries: 1 });
      return running(server, clients);
    },
  },
  {
    alert: "FlowspanRetransmits",
    where: { pod: "lossy" },
    start: async () => {
      const held = client("lossy").start("hold", { to: [to("server")], count: 23, everyMs: 50, upload: 20_011 });
      await held.ready();
      // No rule of a node drops them: from time to time the pod's frames go to nobody.
      const gateway = `${monitored.lab.description.nodes[0]?.ips.v4} dev eth0`;
      const lose = `ip neigh replace ${gateway} lladdr 02:00:00:00:00:01 nud permanent; sleep 0.02; ip neigh del ${gateway}`;
      const loss = client("lossy").spawn(["sh", "-c", `while true; do ${lose}; sleep 0.3; done`]);
      return {
        end: async () => {
          await loss.stop("SIGKILL");
          await client("lossy").exec(["ip", "neigh", "flush", "dev", "eth0", "nud", "all"]);
          await running(held).end();
        },
      };
    },
  },
  {
    alert: "FlowspanSlowReader",
    where: { pod: "writer" },
    start: async () => {
      const file = join(client("reader").place.cgroup, "cgroup.freeze");
      const held = client("writer").start("hold", { to: [to("reader")], count: 1 });
      await held.ready();
      writeFileSync(file, "1");
      const sent = held.send(20_000_003, 0, TIMEOUT_MS);
      return {
        end: async () => {
          writeFileSync(file, "0");
          await sent;
        },
      };
    },
  },
  {
    alert: "FlowspanPartition",
    where: { node: "node-1" },
    start: async () => {
      const [near, far] = [
        ["near-1", "near-2"],
        ["far-1", "far-2"],
      ] as const;
      const ask = (key: string, others: readonly string[]) => {
        const options = { count: 0, parallel: 8, paceMs: 100, cancelMs: 3_000 };
        client(key).start("send", { to: others.map((other) => to(other)), ...options });
      };
      ask(near[0], far);
      ask(far[0], near);
      const cuts = [await monitored.lab.cut("node-1", "node-3"), await monitored.lab.cut("node-3", "node-1")];
      return { end: () => Promise.all(cuts.map((cut) => cut.remove())) };
    },
  },
  // The same fault, as the other end sees it.
  { alert: "FlowspanPartition", where: { node: "node-3" }, start: async () => running() },
];

/** Two faults of one node's traffic at once may look like the node's own in the interval in which the network breaks. */
const MAY_BE_SEEN: ReadonlySet<string> = new Set(["FlowspanRetransmits node-1"]);

test(
  "each trouble fires the alert of its finding, with the name of who has it, and resolves it when it is over",
  async () => {
    const expected = TROUBLES.map(nameOf).sort();
    startedS = Date.now() / 1000;
    const started = await Promise.all(TROUBLES.map((trouble) => trouble.start()));
    const seen = new Set<string>();
    const look = async () => {
      for (const each of await firing()) seen.add(each);
      return expected.filter((each) => !seen.has(each));
    };

    const left = await askUntil(look, (still) => still.length === 0, DEADLINE_MS);
    await Promise.all(started.map(({ end }) => end()));
    const after = await askUntil(firing, (still) => still.length === 0, DEADLINE_MS);

    expect({ left, seen: unique([...seen]), after }).toEqual({ left: [], seen: expected, after: [] });
  },
  TIMEOUT_MS,
);

test(
  "the findings' dashboard has shown each of them, by its name and at its place, and shows none any more",
  async () => {
    const shown = async (panel: string) => {
      const asked = PANELS.find(({ name }) => name === `flowspan-findings: ${panel}, A`);
      const query = filledIn(asked?.expr ?? "", "30s");
      const isOver = (samples: readonly { readonly value: number }[]) => samples.every(({ value }) => value === 0);
      const now = await monitored.prometheus.queryOnce(query, isOver, DEADLINE_MS);
      const lines = await monitored.prometheus.queryRange(query, { start: startedS, end: Date.now() / 1000, step: 1 });
      const once = lines.filter(({ values }) => values.some((value) => value > 0));
      return { labels: once.map(({ labels }) => labels), isOver: isOver(now) };
    };

    const panels = ["Active findings", "Active findings by name", "Active findings by place"];
    const [table, byName, byPlace] = await Promise.all(panels.map(shown));

    expect(PANELS.map(({ name }) => name)).toEqual(panels.map((panel) => `flowspan-findings: ${panel}, A`));

    const alertOf = ({ flowspan_finding_name: name = "" }: Labels) => findingAlertName(name);
    const expected = TROUBLES.map(nameOf);
    const [alerts, places] = [0, 1].map((part) => unique(expected.map((name) => name.split(" ")[part] as string)));
    expect(unique(table?.labels.map((labels) => `${alertOf(labels)} ${placeOf(labels)}`))).toEqual(unique(expected));
    expect(unique(byName?.labels.map(alertOf))).toEqual(alerts);
    expect(unique(byPlace?.labels.map(placeOf))).toEqual(places);
    expect([table, byName, byPlace].map((each) => each?.isOver)).toEqual([true, true, true]);
  },
  TIMEOUT_MS,
);

test("each alert that this file is for has fired and is resolved", () =>
  expectSeen(monitored, "finding-alerts.test.ts"));

/** Sorted, without what may or may not be there. */
function unique(names: readonly string[] = []): string[] {
  return [...new Set(names)].filter((name) => !MAY_BE_SEEN.has(name)).sort();
}

function nameOf({ alert, where }: Trouble): string {
  return alertAt(monitored, alert, where);
}

function firing(): Promise<string[]> {
  return firingAt(
    monitored,
    TROUBLES.map(({ alert }) => alert),
  );
}
