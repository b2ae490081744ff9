/**
 * Addresses between the contract's 16 bytes (IPv4 as v4-mapped IPv6) and their canonical text:
 * dotted for v4-mapped, RFC 5952 for all others. Pure; looks nothing up.
 */
import { isIPv4, isIPv6 } from "node:net";

const MAPPED_PREFIX = `${"\0".repeat(10)}\xff\xff`;

/** @param bytes 16 bytes in network order, as latin1 text */
export function formatAddress(bytes: string): string {
  if (bytes.startsWith(MAPPED_PREFIX)) return dotted(bytes, 12);
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes.charCodeAt(at) << 8) | bytes.charCodeAt(at + 1));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.map(hex).join(":");
  return `${groups.slice(0, start).map(hex).join(":")}::${groups
    .slice(start + length)
    .map(hex)
    .join(":")}`;
}

function dotted(bytes: string, at: number): string {
  return `${bytes.charCodeAt(at)}.${bytes.charCodeAt(at + 1)}.${bytes.charCodeAt(at + 2)}.${bytes.charCodeAt(at + 3)}`;
}

function hex(group: number): string {
  return group.toString(16);
}

/** The first of the longest runs of zero groups: what `::` stands for (RFC 5952 4.2). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}

/** @returns 16 bytes in network order, or undefined when `text` is no address (or has a zone) */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const [head = "", tail] = tailToHex(text).split("::");
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = new Array<number>(8 - before.length - after.length).fill(0);
  return Uint8Array.from([...before, ...zeros, ...after].flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

/** `::ffff:10.0.0.1` with its dotted end as two groups. */
function tailToHex(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${hex((a << 8) | b)}:${hex((c << 8) | d)}`;
  });
}
