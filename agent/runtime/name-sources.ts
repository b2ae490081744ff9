/** Where names come from: this machine, and where there is a cluster, its API server and its directory. */
import { hostname, uptime } from "node:os";
import type { Settings } from "../config/settings.ts";
import type { DirectoryClientState } from "../directory/client/directory-client.ts";
import { FEEDS_OF } from "../kubernetes/reads.ts";
import { type ClusterWatch, feedsOf, watchCluster } from "../kubernetes/watch-cluster.ts";
import type { MetadataReading } from "../model/metadata.ts";
import { type ClusterIdentity, createIdentity, type RemoteDirectory } from "../naming/identify.ts";
import { collectRegularly } from "../shared/force-gc.ts";
import type { Log } from "../shared/log.ts";
import { type Cluster, clusterOf, startDirectory } from "./cluster.ts";
import { ownAddresses } from "./own-addresses.ts";
import type { LossReading } from "./signal.ts";

export interface NameSources {
  readonly identity: ClusterIdentity;
  /** How fresh each source is: the watches, then the directory. */
  readings(): readonly MetadataReading[];
  readonly losses: readonly LossReading[];
  /** For the status. */
  watches(): ReturnType<ClusterWatch["states"]>;
  directory(): DirectoryClientState | undefined;
  stop(): Promise<void>;
}

/** @throws Error when a cluster is demanded and nothing names it */
export async function startNames(settings: Settings, env: NodeJS.ProcessEnv, log: Log): Promise<NameSources> {
  const cluster = chooseCluster(settings, env, log);
  const directory = await startDirectory(cluster, settings, () => identity, log);
  const identity: ClusterIdentity = makeIdentity(settings, cluster, directory?.client);
  const watch = cluster === undefined ? undefined : startWatch(cluster, settings, identity, log);
  const watches = () => watch?.states() ?? [];
  const ofDirectory = () => directory?.client.state;
  const unreadable = () => watches().reduce((total, state) => total + state.unreadable, 0);
  return {
    identity,
    readings: () => [...watches(), ...(directory === undefined ? [] : [directory.client.state])],
    losses: [
      ["address_over_limit_detail", () => identity.stats().addressesRefused + (ofDirectory()?.refused ?? 0)],
      ["metadata_unreadable_detail", unreadable],
    ],
    watches,
    directory: ofDirectory,
    async stop() {
      await watch?.stop();
      await directory?.stop();
    },
  };
}

function chooseCluster(settings: Settings, env: NodeJS.ProcessEnv, log: Log): Cluster | undefined {
  const cluster = clusterOf(settings, env);
  if ("none" in cluster) {
    log.info({ why: cluster.none }, "names come from this machine alone, without Kubernetes");
    return undefined;
  }
  log.info({ server: cluster.connection.description, node: cluster.nodeName }, "names come from Kubernetes");
  return cluster;
}

function makeIdentity(
  settings: Settings,
  cluster: Cluster | undefined,
  directory: RemoteDirectory | undefined,
): ClusterIdentity {
  return createIdentity({
    hostName: hostname(),
    hostAddresses: ownAddresses(),
    cidrs: settings.cidrs,
    kubernetes:
      cluster === undefined
        ? undefined
        : {
            nodeName: cluster.nodeName,
            clusterName: settings.cluster,
            feeds: directory === undefined ? feedsOf(settings.kubernetes.scope) : FEEDS_OF.watch,
            directory,
          },
    // os.uptime reads CLOCK_BOOTTIME on Linux, in hundredths of a second.
    startedNs: BigInt(Math.round(uptime() * 1000)) * 1_000_000n,
    bootUnixMs: Date.now() - uptime() * 1000,
  });
}

function startWatch(cluster: Cluster, settings: Settings, identity: ClusterIdentity, log: Log): ClusterWatch {
  const { scope, metadata, podLabels, podAnnotations, appLabels } = settings.kubernetes;
  const feeds = metadata === "directory" ? FEEDS_OF["agent-with-directory"] : undefined;
  const collect = collectRegularly();
  const onChange: Parameters<typeof watchCluster>[0]["onChange"] = (change) => {
    identity.apply(change);
    collect();
  };
  return watchCluster({
    ...cluster,
    scope,
    feeds,
    podLabels,
    podAnnotations,
    wellKnownLabels: appLabels,
    onChange,
    log,
  });
}
