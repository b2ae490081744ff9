/**
 * What the program reads of the Kubernetes API, in each way in which it runs: the one list of it.
 *
 * The watches are made from it, and so is what RBAC has to grant: deploy/manifests is compared with
 * `rulesOf` in a test, and a real API server is asked what happens when one verb of it is missing.
 */
import type { Feed } from "../model/cluster-objects.ts";

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

interface Read {
  /** API group; empty for the core. */
  readonly group: string;
  readonly resource: string;
  /** Only this one object is read; RBAC can say so, since the watch selects it by name. */
  readonly only?: string;
}

export const READS: { readonly [F in Feed]: Read } = {
  // Selected by their node in the query: RBAC has no word for that.
  "local-pods": { group: "", resource: "pods" },
  pods: { group: "", resource: "pods" },
  services: { group: "", resource: "services" },
  nodes: { group: "", resource: "nodes" },
  "endpoint-slices": { group: "discovery.k8s.io", resource: "endpointslices" },
  // Only its uid, which is the cluster's.
  namespaces: { group: "", resource: "namespaces", only: "kube-system" },
};

/** In each mode, the feeds that are watched; the identity waits for the first sync of all of them. */
export const FEEDS_OF: { readonly [M in Mode]: readonly Feed[] } = {
  watch: ["local-pods", "services", "endpoint-slices", "nodes", "namespaces", "pods"],
  "agent-with-directory": ["local-pods"],
  directory: ["pods", "services", "endpoint-slices", "nodes", "namespaces"],
};

export function pathOf({ group, resource }: Read): string {
  return group === "" ? `/api/v1/${resource}` : `/apis/${group}/v1/${resource}`;
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
