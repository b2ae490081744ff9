/**
 * How much of what the kernel counted did sockets account for, per net namespace: a blind agent must not
 * look like a quiet network.
 *
 * Compares growth since the first exchange that saw a namespace. Only segments sent are compared, for both sides
 * count those as they are cut for the wire; of what arrives a socket counts segments and InSegs what GRO merged
 * them into. They stand against OutSegs + RetransSegs (Linux leaves retransmits out of OutSegs), less resets.
 * No socket has sent the SYN-ACK of a connection that was opened, but it is accounted for: one for each open that a
 * flow knows, and not one for each of PassiveOpens, where Linux counts a connection twice when two of its
 * segments complete the handshake on two CPUs at once. Sockets' opens and failed SYNs stand against ActiveOpens +
 * PassiveOpens. Both sides are read within milliseconds, not at one moment.
 */
import type { EdgeKey } from "../model/edge.ts";
import type { NamespaceCounters } from "../model/probe-event.ts";
import { Blindness, type Moved } from "./blindness.ts";
import { AT, SENT_FAILURES } from "./counters.ts";

export interface NamespaceCoverage {
  readonly netns: number;
  /** Ratios; undefined while the kernel has counted nothing. */
  readonly segments: number | undefined;
  readonly connections: number | undefined;
}

/** A namespace of which nothing was read for so many exchanges is gone. */
const ABSENT_EXCHANGES = 8;

/** A SYN-ACK that is sent again is in OutSegs and in RetransSegs, and no full socket has sent it. */
const TIMES_SYNACK_AGAIN = 2;

interface Counted {
  segments: number;
  connections: number;
  accepted: number;
}

const NOTHING: Readonly<Counted> = { segments: 0, connections: 0, accepted: 0 };

interface Namespace {
  readonly base: NamespaceCounters;
  latest: NamespaceCounters;
  /** Counted from rows since `base`, and as it stood when `latest` was read. */
  readonly counted: Counted;
  countedAtLatest: Readonly<Counted>;
  absent: number;
}

export class Coverage {
  readonly #namespaces = new Map<number, Namespace>();
  readonly #blindness = new Blindness();
  /** From the rows of the exchange under way. */
  readonly #growth = new Map<number, Counted>();

  /** @param fresh what is new in a row of this exchange, by EDGE_COUNTERS */
  count({ netns, role, overflow }: EdgeKey, fresh: Float64Array): void {
    if (overflow || role === "listener") return;
    let growth = this.#growth.get(netns);
    if (growth === undefined) {
      growth = { ...NOTHING };
      this.#growth.set(netns, growth);
    }
    growth.segments += fresh[AT.segsOut] as number;
    if (role === "server") {
      growth.segments += (fresh[AT.opened] as number) + (fresh[AT.retransmitsSyn] as number) * TIMES_SYNACK_AGAIN;
      growth.accepted += fresh[AT.opened] as number;
    }
    growth.connections += fresh[AT.opened] as number;
    for (const failure of SENT_FAILURES) growth.connections += fresh[failure] as number;
  }

  /** Ends an exchange with what the kernel says of each namespace. */
  close(namespaces: readonly NamespaceCounters[]): void {
    for (const [netns, { segments, connections, accepted }] of this.#growth) {
      const known = this.#namespaces.get(netns);
      if (known === undefined) continue;
      known.counted.segments += segments;
      known.counted.connections += connections;
      known.counted.accepted += accepted;
    }
    this.#growth.clear();
    for (const known of this.#namespaces.values()) known.absent++;
    this.#blindness.judge(namespaces.flatMap((counters) => this.#read(counters) ?? []));
    for (const [netns, { absent }] of this.#namespaces) {
      if (absent >= ABSENT_EXCHANGES) this.#namespaces.delete(netns);
    }
  }

  /** Why flows see nothing of what the kernel counts; undefined while they do. */
  get blindness(): string | undefined {
    return this.#blindness.trouble;
  }

  ratios(): NamespaceCoverage[] {
    return Array.from(this.#namespaces, ([netns, { base, latest, countedAtLatest }]) => ({
      netns,
      segments: ratio(countedAtLatest.segments, segmentsOf(latest) - segmentsOf(base)),
      connections: ratio(countedAtLatest.connections, connectionsOf(latest) - connectionsOf(base)),
    }));
  }

  /** @returns what moved since the last reading, where there was one */
  #read(counters: NamespaceCounters): Moved | undefined {
    const known = this.#namespaces.get(counters.netns);
    if (known === undefined || isAnother(known.latest, counters)) {
      const fresh = { base: counters, latest: counters, counted: { ...NOTHING }, countedAtLatest: NOTHING, absent: 0 };
      this.#namespaces.set(counters.netns, fresh);
      return undefined;
    }
    const { latest, counted, countedAtLatest } = known;
    known.latest = counters;
    known.countedAtLatest = { ...counted };
    known.absent = 0;
    return {
      netns: counters.netns,
      segments: {
        kernel: segmentsOf(counters) - segmentsOf(latest),
        flows: counted.segments - countedAtLatest.segments,
      },
      accepted: {
        kernel: counters.passiveOpens - latest.passiveOpens,
        flows: counted.accepted - countedAtLatest.accepted,
      },
    };
  }
}

/**
 * Whether another namespace got the inode number of one that is gone: the kernel gives the lowest free one out.
 * Without a cookie, a smaller number says so.
 */
function isAnother(before: NamespaceCounters, now: NamespaceCounters): boolean {
  return before.cookie !== now.cookie || now.inSegs < before.inSegs || now.outSegs < before.outSegs;
}

function segmentsOf(counters: NamespaceCounters): number {
  return counters.outSegs + counters.retransSegs - counters.outRsts;
}

function connectionsOf({ activeOpens, passiveOpens }: NamespaceCounters): number {
  return activeOpens + passiveOpens;
}

function ratio(counted: number, kernel: number): number | undefined {
  return kernel > 0 ? counted / kernel : undefined;
}
