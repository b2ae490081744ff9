/**
 * `flowspan directory` with many pods: time until it is ready, peak memory, and how long a change takes from
 * the API server to an agent. The pods are generated as they are sent (cluster-server.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DirectoryClient } from "../../agent/directory/client/directory-client.ts";
import type { ClusterChange, Pod } from "../../agent/model/cluster-objects.ts";
import { cpuSeconds, type DirectoryProcess, startDirectory } from "../components/directory.ts";
import { Receiver } from "../otlp/receiver.ts";
import { podAddress } from "./cluster-server.ts";
import { type GeneratedCluster, peakBytes, startGeneratedCluster, timeUntil } from "./generated-cluster.ts";
import { median, processRssBytes, type Scale } from "./measure.ts";
import { mebibytes, number, type Row, verdictOf } from "./table.ts";

const MIB = 1024 * 1024;
const SYNC_MS = 300_000;
const CHANGES = 23;
/** Of the agent whose stream is open while memory is read. */
const ADDRESSES = 997;

export async function measureDirectory({ quick }: Scale): Promise<Row[]> {
  const [small, large] = quick ? [500, 5_000] : [10_000, 100_000];
  const reported = await measure(small);
  const rows = [row("directory-10000", reported, "ok")];
  const full = await measure(large);
  rows.push(row("directory-100000", full, verdictOf(full.peak <= 150 * MIB)));
  const { changes } = full;
  rows.push({
    budget: "directory-change",
    measured: `${number(Math.max(...changes))} ms at most, ${number(median(changes))} ms in the middle`,
    verdict: verdictOf(Math.max(...changes) <= 1000),
    how: `${changes.length} pods of ${number(large)} get another address; until an agent's client has been told`,
  });
  return rows;
}

interface Reading {
  readonly pods: number;
  readonly syncMs: number;
  readonly peak: number;
  readonly rss: number;
  readonly cpu: number;
  readonly changes: readonly number[];
}

function row(budget: "directory-10000" | "directory-100000", reading: Reading, verdict: Row["verdict"]): Row {
  const { pods, syncMs, peak, rss, cpu } = reading;
  const ready = `ready after ${number(syncMs / 1000, 1)} s and ${number(cpu, 1)} s of CPU`;
  return {
    budget,
    measured: `${mebibytes(peak)}, ${mebibytes(rss)} at the end; ${ready}`,
    verdict,
    how: `VmHWM of the bundled program, as in a pod; ${number(pods)} generated pods of 5.6 kB from a fake API server, one agent`,
  };
}

async function measure(pods: number): Promise<Reading> {
  const cluster = await startGeneratedCluster(pods);
  const receiver = await Receiver.start({ forget: true });
  const settings = { directory: { insecure: true }, interval: 1_000 };
  const { env, through } = cluster;
  const replica = await startDirectory({ settings, endpoint: receiver.endpoint, env, through });
  try {
    const syncMs = await timeUntil(() => replica.isReady(), SYNC_MS);
    if (syncMs === undefined) throw new Error(`the directory did not get ready:\n${replica.words()}`);
    const cpu = cpuSeconds(replica.pid);
    const changes = await measureChanges(cluster, replica, pods);
    const { addresses } = await replica.stats();
    if (addresses < pods) throw new Error(`the directory knows ${addresses} addresses of ${pods} pods`);
    return { pods, syncMs, cpu, changes, peak: peakBytes(replica.pid), rss: processRssBytes(replica.pid) };
  } finally {
    await replica.kill("SIGKILL");
    await receiver.close();
    await cluster.stop();
  }
}

async function measureChanges(cluster: GeneratedCluster, replica: DirectoryProcess, pods: number): Promise<number[]> {
  const owners = new Map<string, string>();
  const client = new DirectoryClient({
    addresses: [replica.address],
    insecure: true,
    nodeName: "node-1",
    appLabels: false,
    log: { info() {}, warn() {} },
    onChange: (change) => note(owners, change),
    nowMs: () => performance.now(),
  });
  const moved = (index: number) => `10.200.0.${index + 1}`;
  const asked = Array.from({ length: Math.min(ADDRESSES, pods) }, (_, i) => podAddress(i));
  for (const address of asked) client.answered(address, 8080, performance.now());
  for (let i = 0; i < CHANGES; i++) client.answered(moved(i), 8080, performance.now());
  if ((await timeUntil(async () => client.state.unanswered === 0, 30_000)) === undefined) {
    throw new Error(`the directory does not answer: ${client.state.trouble}`);
  }
  const times: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    await cluster.change(i, moved(i));
    const ms = await timeUntil(async () => owners.has(moved(i)), 30_000);
    if (ms === undefined) throw new Error(`the change of pod ${i} did not come`);
    times.push(ms);
    await sleep(20);
  }
  await client.stop();
  return times;
}

function note(owners: Map<string, string>, change: ClusterChange): void {
  if (change.feed !== "pods" || change.type !== "upsert") return;
  for (const address of (change.object as Pod).addresses) owners.set(address, change.object.uid);
}
