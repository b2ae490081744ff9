/**
 * Addresses as other people write them → the one text that the decoder gives (address.ts), and
 * prefixes over addresses. Tables can therefore be keyed by text. Nothing here resolves names.
 */
import { isIPv4 } from "node:net";
import { formatAddress, parseAddress } from "./address.ts";

/** @returns the one text of this address, or undefined when `text` is none */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes && formatAddress(String.fromCharCode(...bytes));
}

/** The addresses among `texts`, canonical, each once; what is no address is left out. */
export function canonicalAddresses(texts: readonly unknown[]): string[] {
  const found = new Set<string>();
  for (const text of texts) {
    const address = typeof text === "string" ? canonicalAddress(text) : undefined;
    if (address !== undefined) found.add(address);
  }
  return [...found];
}

/**
 * Addresses that mean something only inside: what IANA's registries of special-purpose addresses call not globally
 * reachable, besides loopback and the ranges of documentation.
 */
export const PRIVATE_PREFIXES = [
  "10.0.0.0/8", // RFC 1918
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10", // RFC 6598: carriers' NAT; pods on some clouds
  "169.254.0.0/16", // RFC 3927: link-local
  "192.0.0.0/24", // RFC 6890: DS-Lite and NAT64 gateways
  "198.18.0.0/15", // RFC 2544: benchmarks; proxies and meshes
  "240.0.0.0/4", // RFC 1112: reserved; pods on some clouds
  "fc00::/7", // RFC 4193: unique local
  "fe80::/10", // RFC 4291: link-local
  "fec0::/10", // RFC 3879: site-local, deprecated
  "64:ff9b:1::/48", // RFC 8215: NAT64 of one's own
] as const;

export interface Prefix {
  readonly bytes: Uint8Array;
  /** Of 128: an IPv4 /8 is 104. */
  readonly bits: number;
}

/** @returns undefined when `cidr` is neither `ADDRESS/BITS` nor a plain address; host bits may be set */
export function parsePrefix(cidr: string): Prefix | undefined {
  const slash = cidr.indexOf("/");
  const text = slash < 0 ? cidr : cidr.slice(0, slash);
  const bytes = parseAddress(text);
  if (!bytes) return undefined;
  if (slash < 0) return { bytes, bits: 128 };
  const width = isIPv4(text) ? 32 : 128;
  const length = cidr.slice(slash + 1);
  if (!/^\d{1,3}$/.test(length) || Number(length) > width) return undefined;
  return { bytes, bits: 128 - width + Number(length) };
}

/** What is no prefix is left out; the configuration has refused it before. */
export function prefixes(...cidrs: readonly string[]): Prefix[] {
  return cidrs.map(parsePrefix).filter((prefix) => prefix !== undefined);
}

export function inPrefix(address: Uint8Array, prefix: Prefix): boolean {
  const whole = prefix.bits >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== prefix.bytes[i]) return false;
  const rest = prefix.bits & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return (((address[whole] ?? 0) ^ (prefix.bytes[whole] ?? 0)) & mask) === 0;
}
