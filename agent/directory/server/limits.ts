/**
 * What all agents together may cost a replica → whose stream ends where they cost more. Pure.
 *
 * Who asks for much pays for it, with however many streams. Agents that ask for little keep theirs.
 */
import type { Interests } from "./interests.ts";

export interface DirectoryLimits {
  /** Connections that may wait to be let in. */
  readonly waiting: number;
  /** Streams that may be open. */
  readonly streams: number;
  /** Different keys that all streams may follow. */
  readonly keys: number;
  /** Keys that streams may follow, where each stream counts its own. */
  readonly followed: number;
  /** How long a connection may be without TLS, and then without a call, milliseconds. */
  readonly idleMs: number;
}

/**
 * Measured: a key takes 0.55 KiB, a stream's own part of it 0.05 with its mark, a connection with TLS some 70. So a replica with all
 * keys, or with all that streams may follow, stays below 256 MiB (test/unit/hostile/directory-memory.test.ts), beside the cluster's objects;
 * streams with TLS are bounded to 0.35 GiB.
 */
export const LIMITS: DirectoryLimits = {
  waiting: 256,
  streams: 5_000,
  keys: 163_840,
  followed: 1_572_864,
  idleMs: 15_000,
};

/** What agent/directory/client asks for at most. */
const KEYS_PER_STREAM = 65_536;

export interface LimitedStream {
  /** Where it comes from. */
  readonly host: string;
  /** What it follows. */
  readonly wanted: { readonly size: number };
}

/** A stream that must end, and why. */
export interface Excess<S> {
  readonly stream: S;
  readonly details: string;
}

/** What is wrong with a stream by itself; undefined: nothing. */
export function streamExcess({ wanted }: LimitedStream): string | undefined {
  return wanted.size > KEYS_PER_STREAM ? `more than ${KEYS_PER_STREAM} addresses in one stream` : undefined;
}

/** Of streams that cost too much together, the one that ends first; undefined where they do not. */
export function sharedExcess<S extends LimitedStream>(
  all: ReadonlySet<S>,
  interests: Pick<Interests, "size" | "followed">,
  { streams, keys, followed }: DirectoryLimits,
): Excess<S> | undefined {
  const over = (weightOf: (stream: S) => number, details: string) => {
    const stream = heaviest(all, weightOf);
    return stream && { stream, details: `${details}: add replicas` };
  };
  if (all.size > streams) return over(() => 1, `more than ${streams} streams`);
  if (interests.size <= keys && interests.followed <= followed) return undefined;
  const details = `more than ${keys} addresses, or ${followed} over all streams, in one replica`;
  return over(({ wanted }) => wanted.size, details);
}

/** The largest of the streams of that peer which costs most. */
export function heaviest<S extends Pick<LimitedStream, "host">>(
  streams: Iterable<S>,
  weightOf: (stream: S) => number,
): S | undefined {
  const byHost = Map.groupBy(streams, ({ host }) => host);
  const weigh = (group: readonly S[]) => group.reduce((sum, stream) => sum + weightOf(stream), 0);
  const [worst] = [...byHost.values()].sort((a, b) => weigh(b) - weigh(a));
  return worst?.sort((a, b) => weightOf(b) - weightOf(a))[0];
}
