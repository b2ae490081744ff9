/**
 * Resident memory: of the agent on a busy node, of the probe with a large edge table.
 */
import type { Lab } from "../lab/lab.ts";
import { Books, oneNode } from "./books.ts";
import { BUSY_NODE, withLoadedAgent } from "./loaded-agent.ts";
import { processRssBytes, type Scale } from "./measure.ts";
import { mebibytes, number, type Row, verdictOf } from "./table.ts";

const MIB = 1024 * 1024;
const INTERVAL_MS = 2000;

export async function measureMemory(scale: Scale): Promise<Row[]> {
  return [await agentMemory(scale), await probeMemory()];
}

async function agentMemory({ quick }: Scale): Promise<Row> {
  const rss = await withLoadedAgent(BUSY_NODE, INTERVAL_MS, async (agent) => {
    const readings: number[] = [];
    const { exchanges } = agent.progress();
    for (let more = 1; more <= (quick ? 3 : 15); more++) {
      await agent.until(exchanges + more);
      readings.push(processRssBytes(agent.pid));
    }
    return readings;
  });
  const most = Math.max(...rss);
  return {
    budget: "agent-memory",
    measured: `${mebibytes(most)} at most, ${mebibytes(rss.at(-1) as number)} at the end`,
    verdict: verdictOf(most <= 80 * MIB),
    how: `VmRSS of the bundled agent after each of ${rss.length} exchanges; peers of 1,000 workloads, so 10,000 flows`,
  };
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
