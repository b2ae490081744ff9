/**
 * Which attribute set the growth of an edge belongs to.
 *
 *   edge ──► AttributeSet (of one Resource)
 *              ├─ admitted: a FlowSeries of its own
 *              └─ not:      the overflow series of its (Resource, role), otel.metric.overflow=true
 */
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
import type { EdgeKey, Role } from "../model/edge.ts";
import type { Resource } from "../model/flow.ts";
import type { Names, RemoteEnd } from "../model/names.ts";
import type { AggregateOptions } from "./aggregate-options.ts";
import type { Contender } from "./budget.ts";
import type { FlowSeries, SeriesKey } from "./flow-series.ts";

/** An attribute set that edges belong to. It lives as long as one of its edges. */
export class AttributeSet implements SeriesKey, Contender {
  readonly key: string;
  readonly resource: Resource;
  readonly #edge: EdgeKey;
  readonly #remote: RemoteEnd;
  readonly #options: AggregateOptions;
  /** How many edges belong here. */
  edges = 0;
  /** Bytes and opens of late, fading: see budget.ts. */
  weight = 0;
  /** Whether it has, or may make, a series of its own. */
  admitted = false;
  series: FlowSeries | undefined;

  /** @param edge one of its edges, by which the others are like it in all that its attributes say */
  constructor(key: string, resource: Resource, edge: EdgeKey, remote: RemoteEnd, options: AggregateOptions) {
    this.key = key;
    this.resource = resource;
    this.#edge = edge;
    this.#remote = remote;
    this.#options = options;
  }

  get role(): Role {
    return this.#edge.role;
  }

  /** Whose share of the budget it takes. */
  get owner(): Resource {
    return this.resource;
  }

  /** False for the kernel's overflow edges, which belong to an overflow series always. */
  get eligible(): boolean {
    return !this.#edge.overflow;
  }

  /** Made anew at each call: kept, those of 10,000 flows take 1 MiB. */
  get attributes(): Attributes {
    return attributesOf(this.#edge, this.#remote, this.#options);
  }
}

/** Separates the parts of a key: no name holds it. */
const SEPARATOR = "\0";

/** Names the attribute set of an edge: equal keys mean equal Resource and attributes. */
export function attributeSetKey(key: EdgeKey, { local, remote }: Names, options: AggregateOptions): string {
  if (key.overflow) return overflowKey(local.id, key.role);
  const parts = [local.id, key.role, key.serverPort];
  if (key.role !== "listener") {
    parts.push(remote.kind, optional(remote.namespace), optional(remote.name));
    if (options.peerZone) parts.push(optional(remote.zone));
    if (options.peerPod) parts.push(optional(remote.podName));
    if (options.peerAddress) parts.push(key.remoteAddress);
  }
  return parts.join(SEPARATOR);
}

export function overflowKey(resourceId: string, role: Role): string {
  return [resourceId, role, "overflow"].join(SEPARATOR);
}

function attributesOf(key: EdgeKey, remote: RemoteEnd, options: AggregateOptions): Attributes {
  if (key.overflow) return overflowAttributes(key.role);
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

/** Attributes of an overflow series. */
export function overflowAttributes(role: Role): Attributes {
  const overflow = { [ATTR_OTEL_METRIC_OVERFLOW]: true };
  return role === "listener" ? overflow : { [ATTR_FLOWSPAN_ROLE]: role, ...overflow };
}

/** Tells an absent part from an empty one. */
function optional(part: string | undefined): string {
  return part === undefined ? "" : `=${part}`;
}
