/**
 * The watches that names need → one stream of changes.
 *
 * The own node's pods are watched in full, all other objects trimmed to what an address needs. Each feed is
 * a watch of its own, so that a large one being read does not keep the own node's pods waiting.
 */

import { uptime } from "node:os";
import type { ClusterChange, Feed, FeedObjects } from "../model/cluster-objects.ts";
import { BACKOFF, type BackoffOptions } from "../shared/backoff.ts";
import type { Logger } from "../shared/logger.ts";
import { ApiTroubles } from "./api-troubles.ts";
import type { Connection } from "./connection.ts";
import { FEEDS_OF, resourceOf } from "./reads.ts";
import type { TrimOptions } from "./trim.ts";
import { ResourceWatch, type WatchState } from "./watch.ts";

/** `all` names peers on other nodes too, at the cost of one watch of all pods per node. */
export type PodScope = "own-node" | "all";

export interface ClusterWatchOptions extends TrimOptions {
  readonly connection: Connection;
  readonly nodeName: string;
  readonly scope: PodScope;
  /** Instead of the scope's: FEEDS_OF in reads.ts has those of each mode. */
  readonly feeds?: readonly Feed[] | undefined;
  /** Called in the order of the facts within a feed; ClusterIdentity.apply fits. */
  readonly onChange: (change: ClusterChange) => void;
  readonly log: Logger;
  /** CLOCK_BOOTTIME milliseconds, the clock of the probe's times. */
  readonly nowMs?: () => number;
  readonly backoff?: BackoffOptions;
  /** Longer than a server that works is silent. */
  readonly silenceMs?: number;
  readonly watchSeconds?: number;
}

export interface ClusterWatch {
  /** One for each feed, as it is now. */
  states(): WatchState[];
  /** Resolves when all connections are closed. */
  stop(): Promise<void>;
}

/** kube-apiserver 1.36 says a bookmark every 60 to 121 seconds where nothing changes (measured). */
const SILENCE_MS = 180_000;

/** The feeds of a scope: what createIdentity has to wait for. */
export function feedsOf(scope: PodScope): readonly Feed[] {
  return scope === "all" ? FEEDS_OF.watch : FEEDS_OF.watch.filter((feed) => feed !== "pods");
}

/** Starts at once; what goes wrong is in the states and the log, never an exception. */
export function watchCluster(options: ClusterWatchOptions): ClusterWatch {
  const feeds = options.feeds ?? feedsOf(options.scope);
  const troubles = new ApiTroubles(options.log);
  const watches = feeds.map((feed) => startWatch(feed, troubles, options));
  return {
    states: () => watches.map(({ watch }) => watch.state),
    async stop() {
      for (const { watch } of watches) watch.stop();
      options.connection.close();
      await Promise.all(watches.map(({ ended }) => ended));
    },
  };
}

function startWatch<F extends Feed>(feed: F, troubles: ApiTroubles, options: ClusterWatchOptions) {
  const { connection, onChange, nowMs = bootMs, backoff = BACKOFF, silenceMs = SILENCE_MS } = options;
  const watch = new ResourceWatch<FeedObjects[F]>({
    ...resourceOf(feed, options.nodeName, options),
    name: feed,
    connection,
    troubles,
    backoff,
    silenceMs,
    watchSeconds: options.watchSeconds,
    sink: {
      upsert: (object) => onChange({ feed, type: "upsert", atMs: nowMs(), object } as ClusterChange),
      remove: (uid) => onChange({ feed, type: "remove", atMs: nowMs(), uid }),
      synced: () => onChange({ feed, type: "synced", atMs: nowMs() }),
    },
  });
  return { watch, ended: watch.run() };
}

/** os.uptime reads CLOCK_BOOTTIME on Linux, in hundredths of a second: fine for what comes over a network. */
function bootMs(): number {
  return uptime() * 1000;
}
