/**
 * What doctor says of connection spans: whether they are made, and whether their traces have a key of their own.
 */
import { readFileSync } from "node:fs";
import type { Settings } from "../../config/settings.ts";
import { probeSettings } from "../../runtime/options.ts";
import { DEFAULT_TRACE_KEY, parseTraceKey } from "../../spans/trace-key.ts";
import type { Finding } from "./finding.ts";

export interface SpanFacts {
  readonly on: boolean;
  readonly inCluster: boolean;
  /** The key's file, where one is set. */
  readonly keyFile: string | undefined;
  /** Why the file cannot be used; undefined for a good one. */
  readonly failure: string | undefined;
}

export function spanFacts(settings: Settings, inCluster: boolean): SpanFacts {
  const { keyFile } = settings.spans;
  const on = probeSettings(settings, DEFAULT_TRACE_KEY).records;
  return { on, inCluster, keyFile, failure: keyFile === undefined ? undefined : keyFailure(keyFile) };
}

function keyFailure(file: string): string | undefined {
  try {
    const content = readFileSync(file);
    return parseTraceKey(content) === undefined ? `${content.length} bytes that are no key` : undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

export function checkSpans({ on, inCluster, keyFile, failure }: SpanFacts): Finding {
  const name = "connection spans";
  if (!on) return { name, state: "ok", found: "switched off" };
  if (keyFile !== undefined && failure === undefined) return { name, state: "ok", found: `traces keyed by ${keyFile}` };
  const found = keyFile === undefined ? "no key is set" : `${keyFile}: ${failure}`;
  if (keyFile === undefined && !inCluster)
    return { name, state: "ok", found: `${found}: the one that everybody knows` };
  return {
    name,
    state: "warn",
    found,
    lost: "trace ids are made with a key that everybody knows: sequence numbers can be guessed from them",
    remedy: "kubectl -n flowspan create secret generic flowspan-trace-key --from-literal=key=$(openssl rand -hex 16)",
  };
}
