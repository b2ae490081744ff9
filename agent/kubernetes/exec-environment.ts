/**
 * What an exec plugin finds in its environment: ours, its entry's own, and KUBERNETES_EXEC_INFO with the cluster
 * that it is asked for. Pure.
 */
import type { ClusterEntry, ExecEntry } from "./kubeconfig.ts";

export function execEnvironment(
  exec: ExecEntry,
  cluster: ClusterEntry,
  ca: Buffer,
  isInteractive: boolean,
  env: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const spec = { ...(exec.provideClusterInfo && { cluster: clusterInfo(cluster, ca) }), interactive: isInteractive };
  return {
    ...env,
    ...Object.fromEntries(exec.env.map(({ name, value }) => [name, value])),
    KUBERNETES_EXEC_INFO: JSON.stringify({ kind: "ExecCredential", apiVersion: exec.apiVersion, spec }),
  };
}

/** Fields that say nothing are left out, as kubectl does. */
function clusterInfo(cluster: ClusterEntry, ca: Buffer): object {
  return {
    server: cluster.server,
    ...(cluster.tlsServerName !== "" && { "tls-server-name": cluster.tlsServerName }),
    ...(cluster.insecure && { "insecure-skip-tls-verify": true }),
    ...(ca.length > 0 && { "certificate-authority-data": ca.toString("base64") }),
    ...(cluster.proxyUrl !== "" && { "proxy-url": cluster.proxyUrl }),
    ...(cluster.disableCompression && { "disable-compression": true }),
    config: cluster.execConfig ?? null,
  };
}
