/**
 * Alerts of findings that stand on the kernel's own evidence, on a real Prometheus, from the same faults that the accuracy campaign makes:
 * each is seen firing while its fault lasts, under the name of the pod or node that it is about, and resolved after it. All faults are
 * there at once, and each alert is its own fault's. What node-2 drops makes connects of node-1 fail and segments be sent again: that has
 * findings of node-1, and no alerts.
 *
 *   node-1: clients ── node-2: servers; a probe and an agent each ─ the real Collector ─ Prometheus with the rules
 */
import { afterAll, beforeAll, expect } from "vitest";
import type { FindingName } from "../../agent/generated/findings.ts";
import { findingAlertName } from "../../monitoring/alerts/finding-alerts.ts";
import { pace } from "../../monitoring/alerts/rule.ts";
import { rulesFile } from "../../monitoring/alerts/rules-file.ts";
import { ruleGroups } from "../../monitoring/generate.ts";
import { inject } from "../accuracy/faults.ts";
import { type Removable, SERVED } from "../accuracy/inject.ts";
import { APPLICATION_KINDS, LONELY_KINDS } from "../accuracy/scenario.ts";
import { askUntil } from "../components/running.ts";
import { describe as describeLab } from "../lab/world/describe.ts";
import { missing, needs } from "../machine/needs.ts";
import { alertAt, firingAt, type Where } from "./alerts-at-places.ts";
import { MonitoredLab } from "./monitored-lab.ts";
import { expectSeen } from "./seen-alerts.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus"] as const;
const test = needs(...NEEDS);
const DEADLINE_MS = 90_000;
const TIMEOUT_MS = 240_000;

/** Between `client` on node-1 and `server` on node-2, and whom the finding is about. */
interface Trouble {
  readonly kind: FindingName;
  readonly client: string;
  readonly server: string;
  readonly where: Where;
}

const TROUBLES: readonly Trouble[] = [
  { kind: "syn_cookies", client: "n1p1", server: "n2p1", where: { pod: "n2p1" } },
  { kind: "small_send_buffer", client: "n1p2", server: "n2p2", where: { pod: "n1p2" } },
  { kind: "socket_memory", client: "n1p3", server: "n2p3", where: { pod: "n1p3" } },
  { kind: "neighbour_unresolved", client: "n1p4", server: "n2p4", where: { pod: "n1p4" } },
  { kind: "packets_dropped", client: "n1p5", server: "n2p5", where: { node: "node-2" } },
  { kind: "mtu_black_hole", client: "n1p6", server: "n2p6", where: { node: "node-2" } },
  { kind: "ports_exhausted", client: "n1p7", server: "n2p7", where: { pod: "n1p7" } },
];
/** Where they are one fault of another node: they must not be seen. */
const SYMPTOMS: readonly FindingName[] = ["connect_unanswered", "retransmits"];
const ALERTS = [...TROUBLES.map(({ kind }) => kind), ...SYMPTOMS].map(findingAlertName);

function start({ kind, client, server }: Trouble): Promise<Removable> {
  const known = [...APPLICATION_KINDS, ...LONELY_KINDS].find((each) => each === kind);
  if (known === undefined) throw new Error(`nothing makes ${kind}`);
  return inject(monitored.lab, { kind: known, client, server });
}

let monitored: MonitoredLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const pods = TROUBLES.flatMap(({ client, server }) => [
    { key: client, node: "node-1" },
    { key: server, node: "node-2" },
  ]);
  monitored = await MonitoredLab.start(describeLab({ nodes: 2, pods }), {
    rules: rulesFile(ruleGroups(), pace()),
    scrapeMs: 1000,
  });
  const { lab } = monitored;
  await lab.pod("n2p7").serve({ listen: [{ port: SERVED }] });
  // Packets without a socket are counted in namespaces that a counted thread lives in.
  for (const node of ["node-1", "node-2"]) lab.host(node, "sleep.service").spawn(["sleep", "infinity"]);
  await monitored.startCollector();
  await Promise.all(["node-1", "node-2"].map((node) => monitored.watch(node)));
}, TIMEOUT_MS);

afterAll(() => monitored?.close());

test(
  "each trouble fires the alert of its finding, with the name of who has it, and resolves it when it is over",
  async () => {
    const expected = TROUBLES.map(({ kind, where }) => alertAt(monitored, findingAlertName(kind), where)).sort();
    const firing = () => firingAt(monitored, ALERTS);
    const faults = await Promise.all(TROUBLES.map(start));
    const seen = new Set<string>();
    const look = async () => {
      for (const each of await firing()) seen.add(each);
      return expected.filter((each) => !seen.has(each));
    };

    const left = await askUntil(look, (still) => still.length === 0, DEADLINE_MS);
    await Promise.all(faults.map((fault) => fault.remove()));
    const after = await askUntil(firing, (still) => still.length === 0, DEADLINE_MS);

    expect({ left, seen: [...seen].sort(), after }).toEqual({ left: [], seen: expected, after: [] });
  },
  TIMEOUT_MS,
);

test("each alert that this file is for has fired and is resolved", () =>
  expectSeen(monitored, "kernel-finding-alerts.test.ts"));
