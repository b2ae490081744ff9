/**
 * Connections that open, carry one small request and close: what the hooks cost each, and whether every one
 * is seen at any rate.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Counts, Endpoint } from "../lab/programs/workload.ts";
import type { Lab } from "../lab/world/lab.ts";
import { Books, oneNode } from "./books.ts";
import { cgroupCpuUs, hookCost, type Scale, withBpfStats } from "./measure.ts";
import { compare, methodOf } from "./on-off.ts";
import { costRow, rateRow } from "./on-off-rows.ts";
import { type BudgetName, number, type Row, verdictOf } from "./table.ts";

/** Ports taken in turn, so that a port pair in TIME_WAIT is not in the way of the next burst. */
const PORTS = 100;
const PORTS_A_BURST = 4;
const FIRST_PORT = 9000;

export async function measureShortConnections({ quick }: Scale): Promise<Row[]> {
  const lab = await oneNode();
  try {
    await keepTimeWait(lab);
    const listen = Array.from({ length: PORTS }, (_, i) => ({ port: FIRST_PORT + i }));
    const server = await lab.pod("server").serve({ listen, workers: 2 });
    const rows = [
      ...(await onOff(lab, quick)),
      ...(await inKernel(lab, quick ? 5_003 : 30_011)),
      await seenAt(lab, "seen-5000", 5_000, quick ? 1 : 4),
      await seenAt(lab, "seen-20000", 20_000, quick ? 1 : 4),
    ];
    await server.close();
    return rows;
  } finally {
    await lab.close();
  }
}

/**
 * All of some minutes' connections fit into TIME_WAIT. Beyond the kernel's limit a server that closed first answers
 * its client's FIN with a RST: then every connection is a failure, which is another workload.
 */
async function keepTimeWait(lab: Lab): Promise<void> {
  const raise = "echo 4000000 >/proc/sys/net/ipv4/tcp_max_tw_buckets";
  const { code, stderr } = await lab.pod("server").exec(["sh", "-c", raise]);
  if (code !== 0) throw new Error(`tcp_max_tw_buckets: ${stderr}`);
}

let nextPort = 0;

function endpoints(lab: Lab): Endpoint[] {
  return Array.from({ length: PORTS_A_BURST }, () => ({
    address: lab.pod("server").ips.v4,
    port: FIRST_PORT + (nextPort++ % PORTS),
  }));
}

/** Opens and closes `count` connections as fast as it goes, or at a rate. */
function churn(lab: Lab, count: number, perSecond?: number): Promise<Counts> {
  const workers = 2;
  const pace = perSecond === undefined ? {} : { paceMs: (workers * 1000) / perSecond };
  return lab.pod("client").play("churn", { to: endpoints(lab), count, workers, parallel: 64, ...pace });
}

const SPANS = "spans";
const METRICS = "metrics";

async function onOff(lab: Lab, quick: boolean): Promise<Row[]> {
  const settings = { [SPANS]: {}, [METRICS]: { OTEL_TRACES_EXPORTER: "none" } };
  const [plan, count] = quick
    ? [{ blocks: 1, bursts: 1, settings }, 1_009]
    : [{ blocks: 16, bursts: 4, settings }, 4_001];
  const { ns, cpuUs } = await compare(lab, plan, async () => {
    const cpuBefore = cgroupCpuUs(lab.nodeCgroup("node-1"));
    const begun = process.hrtime.bigint();
    const { opened } = await churn(lab, count);
    const took = Number(process.hrtime.bigint() - begun) / opened;
    return { ns: took, cpuUs: (cgroupCpuUs(lab.nodeCgroup("node-1")) - cpuBefore) / opened };
  });
  const how = `${methodOf(plan)} of ${number(count)} connections, both ends with their softirqs`;
  const cost = { how, limit: 1.06, off: `${number(cpuUs.off, 1)} µs` };
  const rate = { how, limit: 1 / 0.95, off: `${number(1e9 / ns.off)} a second` };
  return [
    costRow(cpuUs, SPANS, { ...cost, budget: "short-cpu" }),
    costRow(cpuUs, METRICS, { ...cost, budget: "short-cpu-metrics" }),
    rateRow(ns, SPANS, { ...rate, budget: "short-rate" }),
    rateRow(ns, METRICS, { ...rate, budget: "short-rate-metrics" }),
  ];
}

async function inKernel(lab: Lab, count: number): Promise<Row[]> {
  const plain = await kernelCost(lab, count, false);
  const recorded = await kernelCost(lab, count, true);
  const { records, lost, opened } = recorded;
  const how = `bpf_stats over ${number(plain.opened)} connections, less the time of a program that returns at once (${number(plain.overheadNs)} ns) for each run`;
  return [
    {
      budget: "short-kernel",
      measured: `${number(plain.us, 2)} µs in ${number(plain.runs, 1)} runs (${number(plain.grossUs, 2)} µs with what measuring costs)`,
      verdict: verdictOf(plain.us <= 2.5),
      how,
    },
    {
      budget: "short-records",
      measured: `${number(recorded.us - plain.us, 2)} µs for two records: trace ids, sampling, ring buffer`,
      verdict: verdictOf(records + lost === 2 * opened),
      how: `the same again with ${number(records)} records of ${number(opened)} connections decoded and ${lost} lost by name, less the line above`,
    },
  ];
}

/** Losses that take a record each: `_detail` are those that do not. */
function lostRecords({ losses }: Books): number {
  return Object.entries(losses).reduce((sum, [name, count]) => sum + (name.endsWith("_detail") ? 0 : count), 0);
}

/** What the hooks cost a connection, net of measuring, in a run of its own. */
async function kernelCost(lab: Lab, count: number, isRecorded: boolean) {
  let records = 0;
  const books = isRecorded ? await Books.open(lab, () => records++) : await Books.open(lab);
  try {
    return await withBpfStats(async () => {
      const { programs: before } = await books.exchange();
      const { opened } = await churn(lab, count);
      await books.untilClosed(opened);
      if (isRecorded) await books.until(() => records + lostRecords(books) >= 2 * opened);
      const { runs, ns, overheadNs } = hookCost(before, books.last.programs);
      return {
        opened,
        records,
        lost: lostRecords(books),
        runs: runs / opened,
        us: (ns - overheadNs) / opened / 1000,
        grossUs: ns / opened / 1000,
        overheadNs: overheadNs / runs,
      };
    });
  } finally {
    await books.close();
  }
}

/** Whether both ends' books hold every connection and byte of the workload's own count. */
export function exactness(
  books: Books,
  counts: Counts,
  held = 0,
): { readonly isExact: boolean; readonly text: string } {
  const { client, server } = books.sums;
  const wanted = [counts.opened, counts.closed, counts.bytesSent, counts.bytesReceived];
  const ofClient = [client.opened, client.closed, client.bytesSent, client.bytesReceived];
  const ofServer = [server.opened, server.closed, server.bytesReceived, server.bytesSent];
  const losses = JSON.stringify(books.losses);
  const isExact =
    losses === "{}" &&
    wanted.every((value, i) => value === ofClient[i] && value === ofServer[i]) &&
    [client.open, server.open].every((open) => open === held);
  if (isExact) return { isExact, text: `all ${number(counts.opened)} at both ends, bytes too` };
  const text = `opened, closed, bytes: workload ${wanted}; client ${ofClient}; server ${ofServer}; losses ${losses}, ${books.skipped} runs skipped`;
  return { isExact, text };
}

async function seenAt(lab: Lab, budget: BudgetName, perSecond: number, seconds: number): Promise<Row> {
  const books = await Books.open(lab);
  try {
    const begun = performance.now();
    const walks = new AbortController();
    const played = churn(lab, perSecond * seconds, perSecond).finally(() => walks.abort());
    const exchanged = exchangeOften(books, walks.signal);
    const counts = await played;
    const rate = counts.opened / ((performance.now() - begun) / 1000);
    await exchanged;
    await books.untilClosed(counts.opened);
    const { isExact, text } = exactness(books, counts);
    return {
      budget,
      measured: `${text}; ${number(rate)} a second came about`,
      verdict: verdictOf(isExact),
      how: "opens, closes and bytes of both ends' edges against the workload's own count, no loss reported, ten walks a second",
    };
  } finally {
    await books.close();
  }
}

/** Walks meanwhile, as in production, only more often. */
async function exchangeOften(books: Books, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await books.exchange();
    await delay(100, undefined, { signal: stop }).catch((error: Error) => {
      if (error.name !== "AbortError") throw error;
    });
  }
}
