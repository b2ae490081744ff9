/**
 * Edges → flows: which attribute set an edge's growth belongs to, and the sums of that set.
 *
 *   edge ──► Place (one attribute set of one Resource)
 *              ├─ resident: a FlowSeries of its own
 *              └─ not:      the remainder of its (Resource, role), otel.metric.overflow=true
 *
 * A series holds what is to be sent: sums the Collector has confirmed plus growth of this exchange. Growth
 * that is not confirmed is taken out again, because the kernel says it again, larger.
 */

import { DURATION_SLOTS, HANDSHAKE_SLOTS, HistogramSlot, RTT_SLOTS } from "../generated/layout.ts";
import {
  ATTR_FLOWSPAN_PEER_K8S_POD_NAME,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_ROLE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_OTEL_METRIC_OVERFLOW,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
} from "../generated/semconv.ts";
import type { Attributes, AttributeValue, EdgeGrowth, EdgeKey, Flow, Histogram, Resource, Role } from "../model.ts";
import { AT, COUNTERS } from "./counters.ts";
import type { Edge, Names } from "./edges.ts";
import type { AggregateOptions } from "./options.ts";
import { SlotCounts, type SlotRange } from "./slots.ts";

export const HANDSHAKE: SlotRange = slotRange(HistogramSlot.SLOT_HANDSHAKE, HANDSHAKE_SLOTS);
export const RTT: SlotRange = slotRange(HistogramSlot.SLOT_RTT, RTT_SLOTS);
export const DURATION: SlotRange = slotRange(HistogramSlot.SLOT_DURATION, DURATION_SLOTS);

function slotRange(from: number, length: number): SlotRange {
  return { from, to: from + length };
}

/** An attribute set that edges belong to. It lives as long as one of its edges. */
export interface Place {
  readonly key: string;
  readonly resource: Resource;
  readonly role: Role;
  readonly attributes: Attributes;
  /** How many edges belong here. */
  edges: number;
  /** Bytes and opens of late, fading: see budget.ts. */
  weight: number;
  /** Whether it has, or may make, a series of its own. */
  resident: boolean;
  /** False for the kernel's overflow edges, which have no room of their own by nature. */
  readonly eligible: boolean;
  series: FlowSeries | undefined;
}

/** Of a series without members; nothing is ever added to it. */
const NO_EDGES: Edge[] = [];

/** One series of every flow metric: the Flow that exporters see, and what must be known to take it back. */
export class FlowSeries implements Flow {
  readonly key: string;
  readonly resource: Resource;
  readonly attributes: Attributes;
  readonly role: Role;
  readonly counters: Float64Array;
  startUnixNs = 0n;
  timeUnixNs = 0n;
  open = 0;
  limit = 0;
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

  constructor(place: Pick<Place, "key" | "resource" | "attributes" | "role">, counters: Float64Array) {
    this.key = place.key;
    this.resource = place.resource;
    this.attributes = place.attributes;
    this.role = place.role;
    this.counters = counters;
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

  /** Puts an edge's row into the sums. */
  add(edge: Edge, row: EdgeGrowth): void {
    // A list of one, as most are, takes a third of the room that an empty one makes at its first push.
    if (this.#members.length === 0) this.#members = [edge];
    else this.#members.push(edge);
    this.open += row.open;
    this.limit += row.limit;
    if (!edge.grown) return;
    edge.home = this;
    this.inDoubt = true;
    for (let i = 0; i < COUNTERS; i++) {
      const growth = row.counters[i] as number;
      if (growth !== 0) this.counters[i] = (this.counters[i] as number) + growth;
    }
    this.#slots.add(row.slots);
  }

  /** Takes the rows of the last batch out again; they stay in doubt. */
  rollBack(): void {
    for (const { row, grown } of this.#members) {
      if (row === undefined || !grown) continue;
      for (let i = 0; i < COUNTERS; i++) {
        this.counters[i] = (this.counters[i] as number) - (row.counters[i] as number);
      }
      this.#slots.subtract(row.slots);
    }
  }

  /** @returns the rows that are now part of the sums for good */
  accept(): Uint8Array[] {
    const rows: Uint8Array[] = [];
    for (const edge of this.#members) {
      if (edge.row !== undefined) rows.push(edge.row.row);
      edge.row = undefined;
      edge.grown = false;
      edge.home = undefined;
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
    this.counters.fill(0);
    this.#slots.clear();
    this.startUnixNs = startUnixNs;
  }

  #histogram(range: SlotRange, sum: number): Histogram {
    return { buckets: this.#slots.buckets(range), sumUs: this.counters[sum] as number };
  }
}

/** Separates the parts of a key: no name holds it. */
const SEPARATOR = "\0";

/** Names the place of an edge: equal keys mean equal Resource and attributes. */
export function placeKey(key: EdgeKey, { local, remote }: Names, options: AggregateOptions): string {
  if (key.overflow) return remainderKey(local.id, key.role);
  const parts = [local.id, key.role, key.serverPort];
  if (key.role !== "listener") {
    parts.push(remote.kind, optional(remote.namespace), optional(remote.name));
    if (options.peerPod) parts.push(optional(remote.podName));
    if (options.peerAddress) parts.push(key.remoteAddress);
  }
  return parts.join(SEPARATOR);
}

export function remainderKey(resourceId: string, role: Role): string {
  return [resourceId, role, "remainder"].join(SEPARATOR);
}

export function placeAttributes(key: EdgeKey, { remote }: Names, options: AggregateOptions): Attributes {
  if (key.overflow) return remainderAttributes(key.role);
  if (key.role === "listener") return { [ATTR_SERVER_PORT]: key.serverPort };
  const attributes: Record<string, AttributeValue> = {
    [ATTR_FLOWSPAN_ROLE]: key.role,
    [ATTR_SERVER_PORT]: key.serverPort,
    [ATTR_FLOWSPAN_PEER_KIND]: remote.kind,
  };
  if (remote.name !== undefined) attributes[ATTR_SERVICE_PEER_NAME] = remote.name;
  if (remote.namespace !== undefined) attributes[ATTR_SERVICE_PEER_NAMESPACE] = remote.namespace;
  if (options.peerPod && remote.podName !== undefined) attributes[ATTR_FLOWSPAN_PEER_K8S_POD_NAME] = remote.podName;
  if (options.peerAddress) attributes[ATTR_NETWORK_PEER_ADDRESS] = key.remoteAddress;
  return attributes;
}

/** Attributes of what found no room of its own. */
export function remainderAttributes(role: Role): Attributes {
  const overflow = { [ATTR_OTEL_METRIC_OVERFLOW]: true };
  return role === "listener" ? overflow : { [ATTR_FLOWSPAN_ROLE]: role, ...overflow };
}

/** Tells an absent part from an empty one. */
function optional(part: string | undefined): string {
  return part === undefined ? "" : `=${part}`;
}
