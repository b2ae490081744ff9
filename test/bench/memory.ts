/**
 * Resident memory: of the agent on a busy node, of the probe with a large edge table.
 */
import type { Lab } from "../lab/world/lab.ts";
import { ownManyAddresses } from "../lab/world/network.ts";
import { Books, oneNode } from "./books.ts";
import { BUSY_NODE, FEWER_WORKLOADS, type WorldSize, withLoadedAgent } from "./loaded-agent.ts";
import { processCpuUs, processResident, type Scale } from "./measure.ts";
import { mebibytes, number, type Row, verdictOf } from "./table.ts";

const MIB = 1024 * 1024;
const INTERVAL_MS = 2000;

export async function measureMemory(scale: Scale): Promise<Row[]> {
  return [
    await agentMemory("agent-memory", BUSY_NODE, { anonymous: 64, all: 115 }, scale),
    await agentMemory("agent-memory-1000", FEWER_WORKLOADS, { anonymous: 48, all: 100 }, scale),
    await probeMemory(),
  ];
}

/** @param must MiB */
async function agentMemory(
  budget: "agent-memory" | "agent-memory-1000",
  size: WorldSize,
  must: { readonly anonymous: number; readonly all: number },
  scale: Scale,
): Promise<Row> {
  const { allBytes, anonymousBytes, cpuUs, exchanges } = await mostResident(size, scale);
  return {
    budget,
    measured: `${mebibytes(anonymousBytes)} anonymous, ${mebibytes(allBytes)} RSS; ${number(cpuUs / exchanges / 1000)} ms of CPU an exchange`,
    verdict: verdictOf(anonymousBytes <= must.anonymous * MIB && allBytes <= must.all * MIB),
    how: `the most of the bundled agent, each by itself, read ten times a second over ${exchanges} exchanges; 10,000 edges, of which 10,000 flows all lead to different workloads, 1,000 to ten pods of a workload`,
  };
}

interface Most {
  readonly allBytes: number;
  /** What Kubernetes counts. */
  readonly anonymousBytes: number;
  readonly cpuUs: number;
  readonly exchanges: number;
}

/** The largest readings, while whole exchanges come and go. */
async function mostResident(size: WorldSize, { quick }: Scale): Promise<Most> {
  const exchanges = quick ? 3 : 15;
  return withLoadedAgent(size, INTERVAL_MS, async (agent) => {
    let [all, anonymous] = [0, 0];
    const read = () => {
      const { allBytes, fileBytes } = processResident(agent.pid);
      all = Math.max(all, allBytes);
      anonymous = Math.max(anonymous, allBytes - fileBytes);
    };
    read();
    const reading = setInterval(read, 100);
    const cpuBefore = processCpuUs(agent.pid);
    await agent.until(agent.progress().exchanges + exchanges);
    clearInterval(reading);
    return { allBytes: all, anonymousBytes: anonymous, cpuUs: processCpuUs(agent.pid) - cpuBefore, exchanges };
  });
}

/** 100 local addresses to 100 ports inside of one pod: 10,000 edges at each end. */
async function probeMemory(): Promise<Row> {
  const lab = await oneNode();
  try {
    const books = await Books.open(lab);
    await makeEdges(lab, 100, 100);
    await books.exchange();
    const { status } = await books.exchange();
    await books.close();
    return {
      budget: "probe-memory",
      measured: `${mebibytes(status.probeRssBytes)} with ${number(status.edges)} edges`,
      verdict: verdictOf(status.probeRssBytes <= 8 * MIB),
      how: "RSS as the probe reports it, after two exchanges with all edges",
    };
  } finally {
    await lab.close();
  }
}

async function makeEdges(lab: Lab, addresses: number, ports: number): Promise<void> {
  const pod = lab.pod("server");
  await ownManyAddresses(pod.place);
  const listen = Array.from({ length: ports }, (_, i) => ({ address: "127.0.0.1", port: 9000 + i }));
  const server = await pod.serve({ listen, workers: 1 });
  await pod.play("churn", {
    to: listen,
    from: Array.from({ length: addresses }, (_, i) => `198.18.0.${i + 1}`),
    count: addresses * ports,
    workers: 1,
  });
  await server.close();
}
