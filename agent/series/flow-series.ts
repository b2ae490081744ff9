/**
 * The sums of one attribute set: what a flow is while it is counted.
 *
 * A series holds what is to be sent: sums the Collector has confirmed plus growth of this exchange. Growth
 * that is not confirmed is taken out again, because the kernel says it again, larger.
 */

import { AT, COUNTERS, type NumbersAt } from "../edges/counters.ts";
import type { Edge } from "../edges/edge-state.ts";
import { DURATION, HANDSHAKE, RTT, SlotCounts, type SlotRange } from "../edges/slots.ts";
import type { Attributes } from "../model/attribute.ts";
import type { EdgeGrowth, Role } from "../model/edge.ts";
import type { Flow, Histogram, Resource } from "../model/flow.ts";

/** Which series: equal keys mean equal Resource and attributes. */
export interface SeriesKey {
  readonly key: string;
  readonly resource: Resource;
  readonly role: Role;
  readonly attributes: Attributes;
}

/** Of a series without members; nothing is ever added to it. */
const NO_EDGES: Edge[] = [];

/** One series of every flow metric: the Flow that exporters see, and what must be known to take it back. */
export class FlowSeries implements Flow {
  readonly key: string;
  readonly resource: Resource;
  readonly attributes: Attributes;
  readonly role: Role;
  /** At `at`: its sums by EDGE_COUNTERS. */
  readonly page: Float64Array;
  readonly at: number;
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
  /** Growth was sent of which no answer said that it was accepted. */
  inDoubt = false;
  /** Edges whose rows of this batch are in the sums and not accepted. */
  #members = NO_EDGES;
  readonly #slots = new SlotCounts();

  constructor(place: SeriesKey, { page, at }: NumbersAt) {
    this.key = place.key;
    this.resource = place.resource;
    this.attributes = place.attributes;
    this.role = place.role;
    this.page = page;
    this.at = at;
  }

  get counters(): Float64Array {
    return this.page.subarray(this.at, this.at + COUNTERS);
  }

  get members(): readonly Edge[] {
    return this.#members;
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

  /** Puts the row that is due of an edge into the sums. */
  add(edge: Edge): void {
    // A list of one, as most are, takes a third of the room that an empty one makes at its first push.
    if (this.#members.length === 0) this.#members = [edge];
    else this.#members.push(edge);
    // What is open now belongs to whom the later part belongs to.
    if (edge.split === undefined) {
      this.open += edge.open;
      this.limit += edge.limit;
    }
    const row = edge.due;
    if (row === undefined || !edge.grown) return;
    edge.home = this;
    edge.sent = row;
    this.inDoubt = true;
    const { page, at } = this;
    for (let i = 0; i < COUNTERS; i++) page[at + i] = (page[at + i] as number) + row.counter(i);
    this.#slots.add(row);
  }

  /** Takes the rows of the last batch out again; they stay in doubt. */
  rollBack(): void {
    const { page, at } = this;
    for (const edge of this.#members) {
      const { sent } = edge;
      if (sent === undefined) continue;
      for (let i = 0; i < COUNTERS; i++) page[at + i] = (page[at + i] as number) - sent.counter(i);
      this.#slots.subtract(sent);
      edge.sent = undefined;
    }
  }

  /** @returns the rows that are now part of the sums for good */
  accept(): EdgeGrowth[] {
    const rows: EdgeGrowth[] = [];
    for (const edge of this.#members) {
      if (edge.due !== undefined) rows.push(edge.due);
      edge.sent = undefined;
      edge.settle();
    }
    this.#members = NO_EDGES;
    this.inDoubt = false;
    return rows;
  }

  /** Begins a batch without members. */
  dropMembers(): void {
    this.#members = NO_EDGES;
  }

  /** Begins the next delta. */
  restart(startUnixNs: bigint): void {
    this.page.fill(0, this.at, this.at + COUNTERS);
    this.#slots.clear();
    this.startUnixNs = startUnixNs;
  }

  #histogram(range: SlotRange, sum: number): Histogram {
    return { buckets: this.#slots.buckets(range), sumUs: this.page[this.at + sum] as number };
  }
}
