/**
 * Whether the cluster knows this machine under the node's name that it was given: an answer that is empty because
 * of a wrong name looks as complete as one of a node without pods.
 *
 * Two facts speak against a name: no node has it, or pods run here (their cgroups say so) and the API tells none of
 * them of that node. The message names the setting and, where the tables know, the right name.
 */
import type { Node } from "../../model/cluster-objects.ts";

export interface OwnNodeFacts {
  readonly nodeName: string;
  /** Those that are known; undefined while they are not read, or may not be. */
  readonly nodes: readonly Pick<Node, "name" | "addresses">[] | undefined;
  /** Whether those are all, and not what a directory was asked for. */
  readonly allNodes: boolean;
  readonly hostAddresses: readonly string[];
  /** Pods that run here and that the API does not tell of this node, while it tells of no pod that runs here. */
  readonly strangers: number;
}

const NAMES_MAX = 5;

/** @returns what is wrong with the name and what to do; undefined where nothing speaks against it */
export function ownNodeTrouble({ nodeName, nodes, strangers, ...more }: OwnNodeFacts): string | undefined {
  if (nodes !== undefined && !nodes.some(({ name }) => name === nodeName)) {
    const who = more.allNodes ? "no node is called" : "the directory knows no node called";
    const right = rightName({ nodeName, nodes, ...more });
    return `${who} "${nodeName}", its pods have no names: set kubernetes.node (--node) to ${right}`;
  }
  if (strangers === 0) return undefined;
  const pods = strangers === 1 ? "1 pod runs here that is" : `${strangers} pods run here that are`;
  return `${pods} not of node "${nodeName}", and none that is: set kubernetes.node (--node) to this machine's own node`;
}

type Known = Pick<OwnNodeFacts, "nodeName" | "allNodes" | "hostAddresses"> & { readonly nodes: Nodes };
type Nodes = NonNullable<OwnNodeFacts["nodes"]>;

function rightName({ nodeName, nodes, allNodes, hostAddresses }: Known): string {
  const here = nodes.filter(({ addresses }) => addresses.some((address) => isOfThisMachine(address, hostAddresses)));
  const alike = nodes.filter(({ name }) => areAlike(name, nodeName));
  for (const found of [here, alike]) if (found.length === 1) return `"${found[0]?.name}"`;
  if (!allNodes) return "spec.nodeName of this node's pods";
  const names = nodes.map(({ name }) => `"${name}"`).sort();
  if (names.length === 0) return "spec.nodeName of this node's pods (the API server tells of no node at all)";
  const some = names.slice(0, NAMES_MAX).join(", ");
  return `one of ${names.length}: ${some}${names.length > NAMES_MAX ? ", …" : ""}`;
}

function isOfThisMachine(address: string, hostAddresses: readonly string[]): boolean {
  return !address.startsWith("127.") && address !== "::1" && hostAddresses.includes(address);
}

/** The same host name, short or with its domain, in whichever case. */
function areAlike(a: string, b: string): boolean {
  const short = (name: string) => name.toLowerCase().split(".")[0];
  return short(a) === short(b);
}
