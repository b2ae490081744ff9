/** A watch of pods on a stand-in, and what it has told so far. */
import { onTestFinished, vi } from "vitest";
import type { Pod } from "../../../agent/identity/cluster.ts";
import type { Connection } from "../../../agent/kubernetes/connection.ts";
import { trimPod } from "../../../agent/kubernetes/trim.ts";
import { ResourceWatch } from "../../../agent/kubernetes/watch.ts";
import { ApiServerStandIn } from "../../lab/apiserver-standin.ts";

export const TRIM = { wellKnownLabels: false, podLabels: [], podAnnotations: [] };
/** Short enough for a test, long enough to count connects. */
export const FAST = { firstMs: 5, maxMs: 20 };

export interface Watching {
  readonly server: ApiServerStandIn;
  readonly watch: ResourceWatch<Pod>;
  /** `+name`, `-name`, `synced`, in the order of the calls. */
  readonly told: string[];
  /** Names of the pods that are known now. */
  pods(): string[];
}

export interface WatchingOptions {
  readonly prepare?: (server: ApiServerStandIn) => void;
  readonly connection?: (server: ApiServerStandIn) => Connection;
  readonly silenceMs?: number;
}

export async function startStandIn(prepare?: (server: ApiServerStandIn) => void): Promise<ApiServerStandIn> {
  const server = new ApiServerStandIn();
  await server.start();
  onTestFinished(() => server.stop());
  prepare?.(server);
  return server;
}

/** A connection without any credentials. */
export function plainConnection(server: ApiServerStandIn): Connection {
  return {
    description: server.url,
    credentials: async () => ({ server: new URL(server.url), options: {} }),
    refused() {},
  };
}

/** Starts a server and a watch on it; both end with the test. */
export async function startWatching(options: WatchingOptions = {}): Promise<Watching> {
  const server = await startStandIn(options.prepare);
  const told: string[] = [];
  const names = new Map<string, string>();
  const watch = new ResourceWatch<Pod>({
    name: "pods",
    path: "/api/v1/pods",
    query: {},
    trim: (object) => trimPod(object, false, TRIM),
    connection: (options.connection ?? plainConnection)(server),
    log: { info() {}, warn() {} },
    backoff: FAST,
    silenceMs: options.silenceMs ?? 5_000,
    sink: {
      upsert: (pod) => {
        names.set(pod.uid, pod.name);
        told.push(`+${pod.name}`);
      },
      remove: (uid) => {
        told.push(`-${names.get(uid)}`);
        names.delete(uid);
      },
      synced: () => told.push("synced"),
    },
  });
  const ended = watch.run();
  onTestFinished(async () => {
    watch.stop();
    await ended;
  });
  return { server, watch, told, pods: () => [...names.values()].sort() };
}

/** Waits for a condition that an event brings about; fails with the condition's own error. */
export function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 5_000, interval: 2 });
}
