/**
 * The two containers of a node as deploy/manifests makes them, with the volumes that a kubelet would give them here: what
 * tests of containers start, whole or with something taken away.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { holds } from "../components/running.ts";
import { type ContainerSetup, RunningContainer } from "./container.ts";
import { podOf } from "./manifests.ts";

const BUILD = join(import.meta.dirname, "../../build");
const PROBE = "/flowspan-probe";

export const ofAgent = podOf("flowspan");
export const ofProbe = podOf("flowspan-probe");

/** What a kubelet makes of the volumes of a node: a directory of root's, and one that all containers of a pod may write to. */
export function makeVolumes() {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-deploy-"));
  const socket = join(directory, "run-flowspan");
  const own = join(directory, "own");
  chmodSync(directory, 0o755);
  for (const path of [socket, own]) mkdirSync(path);
  chmodSync(socket, 0o755);
  chownSync(own, 0, USER_AGENT);
  chmodSync(own, 0o2777);
  return { directory, socket, own };
}

export type Volumes = ReturnType<typeof makeVolumes>;

export function probeSetup({ socket }: Volumes, more: readonly string[] = []): ContainerSetup {
  return {
    ...ofProbe,
    argv: [PROBE, ...(ofProbe.container.args ?? []), ...more],
    volumes: { run: socket, bpf: "bpf", cgroup: "/sys/fs/cgroup" },
    files: { [PROBE]: join(BUILD, "flowspan-probe") },
  };
}

export function agentSetup({ socket, own }: Volumes, argv: readonly string[]): ContainerSetup {
  const env = Object.fromEntries(
    (ofAgent.container.env ?? []).flatMap(({ name, value }) => (value ? [[name, value]] : [])),
  );
  return {
    ...ofAgent,
    argv,
    env: { FLOWSPAN_PROBE_SOCKET: env.FLOWSPAN_PROBE_SOCKET ?? "" },
    volumes: { probe: socket, run: own },
    files: { "/node": process.execPath, "/app": BUILD },
    hostNetwork: true,
  };
}

export async function started(setup: ContainerSetup): Promise<RunningContainer> {
  const container = new RunningContainer(setup);
  const isUp = await holds(
    async () => (await container.exec("true")).code === 0,
    20_000,
    () => container.hasEnded,
  );
  if (!isUp) throw new Error(container.words());
  return container;
}

/** They go at the end of the test. */
export function volumesOfTest(): Volumes {
  const volumes = makeVolumes();
  onTestFinished(() => rmSync(volumes.directory, { recursive: true }));
  return volumes;
}
