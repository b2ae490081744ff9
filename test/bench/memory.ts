/**
 * Resident memory: of the agent on a busy node, of the probe with a large edge table.
 */
import type { Lab } from "../lab/lab.ts";
import { Books, oneNode } from "./books.ts";
import { BUSY_NODE, FEWER_WORKLOADS, type WorldSize, withLoadedAgent } from "./loaded-agent.ts";
import { processResident, type Resident, type Scale } from "./measure.ts";
import { mebibytes, number, type Row, verdictOf } from "./table.ts";

const MIB = 1024 * 1024;
const INTERVAL_MS = 2000;

export async function measureMemory(scale: Scale): Promise<Row[]> {
  return [await agentMemory(scale), await probeMemory()];
}

async function agentMemory(scale: Scale): Promise<Row> {
  const most = await mostResident(BUSY_NODE, scale);
  const fewer = await mostResident(FEWER_WORKLOADS, scale);
  const { allBytes, fileBytes } = most;
  return {
    budget: "agent-memory",
    measured: `${mebibytes(allBytes)} with 10,000 flows, ${mebibytes(fewer.allBytes)} with 1,000; ${mebibytes(fileBytes)} of it is Node's program file`,
    verdict: verdictOf(allBytes <= 80 * MIB),
    how: "the most that VmRSS of the bundled agent is, read ten times a second; 10,000 flows are edges that all lead to different workloads, 1,000 are ten pods to a workload",
  };
}

/** The largest reading, while whole exchanges come and go. */
async function mostResident(size: WorldSize, { quick }: Scale): Promise<Resident> {
  return withLoadedAgent(size, INTERVAL_MS, async (agent) => {
    let most = processResident(agent.pid);
    const read = () => {
      const now = processResident(agent.pid);
      if (now.allBytes > most.allBytes) most = now;
    };
    const reading = setInterval(read, 100);
    await agent.until(agent.progress().exchanges + (quick ? 3 : 15));
    clearInterval(reading);
    return most;
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
  const listen = Array.from({ length: ports }, (_, i) => ({ address: "127.0.0.1", port: 9000 + i }));
  const server = await pod.serve({ listen, workers: 1 });
  await pod.play("churn", {
    to: listen,
    from: Array.from({ length: addresses }, (_, i) => `127.0.1.${i + 1}`),
    count: addresses * ports,
    workers: 1,
  });
  await server.close();
}
