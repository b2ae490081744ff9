/**
 * The bundled agent as an unprivileged user, in the middle of a world that keeps it busy (world.ts).
 */

import { mkdtempSync, rmSync } from "node:fs";
import { chown } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { enterArguments, eventually, LabProcess } from "../lab/programs/process.ts";
import { ROOT } from "../lab/programs/run.ts";

export interface WorldSize {
  /** On the agent's node, with at most 100 edges each. */
  readonly localPods: number;
  /** In all. */
  readonly knownPods: number;
  /** Deployments that the known pods belong to, in turn. */
  readonly workloads: number;
  readonly edges: number;
  /** Connection records of the local pods; undefined: none. */
  readonly spansPerSecond?: number;
}

export interface WorldReady {
  readonly probeSocket: string;
  readonly endpoint: string;
  /** Where the API server is, and what a pod finds of it. */
  readonly account: { readonly directory: string; readonly port: number };
}

/** Said when an exchange has been settled. */
export interface WorldProgress {
  readonly exchanges: number;
  /** Of this exchange. */
  readonly settledRows: number;
  /** Received since the start. */
  readonly points: number;
  readonly spans: number;
  /** Connection records that were sent since the start. */
  readonly records: number;
}

/** What the memory budget names. Every edge of a pod leads to another workload: as many flows as edges. */
export const BUSY_NODE: WorldSize = { localPods: 100, knownPods: 10_000, workloads: 1000, edges: 10_000 };
/** The same where each pod talks to ten workloads with ten pods each: 1,000 flows. */
export const FEWER_WORKLOADS: WorldSize = { ...BUSY_NODE, workloads: 10 };

/** Shows $1 where a pod finds its service account, then becomes the rest. Leaves nothing behind: the mounts are its own. */
const IN_POD = [
  "mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io",
  'cp -r "$1" /run/secrets/kubernetes.io/serviceaccount && shift && exec "$@"',
].join(" && ");

export interface LoadedAgent {
  readonly pid: number;
  /** The newest settled exchange. */
  progress(): WorldProgress;
  /** Waits until that many exchanges in all were settled. */
  until(exchanges: number): Promise<WorldProgress>;
}

/** Runs `body` beside an agent that has settled a whole exchange: metadata has come, everything is named. */
export async function withLoadedAgent<T>(
  size: WorldSize,
  intervalMs: number,
  body: (agent: LoadedAgent) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-bench-"));
  await chown(directory, USER_AGENT, USER_AGENT);
  const started: LabProcess[] = [];
  try {
    let ready: WorldReady | undefined;
    let progress: WorldProgress = { exchanges: 0, settledRows: 0, points: 0, spans: 0, records: 0 };
    const program = [process.execPath, "--disable-warning=ExperimentalWarning", join(ROOT, "test/bench/world.ts")];
    const world = new LabProcess({}, [...program, JSON.stringify(size)], {
      onStdout: (line) => {
        const message = JSON.parse(line) as WorldReady | WorldProgress;
        if ("probeSocket" in message) ready = message;
        else progress = message;
      },
    });
    started.push(world);
    const { probeSocket, endpoint, account } = await eventually(
      () => `a world: ${world.describe()}`,
      () => ready,
      30_000,
    );
    const argv = enterArguments({ user: USER_AGENT }, [
      ...[join(ROOT, "flowspan"), "agent", "--probe-socket", probeSocket, "--endpoint", endpoint],
      ...["--admin-socket", join(directory, "admin.sock"), "--interval", String(intervalMs)],
      ...["--kubernetes", "on", "--node", "node-1"],
    ]);
    const env = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(account.port) };
    const agent = new LabProcess({}, ["unshare", "--mount", "sh", "-c", IN_POD, "sh", account.directory, ...argv], {
      env,
    });
    started.push(agent);
    const settled = (what: string, isSettled: () => boolean) =>
      eventually(
        () => `${what}: ${agent.describe()}`,
        () => isSettled() && progress,
        120_000,
      );
    await settled("an exchange with every edge in it", () => progress.settledRows >= size.edges);
    return await body({
      pid: agent.pid,
      progress: () => progress,
      until: (exchanges) => settled(`${exchanges} exchanges`, () => progress.exchanges >= exchanges),
    });
  } finally {
    for (const each of started.reverse()) await each.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}
