/**
 * What an agent asks for, checked; and which agent asks for too much. Pure.
 */
import { formatAddress, parseAddress } from "../../shared/address.ts";
import type { Ask, Key } from "../protocol.ts";

/** A DNS subdomain: no node has a longer name. */
const NODE_NAME_MAX = 253;

/** @returns what is wrong with it; undefined: nothing */
export function askProblem({ node, add, remove }: Required<Ask>): string | undefined {
  if (node.length > NODE_NAME_MAX) return `the node's name has more than ${NODE_NAME_MAX} characters`;
  const wrong = [...add, ...remove].find((key) => !isCanonical(key));
  return wrong && `no address in its canonical form, or no port: ${JSON.stringify(wrong)}`;
}

/** An address in two forms would be two keys, and one of them without an answer. */
function isCanonical({ address, port }: Key): boolean {
  const bytes = parseAddress(address);
  return bytes !== undefined && formatAddress(Buffer.from(bytes).toString("latin1")) === address && port <= 65_535;
}

/**
 * The largest of the streams of that peer which costs most.
 *
 * Who asks for much pays for it, with however many streams. Agents that ask for little keep theirs.
 */
export function heaviest<S extends { readonly host: string }>(
  streams: Iterable<S>,
  weightOf: (stream: S) => number,
): S | undefined {
  const byHost = Map.groupBy(streams, ({ host }) => host);
  const weigh = (group: readonly S[]) => group.reduce((sum, stream) => sum + weightOf(stream), 0);
  const [worst] = [...byHost.values()].sort((a, b) => weigh(b) - weigh(a));
  return worst?.sort((a, b) => weightOf(b) - weightOf(a))[0];
}
