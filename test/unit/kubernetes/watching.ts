/** A watch of pods on a fake API server, and what it has told so far. */
import { onTestFinished, vi } from "vitest";
import { ApiTroubles } from "../../../agent/kubernetes/api-troubles.ts";
import type { Connection } from "../../../agent/kubernetes/connection.ts";
import { trimPod } from "../../../agent/kubernetes/trim.ts";
import { ResourceWatch } from "../../../agent/kubernetes/watch.ts";
import type { Pod } from "../../../agent/model/cluster-objects.ts";
import { FakeApiServer } from "../../kubernetes/fake-api-server.ts";

export const TRIM = { wellKnownLabels: false, podLabels: [], podAnnotations: [] };
/** Short enough for a test, long enough to count connects. */
export const FAST = { firstMs: 5, maxMs: 20 };

export interface Watching {
  readonly server: FakeApiServer;
  readonly watch: ResourceWatch<Pod>;
  /** `+name`, `-name`, `synced`, in the order of the calls. */
  readonly told: string[];
  /** Names of the pods that are known now. */
  pods(): string[];
  /** Resolves once the watch has stopped. */
  readonly ended: Promise<void>;
  /** What the log was warned of, and told. */
  readonly log: { readonly message: string; readonly fields: object }[];
}

export interface WatchingOptions {
  readonly prepare?: (server: FakeApiServer) => void;
  readonly connection?: (server: FakeApiServer) => Connection;
  readonly silenceMs?: number;
  readonly query?: Readonly<Record<string, string>>;
}

async function startServer(prepare?: (server: FakeApiServer) => void): Promise<FakeApiServer> {
  const server = new FakeApiServer();
  await server.start();
  onTestFinished(() => server.stop());
  prepare?.(server);
  return server;
}

const ORIGIN = { server: "the server's setting", ca: "the CA's", tlsName: "the name's", user: "the user's" };

/** A connection without any credentials. */
export function plainConnection(server: { readonly url: string }): Connection {
  return {
    description: server.url,
    credentials: async () => ({ server: new URL(server.url), options: {}, origin: ORIGIN }),
    refused() {},
    close() {},
  };
}

/** Starts a server and a watch on it; both end with the test. */
export async function startWatching(options: WatchingOptions = {}): Promise<Watching> {
  const server = await startServer(options.prepare);
  const connection = (options.connection ?? plainConnection)(server);
  return { server, ...watchPods(connection, options.silenceMs, options.query) };
}

/** Starts a watch of all pods, or of those that `query` selects; it ends with the test. */
export function watchPods(connection: Connection, silenceMs = 5_000, query = {}): Omit<Watching, "server"> {
  const told: string[] = [];
  const names = new Map<string, string>();
  const log: Watching["log"] = [];
  const watch = new ResourceWatch<Pod>({
    name: "pods",
    path: "/api/v1/pods",
    query,
    trim: (object) => trimPod(object, false, TRIM),
    connection,
    troubles: new ApiTroubles({
      info: (fields, message) => log.push({ message, fields }),
      warn: (fields, message) => log.push({ message, fields }),
    }),
    backoff: FAST,
    silenceMs,
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
  return { watch, told, pods: () => [...names.values()].sort(), ended, log };
}

/** Waits for a condition that an event brings about; fails with the condition's own error. */
export function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 30_000, interval: 2 });
}
