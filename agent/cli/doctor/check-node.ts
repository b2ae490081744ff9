/**
 * What doctor says of the node's name: one that the cluster does not know leaves all pods of the node nameless, and
 * nothing fails.
 */
import { text } from "node:stream/consumers";
import { pathOf, READS } from "../../kubernetes/reads.ts";
import { get } from "../../kubernetes/request.ts";
import { trimNode } from "../../kubernetes/trim.ts";
import { ownNodeTrouble } from "../../naming/local/own-node.ts";
import type { Cluster } from "../../runtime/cluster.ts";
import { ownAddresses } from "../../runtime/own-addresses.ts";
import { canonicalAddresses } from "../../shared/prefix.ts";
import { type Finding, ok } from "./finding.ts";

export interface NodeFacts {
  readonly name: string;
  /** What is wrong with the name, and what to set; undefined where nothing is. */
  readonly trouble: string | undefined;
}

/** As much of the cluster's nodes as hints need. */
const NODES_ASKED = "500";

/** Whether the API tells of this node under its name. */
export async function askNode({ connection, nodeName }: Cluster, timeoutMs: number): Promise<NodeFacts | undefined> {
  const list = async (query: Record<string, string>) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const path = pathOf(READS.nodes);
    const body = await get(connection, { path, query, silenceMs: timeoutMs, signal });
    const items = (JSON.parse(await text(body)) as { readonly items?: unknown }).items;
    return Array.isArray(items) ? items.map(trimNode).filter((node) => node !== undefined) : [];
  };
  try {
    const own = await list({ fieldSelector: `metadata.name=${nodeName}` });
    const nodes = own.length > 0 ? own : await list({ limit: NODES_ASKED });
    const facts = { nodeName, nodes, allNodes: true, hostAddresses: canonicalAddresses(ownAddresses()), strangers: 0 };
    return { name: nodeName, trouble: ownNodeTrouble(facts) };
  } catch {
    return undefined; // that nodes cannot be read is reported verb by verb
  }
}

export function checkNode({ name, trouble }: NodeFacts): Finding {
  return trouble === undefined ? ok("node", `the cluster has a node "${name}"`) : nodeFinding("node", trouble);
}

/** @param trouble ends in what to set */
export function nodeFinding(name: string, trouble: string): Finding {
  const [found = "", remedy = ""] = trouble.split(/: (?=set )/);
  return { name, state: "warn", found, lost: "pods of this node have no names", remedy };
}
