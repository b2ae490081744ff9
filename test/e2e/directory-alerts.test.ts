/**
 * The alerts of a process near its memory limit, of a directory that refuses, that agents do not reach, and that is gone, on a real
 * Prometheus, from a real directory. One minute of the rules is one second here, thresholds in seconds too; nothing else differs.
 *
 *   directory ─┬─► the real Collector ─► Prometheus with the rules, sixty times as fast
 *   agent ─────┘
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect } from "vitest";
import { FOLLOW } from "../../agent/directory/protocol.ts";
import { pace } from "../../monitoring/alerts/rule.ts";
import { rulesFile } from "../../monitoring/alerts/rules-file.ts";
import { ruleGroups } from "../../monitoring/generate.ts";
import { type DirectoryProcess, startDirectory, untilReady } from "../components/directory.ts";
import { describe as describeLab } from "../lab/world/describe.ts";
import { runDirectory } from "../lab/world/leftovers.ts";
import { MemoryGroup } from "../lab/world/memory-group.ts";
import { missing, needs } from "../machine/needs.ts";
import { MonitoredLab } from "./monitored-lab.ts";
import { expectSeen } from "./seen-alerts.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "otelcol", "prometheus"] as const;
const test = needs(...NEEDS);
const TIMEOUT_MS = 240_000;
let monitored: MonitoredLab;
let memory: MemoryGroup;
let directory: DirectoryProcess | undefined;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const fast = pace(1);
  monitored = await MonitoredLab.start(describeLab({ nodes: 1, pods: [{ key: "client" }] }), {
    rules: rulesFile(ruleGroups(fast), fast),
    scrapeMs: 1000,
  });
  await monitored.startCollector();
  memory = new MemoryGroup(monitored.lab.id);
  directory = await startReplica();
}, TIMEOUT_MS);

afterAll(async () => {
  await directory?.kill("SIGKILL");
  await monitored?.close();
});

test(
  "a directory near its memory limit, and one that refuses what makes no sense, alert until that is over",
  async () => {
    if (directory === undefined) throw new Error("the directory did not start");
    await sendNonsense(directory.address);
    const { rss } = (await directory.status()).memory;
    memory.limit(Math.round(1.04 * rss));
    expect(await monitored.untilFired(["FlowspanMemoryNearLimit", "FlowspanDirectoryRefuses"])).toEqual([]);

    memory.limit(4 * rss);
    expect(await monitored.untilResolved(["FlowspanMemoryNearLimit", "FlowspanDirectoryRefuses"])).toEqual([]);
    expect(memory.kills).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "a directory that an agent does not reach alerts, and when it is gone so does that, until a replica reports again; so does the agent until it is gone",
  async () => {
    const agent = await monitored.watch("node-1", { agentArguments: ["--config", agentConfig(monitored)] });
    expect(await monitored.untilFired(["FlowspanDirectoryAgentsMissing"])).toEqual([]);

    await directory?.kill("SIGKILL");
    expect(await monitored.untilFired(["FlowspanDirectoryDown"])).toEqual([]);

    directory = await startReplica();
    expect(await monitored.untilResolved(["FlowspanDirectoryDown"])).toEqual([]);
    expect(await monitored.untilFired(["FlowspanDirectoryAgentsMissing"])).toEqual([]);

    await agent.stop();
    expect(await monitored.untilResolved(["FlowspanDirectoryAgentsMissing"])).toEqual([]);
  },
  TIMEOUT_MS,
);

test("each alert that this file is for has fired and is resolved", () =>
  expectSeen(monitored, "directory-alerts.test.ts"));

/** In the memory group, with its own metrics for the Collector. */
async function startReplica(): Promise<DirectoryProcess> {
  const { kubeconfig, endpoint } = monitored;
  const settings = { directory: { insecure: true }, kubernetes: { kubeconfig }, interval: 500 };
  const replica = await startDirectory({ settings, endpoint, through: memory.enter });
  await untilReady(replica);
  return replica;
}

/** Readable by the agent's user: of an agent that asks where no replica is. */
function agentConfig({ lab, endpoint, kubeconfig }: MonitoredLab): string {
  const path = join(runDirectory(lab.id), "directory-agent.yaml");
  const config = {
    file_format: "1.1",
    meter_provider: { readers: [{ periodic: { exporter: { otlp_grpc: { endpoint } } } }] },
    distribution: {
      flowspan: {
        kubernetes: { kubeconfig, metadata: "directory" },
        directory: { addresses: ["127.0.0.1:9"], insecure: true },
      },
    },
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o644 });
  return path;
}

/** What is no question, as an agent of another make sends it. */
async function sendNonsense(address: string): Promise<void> {
  const client = new Client(address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = FOLLOW;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  call.on("data", () => {});
  const code = new Promise<number>((resolve) => call.on("error", (error: ServiceError) => resolve(error.code)));
  call.write(Buffer.alloc(23, 0xff));
  expect(await code).toBe(status.INVALID_ARGUMENT);
  client.close();
}
