/**
 * What spans cost: on the pure way, in an agent that has very many of them, and in agent and probe beside a busy workload.
 */
import { NodeAgent } from "../lab/agents/agents.ts";
import type { Lab } from "../lab/world/lab.ts";
import { Receiver } from "../otlp/receiver.ts";
import { decodeSpans } from "../otlp/spans.ts";
import { oneNode } from "./books.ts";
import { type WorldSize, withLoadedAgent } from "./loaded-agent.ts";
import { processCpuUs, processResident, type Scale } from "./measure.ts";
import { measureSpanPath } from "./span-path.ts";
import { mebibytes, number, type Row, verdictOf } from "./table.ts";

const PER_SECOND = 5_000;
const PORT = 8080;
const INTERVAL_MS = 15_000;

export async function measureSpans(scale: Scale): Promise<Row[]> {
  return [await measureSpanPath(scale), await manySpans(scale), await besideConnections(scale)];
}

/** As many as no kernel's limit lets through, from a stand-in for the probe. */
async function manySpans({ quick }: Scale): Promise<Row> {
  const size: WorldSize = {
    localPods: 100,
    knownPods: 1_200,
    workloads: 100,
    edges: 1_000,
    spansPerSecond: PER_SECOND,
  };
  const [intervalMs, exchanges] = quick ? [1_000, 3] : [INTERVAL_MS, 4];
  return withLoadedAgent(size, intervalMs, async (agent) => {
    const anonymous = () => {
      const { allBytes, fileBytes } = processResident(agent.pid);
      return allBytes - fileBytes;
    };
    const first = await agent.until(agent.progress().exchanges + 1);
    const [cpuBefore, memoryBefore, begun] = [processCpuUs(agent.pid), anonymous(), performance.now()];
    const last = await agent.until(first.exchanges + exchanges);
    const cpuUs = processCpuUs(agent.pid) - cpuBefore;
    const spans = last.spans - first.spans;
    const share = cpuUs / ((performance.now() - begun) * 1000);
    // What is on its way fills no more than two batches.
    const lost = last.records - last.spans > 1_024 ? last.records - last.spans : 0;
    return {
      budget: "span",
      measured: `${number(cpuUs / spans, 1)} µs: ${number(spans)} spans, ${number(share * 100, 1)} % of a core, ${lost} lost; anonymous memory ${mebibytes(memoryBefore)} → ${mebibytes(anonymous())}`,
      verdict: verdictOf(cpuUs / spans <= 15 && lost === 0),
      how: `CPU of all threads of the bundled agent over ${exchanges} intervals of ${intervalMs / 1000} s, with all that it does for metrics of ${number(size.edges)} edges; probe and receiver in another process`,
    };
  });
}

/** The default sampling keeps one healthy connection in a hundred, at both ends; both are on this node. */
async function besideConnections({ quick }: Scale): Promise<Row> {
  const lab = await oneNode();
  try {
    const server = await lab.pod("server").serve({ listen: [{ port: PORT }], workers: 1 });
    const seconds = quick ? 3 : 30;
    const spans = await besideOne(lab, seconds, {});
    const without = await besideOne(lab, seconds, { OTEL_TRACES_EXPORTER: "none" });
    await server.close();
    return {
      budget: "span-beside",
      measured: `${number(spans.share * 100, 2)} %, without spans ${number(without.share * 100, 2)} %: ${number(((spans.share - without.share) * 1e6) / (spans.perSecond || 1), 1)} µs a span, ${number(spans.perSecond)} a second`,
      verdict: verdictOf(spans.share <= 0.006),
      how: `CPU of probe and agent together over ${seconds} s of ${number(spans.connections)} connections, both ends on this node, after as many to warm up; an export every ${INTERVAL_MS / 1000} s`,
    };
  } finally {
    await lab.close();
  }
}

interface Beside {
  /** Of a core. */
  readonly share: number;
  readonly perSecond: number;
  readonly connections: number;
}

async function besideOne(lab: Lab, seconds: number, env: Readonly<Record<string, string>>): Promise<Beside> {
  let spans = 0;
  const receiver = await Receiver.start({
    takeBytes: (signal, bytes) => {
      if (signal === "traces") spans += decodeSpans(bytes).length;
    },
  });
  const agent = new NodeAgent(lab, "node-1", { endpoint: receiver.endpoint, intervalMs: INTERVAL_MS, env });
  try {
    const probe = await agent.startProbe();
    const { pid } = await agent.startAgent();
    const cpuUs = () => processCpuUs(probe.pid) + processCpuUs(pid);
    const play = () => connections(lab, PER_SECOND * seconds);
    await play();
    const [before, begun, spansBefore] = [cpuUs(), performance.now(), spans];
    const opened = await play();
    const [usedUs, tookMs] = [cpuUs() - before, performance.now() - begun];
    return { share: usedUs / (tookMs * 1000), perSecond: (spans - spansBefore) / (tookMs / 1000), connections: opened };
  } finally {
    await agent.stop();
    await agent.unpin();
    await receiver.close();
  }
}

async function connections(lab: Lab, count: number): Promise<number> {
  const to = [{ address: lab.pod("server").ips.v4, port: PORT }];
  const { opened } = await lab
    .pod("client")
    .play("churn", { to, count, workers: 1, parallel: 64, paceMs: 1000 / PER_SECOND });
  return opened;
}
