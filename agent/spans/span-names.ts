/**
 * The names of both ends of a record, asked for once for each edge while names do not change.
 *
 * An answer is used again where the identity would give the same: for a connection that began no earlier than the one it
 * was given for, and that ended when all changes of that version were known. An older one is asked for by itself.
 */
import type { EdgeKey } from "../model/edge.ts";
import type { Identity, Names } from "../model/names.ts";
import type { Entry, Naming } from "./queue.ts";

/** What spans need of the identity: a cgroup's names come with an exchange, later than its first record. */
export interface SpanIdentity extends Pick<Identity, "identify" | "version"> {
  knowsCgroup(id: bigint): boolean;
}

/** Longer than the identity keeps anything pending by itself, and than a probe takes to be replaced. */
const NAMES_WAIT_MS = 120_000;
/** Our CLOCK_BOOTTIME comes from the probe, and may be late by as long as this process was busy. */
const CLOCK_ERROR_NS = 1_000_000_000n;

interface Known {
  readonly names: Names;
  /** The earliest beginning that they were given for. */
  readonly sinceNs: bigint;
  readonly version: number;
}

export class SpanNames {
  readonly #identity: SpanIdentity;
  readonly #known = new WeakMap<EdgeKey, Known>();
  #version = -1;
  /** After it nothing is dated that this version knows of. */
  #versionNs = 0n;

  constructor(identity: SpanIdentity) {
    this.#identity = identity;
  }

  /**
   * @param nowNs CLOCK_BOOTTIME
   * @param exchangedNs the same, of the last exchange: cgroups of what had ended by then have names, or never will
   */
  of({ connection, arrivedMs }: Entry, nowNs: bigint, exchangedNs: bigint): Naming {
    const { key, startNs, endNs } = connection;
    const { version } = this.#identity;
    if (version !== this.#version) {
      this.#version = version;
      this.#versionNs = nowNs + CLOCK_ERROR_NS;
    }
    const isLater = endNs >= this.#versionNs;
    const known = isLater ? this.#known.get(key) : undefined;
    if (known?.version === version && startNs >= known.sinceNs) return known.names;
    const isOverdue = Number(nowNs) / 1e6 - arrivedMs >= NAMES_WAIT_MS;
    if (endNs >= exchangedNs && !this.#identity.knowsCgroup(key.cgroup)) return isOverdue ? "unnamed" : "pending";
    const answer = this.#identity.identify(key, startNs, endNs, nowNs);
    if (answer.state === "pending") return isOverdue ? "unnamed" : "pending";
    if (isLater && !answer.passing) this.#known.set(key, { names: answer, sinceNs: startNs, version });
    return answer;
  }
}
