/**
 * The sums of one attribute set: what a flow is while it is counted.
 *
 * A series holds what is to be sent: sums the Collector has confirmed plus growth of this exchange. Growth
 * that is not confirmed is taken out again, because the kernel reports it again, larger.
 */

import { AT, COUNTERS } from "../edges/counters.ts";
import type { Edge } from "../edges/edge-state.ts";
import { DURATION, HANDSHAKE, RTT, type SlotRange } from "../edges/slots.ts";
import { type SumPages, Sums } from "../edges/sums.ts";
import type { Attributes } from "../model/attribute.ts";
import type { EdgeGrowth, Role } from "../model/edge.ts";
import type { Flow, FlowNumbers, Histogram, Resource } from "../model/flow.ts";

/** Which series: equal keys mean equal Resource and attributes. */
export interface SeriesKey {
  readonly key: string;
  readonly resource: Resource;
  readonly role: Role;
  readonly attributes: Attributes;
}

/** One series of every flow metric: the Flow that exporters see, and what must be known to take it back. */
export class FlowSeries implements Flow {
  readonly #of: SeriesKey;
  readonly sums: Sums;
  startUnixNs = 0n;
  timeUnixNs = 0n;
  open = 0;
  limit = 0;
  /** Of this batch alone. */
  exemplars: Flow["exemplars"];
  /** The first growth of a new series happened after this; undefined once its start is fixed. */
  sinceNs: bigint | undefined;
  /** Number of the batch that it was sent in last. */
  batch = 0;
  /** Last exchange that had a row for it. */
  activeNs = 0n;
  /** Growth was sent, and no answer has confirmed it. */
  inDoubt = false;
  /** The edges whose rows of this batch are in the sums and not accepted: each leads to the next. */
  #firstMember: Edge | undefined;
  #lastMember: Edge | undefined;

  constructor(of: SeriesKey, pages: SumPages) {
    this.#of = of;
    this.sums = new Sums(pages);
  }

  get key(): string {
    return this.#of.key;
  }

  get resource(): Resource {
    return this.#of.resource;
  }

  get attributes(): Attributes {
    return this.#of.attributes;
  }

  get role(): Role {
    return this.#of.role;
  }

  get counters(): Float64Array {
    const counters = new Float64Array(COUNTERS);
    this.sums.copyCounters(counters);
    return counters;
  }

  get hasMembers(): boolean {
    return this.#firstMember !== undefined;
  }

  *members(): Iterable<Edge> {
    for (let edge = this.#firstMember; edge !== undefined; edge = edge.nextMember) yield edge;
  }

  get handshake(): Histogram {
    return this.#histogram(HANDSHAKE, AT.handshakeUs);
  }

  get rtt(): Histogram {
    return this.#histogram(RTT, AT.rttUs);
  }

  get duration(): Histogram {
    return this.#histogram(DURATION, AT.durationUs);
  }

  copyNumbers(into: FlowNumbers): void {
    this.sums.copyCounters(into.counters);
    this.sums.copyBuckets(HANDSHAKE, into.handshake);
    this.sums.copyBuckets(RTT, into.rtt);
    this.sums.copyBuckets(DURATION, into.duration);
  }

  /** Puts the row that is due of an edge into the sums. */
  add(edge: Edge): void {
    edge.nextMember = undefined;
    if (this.#lastMember === undefined) this.#firstMember = edge;
    else this.#lastMember.nextMember = edge;
    this.#lastMember = edge;
    // What is open now belongs to whom the later part belongs to.
    if (edge.split === undefined) {
      this.open += edge.open;
      this.limit += edge.limit;
    }
    const row = edge.due;
    if (row === undefined || !edge.grown) return;
    edge.sentIn = this;
    edge.sent = row;
    this.inDoubt = true;
    this.sums.add(row);
  }

  /** Takes the rows of the last batch out again; they stay in doubt. */
  rollBack(): void {
    for (let edge = this.#firstMember; edge !== undefined; edge = edge.nextMember) {
      const { sent } = edge;
      if (sent === undefined) continue;
      this.sums.subtract(sent);
      edge.sent = undefined;
    }
  }

  /** @param rows takes those that are now part of the sums for good */
  accept(rows: EdgeGrowth[]): void {
    for (let edge = this.#firstMember; edge !== undefined; ) {
      const next = edge.nextMember;
      edge.nextMember = undefined;
      if (edge.due !== undefined) rows.push(edge.due);
      edge.sent = undefined;
      edge.settle();
      edge = next;
    }
    this.dropMembers();
    this.inDoubt = false;
  }

  /** Begins a batch without members. */
  dropMembers(): void {
    this.#firstMember = undefined;
    this.#lastMember = undefined;
  }

  /** Begins the next delta. */
  restart(startUnixNs: bigint): void {
    this.sums.clear();
    this.startUnixNs = startUnixNs;
  }

  #histogram(range: SlotRange, sum: number): Histogram {
    return { buckets: this.sums.buckets(range), sumUs: this.sums.get(sum) };
  }
}
