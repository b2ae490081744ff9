/**
 * Which Kubernetes cluster an agent takes names from, if any, and the directory that it asks for peers.
 */
import { hostname, uptime } from "node:os";
import type { Settings } from "../config/settings.ts";
import type { DirectoryClient } from "../directory/client/directory-client.ts";
import { type Connection, inCluster, serviceAccountConnection } from "../kubernetes/connection.ts";
import { type KubeconfigOptions, kubeconfigConnection } from "../kubernetes/kubeconfig-connection.ts";
import type { ClusterIdentity } from "../naming/identify.ts";
import type { Log } from "../shared/log.ts";

export interface Cluster {
  readonly connection: Connection;
  readonly nodeName: string;
}

/**
 * The cluster that settings and environment name.
 *
 * @param options of a connection by kubeconfig
 * @returns the cluster, or why there is none
 * @throws Error when one is demanded and nothing names it
 */
export function clusterOf(
  { kubernetes }: Settings,
  env: NodeJS.ProcessEnv,
  options: Pick<KubeconfigOptions, "withinMs"> = {},
): Cluster | { readonly none: string } {
  if (kubernetes.enabled === "off") return { none: "kubernetes.enabled is off" };
  const nodeName = kubernetes.node ?? hostname();
  const fromFiles = (paths: string) => {
    const isInteractive = process.stdin.isTTY && process.stderr.isTTY;
    return { connection: kubeconfigConnection(paths, { ...options, env, isInteractive }), nodeName };
  };
  if (kubernetes.kubeconfig !== undefined) return fromFiles(kubernetes.kubeconfig);
  if (inCluster(env)) return { connection: serviceAccountConnection(env), nodeName };
  if (kubernetes.enabled === "auto") return { none: "not in a pod, and no kubeconfig is named" };
  if (env.KUBECONFIG) return fromFiles(env.KUBECONFIG);
  throw new Error(
    "kubernetes.enabled is on, but this is no pod: name a kubeconfig with --kubeconfig PATH, or in KUBECONFIG",
  );
}

export interface RunningDirectory {
  readonly client: DirectoryClient;
  stop(): Promise<void>;
}

/** How often all edges are looked up anew, so that the directory's client knows which addresses are still seen. */
const REFRESH_MS = 120_000;

/**
 * Starts to ask the directory where the settings say so.
 *
 * @param identity where answers go; called when the first one comes
 */
export async function startDirectory(
  cluster: Cluster | undefined,
  settings: Settings,
  identity: () => ClusterIdentity,
  log: Log,
): Promise<RunningDirectory | undefined> {
  if (cluster === undefined || settings.kubernetes.metadata !== "directory") return undefined;
  // Loaded only here: an agent that watches needs no protobuf.
  const { DirectoryClient } = await import("../directory/client/directory-client.ts");
  const nowMs = () => uptime() * 1000;
  const client = new DirectoryClient({
    ...settings.directory,
    nodeName: cluster.nodeName,
    appLabels: settings.kubernetes.appLabels,
    nowMs,
    onChange: (change) => identity().apply(change),
    log,
  });
  const timer = setInterval(() => {
    client.forgetUnseen(nowMs());
    identity().refresh();
  }, REFRESH_MS);
  return {
    client,
    async stop() {
      clearInterval(timer);
      await client.stop();
    },
  };
}
