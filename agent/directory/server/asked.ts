/**
 * What an agent asks for, checked. Pure.
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
