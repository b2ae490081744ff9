/**
 * Which Kubernetes cluster an agent takes names from, if any.
 */
import { hostname } from "node:os";
import type { Settings } from "../config/settings.ts";
import {
  type Connection,
  inCluster,
  kubeconfigConnection,
  serviceAccountConnection,
} from "../kubernetes/connection.ts";

export interface Cluster {
  readonly connection: Connection;
  readonly nodeName: string;
}

/**
 * The cluster that settings and environment name.
 *
 * @returns the cluster, or why there is none
 * @throws Error when one is demanded and nothing names it
 */
export function clusterOf({ kubernetes }: Settings, env: NodeJS.ProcessEnv): Cluster | { readonly none: string } {
  if (kubernetes.enabled === "off") return { none: "kubernetes.enabled is off" };
  const nodeName = kubernetes.node ?? hostname();
  if (kubernetes.kubeconfig !== undefined) return { connection: kubeconfigConnection(kubernetes.kubeconfig), nodeName };
  if (inCluster(env)) return { connection: serviceAccountConnection(env), nodeName };
  if (kubernetes.enabled === "auto") return { none: "not in a pod, and no kubeconfig is named" };
  throw new Error("kubernetes.enabled is on, but this is no pod: name a kubeconfig with --kubeconfig PATH");
}
