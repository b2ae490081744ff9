/**
 * What the program reads of the Kubernetes API, in each way in which it runs: the one list of it. A feed is registered
 * here: what it reads, what it keeps of each object, and who needs it.
 *
 * The watches are made from it, and so is what RBAC has to grant: deploy/manifests is compared with
 * `rulesOf` in a test, and a real API server is asked what happens when one verb of it is missing.
 */
import type { Feed, FeedObjects } from "../model/cluster-objects.ts";
import { type TrimOptions, trimEndpointSlice, trimNamespace, trimNode, trimPod, trimService } from "./trim.ts";

export const MODES = ["watch", "agent-with-directory", "directory"] as const;
/**
 * `watch`: an agent that watches all it needs (small clusters) · `agent-with-directory`: an agent that asks
 * `flowspan directory` for peers · `directory`: that server.
 */
export type Mode = (typeof MODES)[number];

/**
 * `watch` alone serves where the server has watch-list; `list` is for servers that have not, and for the
 * lists that follow a watch-list that breaks off.
 */
const VERBS = ["list", "watch"] as const;

interface Read<F extends Feed> {
  /** API group; empty for the core. */
  readonly group: string;
  readonly resource: string;
  /** Only this one object is read; RBAC can say so, since the watch selects it by name. */
  readonly only?: string;
  /** Only these are read, which RBAC has no word for. */
  readonly fieldSelector?: (nodeName: string) => string;
  /** What is kept of an object; undefined where it makes no sense. */
  readonly trim: (object: unknown, options: TrimOptions) => FeedObjects[F] | undefined;
}

const POD_READ = { group: "", resource: "pods" } as const;

export const READS: { readonly [F in Feed]: Read<F> } = {
  "local-pods": {
    ...POD_READ,
    fieldSelector: (nodeName) => `spec.nodeName=${nodeName}`,
    trim: (object, options) => trimPod(object, true, options),
  },
  pods: { ...POD_READ, trim: (object, options) => trimPod(object, false, options) },
  services: { group: "", resource: "services", trim: trimService },
  nodes: { group: "", resource: "nodes", trim: trimNode },
  "endpoint-slices": { group: "discovery.k8s.io", resource: "endpointslices", trim: trimEndpointSlice },
  // Only its uid, which is the cluster's.
  namespaces: { group: "", resource: "namespaces", only: "kube-system", trim: trimNamespace },
};

/** In each mode, the feeds that are watched; the identity waits for the first sync of all of them. */
export const FEEDS_OF: { readonly [M in Mode]: readonly Feed[] } = {
  watch: ["local-pods", "services", "endpoint-slices", "nodes", "namespaces", "pods"],
  "agent-with-directory": ["local-pods"],
  directory: ["pods", "services", "endpoint-slices", "nodes", "namespaces"],
};

export function pathOf({ group, resource }: Pick<Read<Feed>, "group" | "resource">): string {
  return group === "" ? `/api/v1/${resource}` : `/apis/${group}/v1/${resource}`;
}

/** One feed's request to the API, and what is kept of the answer. */
export interface Resource<F extends Feed> {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly trim: (object: unknown) => FeedObjects[F] | undefined;
}

export function resourceOf<F extends Feed>(feed: F, nodeName: string, options: TrimOptions): Resource<F> {
  const read = READS[feed];
  const { only, trim } = read;
  const fieldSelector = only === undefined ? read.fieldSelector?.(nodeName) : `metadata.name=${only}`;
  return {
    path: pathOf(read),
    query: fieldSelector === undefined ? {} : { fieldSelector },
    trim: (object) => trim(object, options),
  };
}

/** A rule of a ClusterRole. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** Exactly what a mode needs, one rule for each API group and each single object. */
export function rulesOf(mode: Mode): PolicyRule[] {
  const reads = FEEDS_OF[mode].map((feed) => READS[feed]);
  const all = reads.filter(({ only }) => only === undefined);
  const groups = [...new Set(all.map(({ group }) => group))];
  return [
    ...groups.map((group) => ({
      apiGroups: [group],
      resources: [...new Set(all.filter((read) => read.group === group).map(({ resource }) => resource))],
      verbs: VERBS,
    })),
    ...reads.flatMap(({ group, resource, only }) =>
      only === undefined ? [] : [{ apiGroups: [group], resources: [resource], resourceNames: [only], verbs: VERBS }],
    ),
  ];
}
