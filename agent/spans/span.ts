/**
 * One record of the kernel, with the names of its ends → one span. Pure.
 *
 *   a connection   CLIENT from the first SYN, SERVER from its socket, to the end; error where it failed or was reset
 *   a stretch      INTERNAL, a child of the connection's own span, with the growth of that stretch only
 *
 * All times of a span are moved to the wall clock by one offset, so that durations and the order of events
 * are the kernel's. Both agents of a connection come to the same trace and span ids without a word.
 */
import { ConnectionFlag } from "../generated/layout.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_TCP_RESET_BY,
  ERROR_TYPE_VALUE_CANCELLED,
  ERROR_TYPE_VALUE_HOST_UNREACHABLE,
  ERROR_TYPE_VALUE_NET_UNREACHABLE,
  ERROR_TYPE_VALUE_NO_LOCAL_PORT,
  ERROR_TYPE_VALUE_NOT_SENT,
  ERROR_TYPE_VALUE_OTHER,
  ERROR_TYPE_VALUE_REFUSED,
  ERROR_TYPE_VALUE_RESET,
  ERROR_TYPE_VALUE_TIMED_OUT,
  FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL,
  FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE,
  SPAN_TCP_CONNECTION_CLIENT,
  SPAN_TCP_CONNECTION_SERVER,
  SPAN_TCP_CONNECTION_STRETCH,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Connection } from "../model/connection-record.ts";
import type { LocalEnd, RemoteEnd } from "../model/names.ts";
import { addEnd, addStretch, connectionAttributes } from "./attributes.ts";
import { eventsOf, type SpanEvent } from "./events.ts";
import { connectionSpanId, stretchSpanId } from "./ids.ts";
import { traceStateOf } from "./sampling.ts";

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceState: string | undefined;
  readonly name: string;
  readonly kind: "client" | "server" | "internal";
  readonly startUnixNs: bigint;
  readonly endUnixNs: bigint;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** Segments that were sent again without an event of their own. */
  readonly droppedEvents: number;
  readonly error: boolean;
  /** The same object for all spans of one end. */
  readonly resource: Attributes;
}

export interface Names {
  readonly local: LocalEnd;
  readonly remote: RemoteEnd;
}

/** @param offsetNs from boot time to Unix time, as it was at the connection's end */
export function spanOf(connection: Connection, { local, remote }: Names, offsetNs: bigint): Span {
  const { traceId, startNs, endNs } = connection;
  const role = roleOf(connection);
  const own = connectionSpanId(traceId, role);
  const common = {
    traceId,
    traceState: traceStateOf(connection.sampleThreshold),
    startUnixNs: startNs + offsetNs,
    // A clock that two CPUs read may say that an end lies a few nanoseconds before its start.
    endUnixNs: later(startNs, endNs) + offsetNs,
    events: eventsOf(connection, offsetNs),
    droppedEvents: droppedEvents(connection),
    resource: local.resource,
  };
  const attributes = connectionAttributes(connection, remote);
  if (isStretch(connection)) {
    addStretch(attributes, connection);
    return {
      ...common,
      spanId: stretchSpanId(traceId, role, connection.stretch),
      parentSpanId: own,
      name: SPAN_TCP_CONNECTION_STRETCH,
      kind: "internal",
      attributes,
      error: false,
    };
  }
  addEnd(attributes, connection);
  const errorType = errorTypeOf(connection);
  const resetBy = resetByOf(connection);
  if (errorType !== undefined) attributes[ATTR_ERROR_TYPE] = errorType;
  if (resetBy !== undefined) attributes[ATTR_FLOWSPAN_TCP_RESET_BY] = resetBy;
  return {
    ...common,
    spanId: own,
    parentSpanId: role === "server" ? parentOf(connection, remote) : undefined,
    name: role === "client" ? SPAN_TCP_CONNECTION_CLIENT : SPAN_TCP_CONNECTION_SERVER,
    kind: role,
    attributes,
    error: errorType !== undefined,
  };
}

export function isStretch({ flags }: Pick<Connection, "flags">): boolean {
  return has(flags, ConnectionFlag.CONNECTION_STRETCH);
}

export function roleOf({ key }: Pick<Connection, "key">): "client" | "server" {
  return key.role === "server" ? "server" : "client";
}

/** Kinds of remote end behind which an agent of this cluster, or of this host, may see the client's end. */
const OURS: ReadonlySet<RemoteEnd["kind"]> = new Set(["pod", "service", "node", "host", "loopback"]);

/** The client's span, where the client can be ours and both ends have the same trace id. */
function parentOf(connection: Connection, remote: RemoteEnd): string | undefined {
  const isShared = cameToBe(connection) && !has(connection.flags, ConnectionFlag.CONNECTION_RESTORED);
  return OURS.has(remote.kind) && isShared ? connectionSpanId(connection.traceId, "client") : undefined;
}

/** An adopted connection was established before anybody looked. */
function cameToBe({ establishedNs, flags }: Connection): boolean {
  return establishedNs !== 0n || has(flags, ConnectionFlag.CONNECTION_ADOPTED);
}

/** Linux errno: the same numbers on every architecture that has eBPF. */
const ERRORS: ReadonlyMap<number, string> = new Map([
  [99, ERROR_TYPE_VALUE_NO_LOCAL_PORT],
  [101, ERROR_TYPE_VALUE_NET_UNREACHABLE],
  [104, ERROR_TYPE_VALUE_RESET],
  [110, ERROR_TYPE_VALUE_TIMED_OUT],
  [111, ERROR_TYPE_VALUE_REFUSED],
  [113, ERROR_TYPE_VALUE_HOST_UNREACHABLE],
]);
/** What a reset in CLOSE_WAIT leaves behind, and one by which an operator ends a socket (`ss -K`). */
const RESETS: ReadonlySet<number> = new Set([32, 103]);

/** @returns undefined for a connection that came to be and ended in order */
function errorTypeOf(connection: Connection): string | undefined {
  const { error } = connection;
  const wasReset = resetByOf(connection) !== undefined;
  if (error !== 0 && !(wasReset && RESETS.has(error))) return ERRORS.get(error) ?? ERROR_TYPE_VALUE_OTHER;
  if (wasReset) return ERROR_TYPE_VALUE_RESET;
  if (has(connection.flags, ConnectionFlag.CONNECTION_NOT_SENT)) return ERROR_TYPE_VALUE_NOT_SENT;
  return cameToBe(connection) ? undefined : ERROR_TYPE_VALUE_CANCELLED;
}

/** Who reset it first. */
function resetByOf({ flags, events }: Connection): string | undefined {
  const sent = has(flags, ConnectionFlag.CONNECTION_RESET_SENT);
  const received = has(flags, ConnectionFlag.CONNECTION_RESET_RECEIVED);
  if (sent && received) {
    const first = events.find(({ kind }) => kind === "reset_sent" || kind === "reset_received");
    return first?.kind === "reset_received" ? FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE : FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL;
  }
  if (sent) return FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL;
  return received ? FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE : undefined;
}

/** The kernel keeps the first events only; its counters know of all. Events of a stretch come with the end. */
function droppedEvents({ retransmits, events, flags }: Connection): number {
  if (isStretch({ flags })) return 0;
  const told = events.reduce((sum, { segments }) => sum + segments, 0);
  return Math.max(0, retransmits - told);
}

function later(a: bigint, b: bigint): bigint {
  if (a < b) return b;
  return a;
}

function has(bits: number, bit: number): boolean {
  return (bits & (1 << bit)) !== 0;
}
