/**
 * The shipped alerts on a real Prometheus, from real faults in a lab: they are seen firing while its fault lasts, and not any
 * more after it. One minute of the rules is one second here (`pace`), thresholds in seconds too; nothing else differs.
 *
 *   lab ─ probe ─ agent ─ the real Collector ─ Prometheus with the rules, sixty times as fast
 */
import { readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { pace } from "../../monitoring/alerts/rule.ts";
import { rulesFile } from "../../monitoring/alerts/rules-file.ts";
import { ruleGroups } from "../../monitoring/generate.ts";
import type { NodeAgent } from "../lab/agents/agents.ts";
import { output } from "../lab/programs/run.ts";
import { clientArguments, Workload } from "../lab/programs/workload.ts";
import { describe as describeLab } from "../lab/world/describe.ts";
import type { Lab } from "../lab/world/lab.ts";
import { runDirectory } from "../lab/world/leftovers.ts";
import { missing, needs } from "../machine/needs.ts";
import { MonitoredLab } from "./monitored-lab.ts";
import { toldCommands, toldQueries } from "./runbooks.ts";
import { expectSeen } from "./seen-alerts.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus"] as const;
const test = needs(...NEEDS);
const BOOKMARK_MS = 500;
const PORT = 8080;
/** Of node-2's table: the smallest that the probe allows. */
const EDGES = 16;
/** More than a probe adopts from an accept queue. */
const WAITING = 97;
const UNSEEN = 23;

describe("alerts of flowspan's own health", () => {
  let monitored: MonitoredLab;
  let lab: Lab;
  let first: NodeAgent;
  let second: NodeAgent;
  let stuck: Workload;
  let bookmarks: NodeJS.Timeout;

  /** A real API server confirms each list every minute or two, which would be old here. */
  const confirm = () => setInterval(() => monitored.api.bookmark(), BOOKMARK_MS);

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const pods = [{ key: "client" }, { key: "half" }, { key: "stuck" }, ...["server", "many"].map(onSecond)];
    const fast = pace(1);
    monitored = await MonitoredLab.start(describeLab({ nodes: 2, pods }), {
      rules: rulesFile(ruleGroups(fast), fast),
      scrapeMs: 2000,
    });
    bookmarks = confirm();
    lab = monitored.lab;
    await lab.pod("server").serve({ listen: [{ port: PORT }] });
    stuck = await lab.pod("stuck").serve({ listen: [{ port: PORT, mode: "stuck", backlog: 128 }] });
    // Older than the probes, and not accepted.
    await lab
      .pod("client")
      .start("hold", { to: to("stuck"), count: WAITING })
      .ready();
    lab.pod("half").spawn(["sleep", "infinity"]);
    await monitored.startCollector({ resourceLabels: false });
    const agentArguments = ["--config", configFile(monitored)];
    [first, second] = await Promise.all([
      monitored.watch("node-1", { agentArguments }),
      monitored.watch("node-2", { agentArguments, probeArguments: ["--edges", String(EDGES)] }),
    ]);
  });

  afterAll(async () => {
    clearInterval(bookmarks);
    await monitored?.close();
  });

  test("labels are missing while the Collector keeps Resource attributes back, and agents are absent while it is away", async () => {
    await fire("FlowspanLabelsMissing");
    await monitored.stopCollector();
    await fire("FlowspanAbsent");
    await monitored.startCollector();
    // Its return brings the count of the requests that nobody took.
    await fire("FlowspanExportsFailing");
    await resolve("FlowspanAbsent", "FlowspanLabelsMissing", "FlowspanExportsFailing");
  });

  test("unseen connections, a full table, old names, spans that nobody takes and sockets that no program knew alert together, each by its name", async () => {
    const traffic = lab.pod("client").start("send", { to: to("server"), count: 0, parallel: 4, paceMs: 50 });
    const address = lab.pod("server").ips.v4;
    const closedPorts = Array.from({ length: 2 * EDGES }, (_, index) => ({ address, port: 9000 + index }));
    const many = lab.pod("many").start("fail", { to: closedPorts, count: 0, parallel: 8 });
    clearInterval(bookmarks);
    await unseen(UNSEEN);
    await stuck.close();

    await fire(
      ...["FlowspanBlind", "FlowspanDetailLost", "FlowspanEdgeTableFull", "FlowspanFactsLost"],
      ...["FlowspanMetadataStale", "FlowspanSpansDropped"],
    );

    bookmarks = confirm();
    await Promise.all([traffic.close(), many.close()]);
    await lab.pod("half").play("send", { to: to("server"), count: 3 * UNSEEN });
    await fire("FlowspanCoverageLow");
    await lab.pod("half").play("send", { to: to("server"), count: 17 * UNSEEN });
    // Coverage is of all since the agent saw a namespace: that of the overflowed server's stays low.
    await resolve(
      ...["FlowspanDetailLost", "FlowspanEdgeTableFull", "FlowspanFactsLost"],
      ...["FlowspanMetadataStale", "FlowspanSpansDropped"],
    );
  });

  test("an agent that ended and a probe that ended alert until others have taken their places", async () => {
    await Promise.all([second.agent.stop(), first.probe.stop()]);
    await fire("FlowspanAgentDown", "FlowspanProbeDown");

    await Promise.all([second.startAgent(), first.startProbe()]);
    await resolve("FlowspanAgentDown", "FlowspanProbeDown");
  });

  test("a probe whose pins are gone alerts until another one has begun anew", async () => {
    rmSync(second.pins, { recursive: true });
    await fire("FlowspanProbeTrouble");

    await second.probe.stop();
    await second.startProbe();
    await resolve("FlowspanProbeTrouble");
  });

  test("what an agent has not seen is no alert of the next one, whose coverage begins anew", async () => {
    await first.agent.stop();
    await first.startAgent();
    await resolve("FlowspanBlind", "FlowspanCoverageLow");
  });

  test("each alert that this file is for has fired and is resolved", () => expectSeen(monitored, "alerts.test.ts"));

  test("every query of a runbook is one that Prometheus answers", async () => {
    const answered = await Promise.all(toldQueries().map(({ text }) => monitored.prometheus.query(text)));

    expect(answered.length).toBeGreaterThan(20);
  });

  test("every command of a runbook that needs no cluster runs on the node, in a pod's network by the process that the documents find", async () => {
    const document = readFileSync(join(import.meta.dirname, "../../docs/alerts-and-dashboards.md"), "utf8");
    const [command = ""] = document.match(/(?<=^ {4})find .*$/m) ?? [];
    const uid = monitored.lab.description.pods.find(({ key }) => key === "half")?.uid ?? "";
    const find = command.replace("UID", uid).replace("/sys/fs/cgroup", lab.nodeCgroup("node-1"));
    const pid = (await output(["sh", "-c", find])).stdout.trim();

    const commands = toldCommands().filter(({ text }) => !text.startsWith("kubectl"));
    const outputs = commands.map(({ text }) => output(["sh", "-c", text.replace("-t PID", `-t ${pid}`)]));

    const failed = (await Promise.all(outputs)).flatMap(({ code, stderr }, i) =>
      code === 0 ? [] : [`${commands[i]?.text}: ${stderr}`],
    );
    expect(failed).toEqual([]);
    expect(readlinkSync(`/proc/${pid}/ns/net`)).toBe(await netnsOf("half"));
    expect(commands.length).toBeGreaterThan(15);
  });

  test("no alert's text has a part that Prometheus could not fill in", async () => {
    const response = await fetch(`${monitored.prometheus.url}/api/v1/rules?type=alert`);
    const text = await response.text();

    expect(text).not.toMatch(/<error|<no value>/);
    expect(text.match(/"health":"ok"/g)?.length).toBeGreaterThan(10);
    expect(text).not.toMatch(/"health":"(?!ok)/);
  });

  async function netnsOf(pod: string): Promise<string> {
    const { stdout } = await lab.pod(pod).exec(["readlink", "/proc/self/ns/net"]);
    return stdout.trim();
  }

  function to(pod: string) {
    return [{ address: lab.pod(pod).ips.v4, port: PORT }];
  }

  /** Connections from a pod's namespace by processes of no node: no probe counts them. */
  async function unseen(count: number): Promise<void> {
    const { netns } = lab.pod("half").place;
    const client = new Workload(
      { cgroup: lab.outsideCgroup, netns },
      clientArguments("send", { to: to("server"), count }),
    );
    await client.end();
  }

  /** Each of them has fired once. */
  async function fire(...alerts: string[]): Promise<void> {
    expect(await monitored.untilFired(alerts), await numbers()).toEqual([]);
  }

  /** What the alerts that can lack a cause are of, for the message. */
  async function numbers(): Promise<string> {
    const asked = ["netns:flowspan_coverage_connections_ratio:min", "node:flowspan_edges:usage_limit"];
    const samples = await Promise.all(asked.map((name) => monitored.prometheus.query(name)));
    return samples
      .flat()
      .map(({ labels, value }) => `${JSON.stringify(labels)} ${value}`)
      .join("\n");
  }

  async function resolve(...alerts: string[]): Promise<void> {
    expect(await monitored.untilResolved(alerts)).toEqual([]);
  }
});

function onSecond(key: string) {
  return { key, node: "node-2" };
}

/** Readable by the agents' user. Edges go soon, one pod may hold all of them, all connections become spans, and nobody takes these. */
function configFile({ lab, endpoint }: MonitoredLab): string {
  const path = join(runDirectory(lab.id), "flowspan.yaml");
  const batch = { max_queue_size: 8, max_export_batch_size: 8, schedule_delay: 100 };
  const nowhere = { otlp_grpc: { endpoint: "http://127.0.0.1:9" } };
  const config = {
    file_format: "1.1",
    meter_provider: { readers: [{ periodic: { exporter: { otlp_grpc: { endpoint } } } }] },
    tracer_provider: { processors: [{ batch: { ...batch, exporter: nowhere } }] },
    distribution: { flowspan: { probe: { idle: 5000, share: 10_000 }, spans: { sampling: { probability: 1 } } } },
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o644 });
  return path;
}
