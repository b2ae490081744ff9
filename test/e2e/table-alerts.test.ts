/**
 * The alerts of a probe near its memory limit and of more cgroups with connections than it keeps the names of, on a real Prometheus, from a
 * real probe. One minute of the rules is one second here, thresholds in seconds too; nothing else differs.
 *
 *   lab ─ probe in a memory group ─ agent ─ the real Collector ─ Prometheus with the rules, sixty times as fast
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { CGROUPS_MAX } from "../../monitoring/alerts/health-alerts.ts";
import { pace } from "../../monitoring/alerts/rule.ts";
import { rulesFile } from "../../monitoring/alerts/rules-file.ts";
import { ruleGroups } from "../../monitoring/generate.ts";
import { connectFromEach } from "../lab/programs/crowd.ts";
import { describe as describeLab } from "../lab/world/describe.ts";
import { runDirectory } from "../lab/world/leftovers.ts";
import { MemoryGroup } from "../lab/world/memory-group.ts";
import { missing, needs } from "../machine/needs.ts";
import { MonitoredLab } from "./monitored-lab.ts";
import { expectSeen } from "./seen-alerts.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus"] as const;
const test = needs(...NEEDS);
const TIMEOUT_MS = 240_000;
const PORT = 8080;
/** More than nine tenths of those whose names are kept, and not as many as these. */
const CGROUPS = Math.round(0.93 * CGROUPS_MAX);
const LONG_IDLE_MS = 300_000;
const SHORT_IDLE_MS = 1_000;

let monitored: MonitoredLab;
let memory: MemoryGroup;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const fast = pace(1);
  monitored = await MonitoredLab.start(describeLab({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }), {
    rules: rulesFile(ruleGroups(fast), fast),
    scrapeMs: 1000,
  });
  await monitored.lab.pod("server").serve({ listen: [{ port: PORT }] });
  memory = new MemoryGroup(monitored.lab.id);
  await monitored.startCollector();
  await monitored.watch("node-1", {
    agentArguments: ["--config", configure(LONG_IDLE_MS)],
    probeEnter: memory.enter,
  });
}, TIMEOUT_MS);

afterAll(() => monitored?.close());

test(
  "a probe near its memory limit alerts until the limit is raised",
  async () => {
    memory.limit(Math.round(1.05 * memory.usage));
    expect(await monitored.untilFired(["FlowspanProbeMemoryNearLimit"])).toEqual([]);

    memory.limit(4 * memory.usage);
    expect(await monitored.untilResolved(["FlowspanProbeMemoryNearLimit"])).toEqual([]);
    expect(memory.kills).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "connections of almost as many cgroups as the probe keeps the names of alert until their edges have left",
  async () => {
    const { lab } = monitored;
    const directory = join(lab.nodeCgroup("node-1"), "system.slice");
    await connectFromEach(lab.pod("client").place, directory, CGROUPS, {
      address: lab.pod("server").ips.v4,
      port: PORT,
    });
    expect(await monitored.untilFired(["FlowspanCgroupTableFull"])).toEqual([]);
    const [usage] = await monitored.prometheus.query("flowspan_cgroups_usage");
    // And that of the server.
    expect(usage?.value).toBe(CGROUPS + 1);

    configure(SHORT_IDLE_MS);
    expect(await monitored.untilResolved(["FlowspanCgroupTableFull"])).toEqual([]);
  },
  TIMEOUT_MS,
);

test("each alert that this file is for has fired and is resolved", () => expectSeen(monitored, "table-alerts.test.ts"));

/** Readable by the agent's user, which takes it at once. One tenant may hold all edges. */
function configure(idleMs: number): string {
  const { lab, endpoint } = monitored;
  const path = join(runDirectory(lab.id), "flowspan.yaml");
  const config = {
    file_format: "1.1",
    meter_provider: { readers: [{ periodic: { exporter: { otlp_grpc: { endpoint } } } }] },
    distribution: { flowspan: { probe: { idle: idleMs, share: 10_000 } } },
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o644 });
  return path;
}
