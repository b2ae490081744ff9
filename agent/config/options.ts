/**
 * Settings → the options of each part of the pipeline. Pure; the parts own the meaning.
 */
import type { AggregateOptions } from "../aggregate/options.ts";
import type { TransportOptions } from "../export/transport.ts";
import type { ProbeSettings, Scope } from "../source/source.ts";
import type { Settings } from "./settings.ts";

export function transportOptions({ otlp }: Settings, version: string): TransportOptions {
  const { endpoint, headers, timeout, compression, caFile, certFile, keyFile } = otlp;
  return {
    endpoint,
    headers,
    timeoutMs: timeout,
    compression,
    userAgent: `flowspan/${version}`,
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  };
}

export function aggregateOptions({ otlp, budget, peer }: Settings): AggregateOptions {
  return {
    temporality: otlp.temporality,
    flowLimit: budget.flows,
    idleMs: budget.idle,
    peerPod: peer.pod,
    peerAddress: peer.address,
  };
}

export function probeSettings({ probe }: Settings): ProbeSettings {
  return { idleNs: BigInt(probe.idle) * 1_000_000n, records: false };
}

/** The prefixes that the kernel looks remote addresses up in; what both lists name is kept apart. */
export function scopesOf({ scopes }: Settings): Scope[] {
  const kept = new Set(scopes.keep);
  return [
    ...scopes.collapse.filter((prefix) => !kept.has(prefix)).map((prefix) => scopeOf(prefix, true)),
    ...scopes.keep.map((prefix) => scopeOf(prefix, false)),
  ];
}

function scopeOf(prefix: string, collapse: boolean): Scope {
  const slash = prefix.lastIndexOf("/");
  return { address: prefix.slice(0, slash), prefixLength: Number(prefix.slice(slash + 1)), collapse };
}

/** What must not appear in a log: the values of the headers. */
export function secretsOf({ otlp }: Settings): string[] {
  return Object.values(otlp.headers);
}
