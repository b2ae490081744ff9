/**
 * The small-cluster mode, an agent that watches all pods itself: time until names are complete and peak memory,
 * with the stock client's informer beside it. The pods are generated as they are sent (cluster-server.ts).
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import { MALLOC_ENV, NODE_FLAGS } from "../components/shipped-node.ts";
import { type GeneratedCluster, peakBytes, startGeneratedCluster, timeUntil } from "./generated-cluster.ts";
import type { Scale } from "./measure.ts";
import { mebibytes, number, type Row } from "./table.ts";

const BUNDLE = join(import.meta.dirname, "../../build/agent.mjs");
const INFORMER = join(import.meta.dirname, "informer.ts");
const SYNC_MS = 240_000;
const INFORMER_MS = 120_000;

export async function measureClusterMemory({ quick }: Scale): Promise<Row[]> {
  const [small, large] = quick ? [500, 2_000] : [10_000, 100_000];
  const first = await measure(small);
  const second = await measure(large);
  return [row("cluster-10000", first), row("cluster-100000", second)];
}

interface Reading {
  readonly ms: number;
  readonly peak: number;
}

interface Both {
  readonly pods: number;
  readonly agent: Reading;
  /** Why there is none. */
  readonly informer: Reading | string;
}

function row(budget: "cluster-10000" | "cluster-100000", { pods, agent, informer }: Both): Row {
  const words = ({ ms, peak }: Reading) => `${mebibytes(peak)} after ${number(ms / 1000, 1)} s`;
  return {
    budget,
    measured: `${words(agent)}; stock informer: ${typeof informer === "string" ? informer : words(informer)}`,
    verdict: "ok",
    how:
      `VmHWM of the bundled agent without a probe, and of a program with the client's informer of pods alone; ` +
      `${number(pods)} generated pods of 5.6 kB from a fake API server`,
  };
}

async function measure(pods: number): Promise<Both> {
  const cluster = await startGeneratedCluster(pods);
  try {
    return { pods, agent: await runAgent(cluster, pods), informer: await runInformer(cluster, pods) };
  } finally {
    await cluster.stop();
  }
}

/** Without a probe, and so without an edge: what is read is what the watch and its tables take. */
async function runAgent({ through, env, files }: GeneratedCluster, pods: number): Promise<Reading> {
  const socket = join(files, "admin.sock");
  const config = join(files, "agent.yaml");
  const ours = { admin: { socket }, kubernetes: { node: "node-0" }, probe: { socket: join(files, "probe.sock") } };
  writeFileSync(config, JSON.stringify({ file_format: "1.1", log_level: "error", distribution: { flowspan: ours } }));
  // Anybody but root: it would start a probe. The private directory is its own then.
  const nobody = [
    "sh",
    "-c",
    `chown -R ${USER_AGENT}:${USER_AGENT} "$0" && exec setpriv --reuid=${USER_AGENT} --regid=${USER_AGENT} --clear-groups "$@"`,
    files,
  ];
  const argv = [...through, ...nobody, process.execPath, ...NODE_FLAGS, BUNDLE, "agent", "--config", config];
  const child = spawn(argv[0] as string, argv.slice(1), {
    env: { ...process.env, ...MALLOC_ENV, ...env },
    stdio: "inherit",
  });
  const ended = once(child, "exit");
  try {
    const knows = async () => {
      const status = await askAgent(socket, "/status").catch(() => undefined);
      const { kubernetes = [] } = (status?.body ?? {}) as { kubernetes?: { synced: boolean; objects: number }[] };
      return kubernetes.length > 0 && kubernetes.every(({ synced }) => synced);
    };
    const ms = await timeUntil(knows, SYNC_MS, () => child.exitCode !== null);
    if (ms === undefined) throw new Error(`the agent did not read ${pods} pods`);
    return { ms, peak: peakBytes(child.pid as number) };
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

async function runInformer({ kubeconfig }: GeneratedCluster, pods: number): Promise<Reading | string> {
  const argv = [
    "--disable-warning=ExperimentalWarning",
    "--max-old-space-size=2500",
    INFORMER,
    kubeconfig,
    String(pods),
  ];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "exit");
  let words = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-4_000);
    });
  }
  try {
    const ms = await timeUntil(
      async () => words.includes("synced"),
      INFORMER_MS,
      () => child.exitCode !== null,
    );
    if (ms !== undefined) return { ms, peak: peakBytes(child.pid as number) };
    const reason = /^.*(?:Error|cannot).*$/m.exec(words)?.[0].trim() ?? "no word";
    return `failed, ${child.exitCode === null ? `not within ${INFORMER_MS / 1000} s` : reason.slice(0, 100)}`;
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
