/**
 * The bundled agent as an unprivileged user, in the middle of a world that keeps it busy (world.ts).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { chown } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT_USER } from "../lab/agents.ts";
import { eventually, LabProcess } from "../lab/process.ts";
import { ROOT } from "../lab/run.ts";

export interface WorldSize {
  /** On the agent's node, with at most 100 edges each. */
  readonly localPods: number;
  /** In all. */
  readonly knownPods: number;
  readonly edges: number;
}

export interface WorldReady {
  readonly probeSocket: string;
  readonly endpoint: string;
  readonly kubeconfig: string;
}

/** Said when an exchange has been settled. */
export interface WorldProgress {
  readonly exchanges: number;
  /** Of this exchange. */
  readonly settledRows: number;
  /** Received since the start. */
  readonly points: number;
}

/** What the memory budget names. */
export const BUSY_NODE: WorldSize = { localPods: 100, knownPods: 10_000, edges: 10_000 };

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
  await chown(directory, AGENT_USER, AGENT_USER);
  const started: LabProcess[] = [];
  try {
    let ready: WorldReady | undefined;
    let progress: WorldProgress = { exchanges: 0, settledRows: 0, points: 0 };
    const program = [process.execPath, "--disable-warning=ExperimentalWarning", join(ROOT, "test/bench/world.ts")];
    const world = new LabProcess({}, [...program, JSON.stringify(size)], {
      onStdout: (line) => {
        const message = JSON.parse(line) as WorldReady | WorldProgress;
        if ("probeSocket" in message) ready = message;
        else progress = message;
      },
    });
    started.push(world);
    const { probeSocket, endpoint, kubeconfig } = await eventually(
      () => `a world: ${world.describe()}`,
      () => ready,
      30_000,
    );
    const agent = new LabProcess({ user: AGENT_USER }, [
      ...[join(ROOT, "flowspan"), "agent", "--probe-socket", probeSocket, "--endpoint", endpoint],
      ...["--admin-socket", join(directory, "admin.sock"), "--interval", String(intervalMs)],
      ...["--kubernetes", "on", "--kubeconfig", kubeconfig, "--node", "node-1"],
    ]);
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
