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
  ATTR_FLOWSPAN_PEER_ZONE,
  ATTR_FLOWSPAN_ROLE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_OTEL_METRIC_OVERFLOW,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
} from "../generated/semconv.ts";
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import type { EdgeGrowth, EdgeKey, Role } from "../model/edge.ts";
import type { Flow, Histogram, Resource } from "../model/flow.ts";
import type { AggregateOptions } from "./aggregate-options.ts";
import { AT, COUNTERS, type NumbersAt } from "./counters.ts";
import type { Edge, Names } from "./edges.ts";
import { SlotCounts, type SlotRange } from "./slots.ts";

export const HANDSHAKE: SlotRange = slotRange(HistogramSlot.SLOT_HANDSHAKE, HANDSHAKE_SLOTS);
export const RTT: SlotRange = slotRange(HistogramSlot.SLOT_RTT, RTT_SLOTS);
const DURATION: SlotRange = slotRange(HistogramSlot.SLOT_DURATION, DURATION_SLOTS);

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

  constructor(place: Pick<Place, "key" | "resource" | "attributes" | "role">, { page, at }: NumbersAt) {
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
    this.inDoubt = true;
    const { page, at } = this;
    for (let i = 0; i < COUNTERS; i++) page[at + i] = (page[at + i] as number) + row.counter(i);
    this.#slots.add(row);
  }

  /** Takes the rows of the last batch out again; they stay in doubt. */
  rollBack(): void {
    const { page, at } = this;
    for (const { due, grown } of this.#members) {
      if (due === undefined || !grown) continue;
      for (let i = 0; i < COUNTERS; i++) page[at + i] = (page[at + i] as number) - due.counter(i);
      this.#slots.subtract(due);
    }
  }

  /** @returns the rows that are now part of the sums for good */
  accept(): EdgeGrowth[] {
    const rows: EdgeGrowth[] = [];
    for (const edge of this.#members) {
      if (edge.due !== undefined) rows.push(edge.due);
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

/** Separates the parts of a key: no name holds it. */
const SEPARATOR = "\0";

/** Names the place of an edge: equal keys mean equal Resource and attributes. */
export function placeKey(key: EdgeKey, { local, remote }: Names, options: AggregateOptions): string {
  if (key.overflow) return remainderKey(local.id, key.role);
  const parts = [local.id, key.role, key.serverPort];
  if (key.role !== "listener") {
    parts.push(remote.kind, optional(remote.namespace), optional(remote.name));
    if (options.peerZone) parts.push(optional(remote.zone));
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
    // 0: adopted, and nobody knows which end's it is.
    ...(key.serverPort === 0 ? {} : { [ATTR_SERVER_PORT]: key.serverPort }),
    [ATTR_FLOWSPAN_PEER_KIND]: remote.kind,
  };
  if (remote.name !== undefined) attributes[ATTR_SERVICE_PEER_NAME] = remote.name;
  if (remote.namespace !== undefined) attributes[ATTR_SERVICE_PEER_NAMESPACE] = remote.namespace;
  if (options.peerZone && remote.zone !== undefined) attributes[ATTR_FLOWSPAN_PEER_ZONE] = remote.zone;
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
