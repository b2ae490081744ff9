/**
 * The part of an agent that names: watches of a real API server and the tables that they fill, with a clock of its
 * own, by which growth always happened in the last moment and waiting for names is long over.
 */
import { onTestFinished } from "vitest";
import { type Connection, serviceAccountConnection } from "../../agent/kubernetes/connection.ts";
import {
  type ClusterWatch,
  type ClusterWatchOptions,
  feedsOf,
  watchCluster,
} from "../../agent/kubernetes/watch-cluster.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import type { Identified } from "../../agent/model/names.ts";
import { type ClusterIdentity, createIdentity } from "../../agent/naming/identify.ts";

export interface NamingAgent {
  readonly identity: ClusterIdentity;
  readonly watch: ClusterWatch;
  name(key: Partial<EdgeKey>): Identified;
}

/** An agent on node-1; it ends with the test. */
export function startNaming(connection: Connection, options: Partial<ClusterWatchOptions> = {}): NamingAgent {
  let nowMs = 3_600_000;
  const feeds = options.feeds ?? feedsOf("all");
  const identity = createIdentity({
    hostName: "host-1",
    hostAddresses: ["192.0.2.1"],
    cidrs: {},
    kubernetes: { nodeName: "node-1", clusterName: undefined, feeds },
    startedNs: 3_600_000_000_000n,
    bootUnixMs: Date.now() - 3_600_000,
  });
  const watch = watchCluster({
    connection,
    nodeName: "node-1",
    scope: "all",
    wellKnownLabels: false,
    podLabels: [],
    podAnnotations: [],
    onChange: (change) => identity.apply(change),
    log: { info() {}, warn() {} },
    nowMs: () => ++nowMs,
    backoff: { firstMs: 50, maxMs: 500 },
    ...options,
  });
  onTestFinished(() => watch.stop());
  return {
    identity,
    watch,
    name: (key) => {
      const sinceNs = BigInt(++nowMs) * 1_000_000n;
      const nowNs = BigInt(++nowMs) * 1_000_000n;
      return identity.identify({ ...EDGE, ...key }, sinceNs, nowNs);
    },
  };
}

/** As a pod would connect, whose kubelet keeps `token` and `ca.crt` in `directory`. */
export function podConnection(port: number, directory: string): Connection {
  return serviceAccountConnection(
    { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(port) },
    directory,
  );
}

const EDGE: EdgeKey = {
  cgroup: 1n,
  localAddress: "192.0.2.1",
  remoteAddress: "203.0.113.23",
  netns: 1,
  serverPort: 80,
  role: "client",
  overflow: false,
};

/** Who the remote end is, or why that is not known. */
export function remoteOf(answer: Identified): unknown {
  return answer.state === "named" ? { ...answer.remote } : answer.why;
}
