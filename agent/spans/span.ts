/**
 * One record of the kernel, with the names of its ends → one span. Pure.
 *
 *   a connection      CLIENT from the first SYN, SERVER from its socket, to the end; error where it failed or was reset
 *   an interim record  INTERNAL, a child of the connection's own span, with the growth since the one before
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
  SPAN_TCP_CONNECTION_INTERIM,
  SPAN_TCP_CONNECTION_SERVER,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { Connection } from "../model/connection-record.ts";
import type { Names, RemoteEnd } from "../model/names.ts";
import {
  type AttributeSink,
  addConnection,
  addEnd,
  addEnds,
  addInterim,
  addVerdict,
  attributesOf,
} from "./attributes.ts";
import { addEvents, type EventSink, type SpanEvent } from "./events.ts";
import { connectionSpanId, interimSpanId } from "./ids.ts";
import { judgeConnection } from "./judge-connection.ts";
import { traceStateOf } from "./sampling.ts";

/** Who it is in its trace, in hexadecimal digits. */
export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
}

/**
 * What a span says is made of its record when somebody reads or encodes it: some thousand of them wait for a Collector's
 * answer, and what they would hold until then grows old in the heap.
 */
export class Span {
  readonly connection: Connection;
  readonly names: Names;
  readonly kind: "client" | "server" | "internal";
  readonly #offsetNs: bigint;
  readonly #errorType: string | undefined;

  /** @param offsetNs from boot time to Unix time, as it was at the connection's end */
  constructor(connection: Connection, names: Names, offsetNs: bigint) {
    const isWhole = !isInterim(connection);
    this.connection = connection;
    this.names = names;
    this.kind = isWhole ? roleOf(connection) : "internal";
    this.#offsetNs = offsetNs;
    this.#errorType = isWhole ? errorTypeOf(connection) : undefined;
  }

  /** Each call hashes anew. */
  get ids(): SpanIds {
    const { connection } = this;
    const { traceId } = connection;
    const role = roleOf(connection);
    if (this.kind === "internal") {
      const spanId = interimSpanId(traceId, role, connection.interims);
      return { traceId, spanId, parentSpanId: connectionSpanId(traceId, role) };
    }
    const parentSpanId = role === "server" ? parentOf(connection, traceId, this.names.remote) : undefined;
    return { traceId, spanId: connectionSpanId(traceId, role), parentSpanId };
  }

  get name(): string {
    if (this.kind === "internal") return SPAN_TCP_CONNECTION_INTERIM;
    return this.kind === "client" ? SPAN_TCP_CONNECTION_CLIENT : SPAN_TCP_CONNECTION_SERVER;
  }

  get startUnixNs(): bigint {
    return this.connection.startNs + this.#offsetNs;
  }

  /** A clock that two CPUs read may say that an end lies a few nanoseconds before its start. */
  get endUnixNs(): bigint {
    const { startNs, endNs } = this.connection;
    return later(startNs, endNs) + this.#offsetNs;
  }

  get error(): boolean {
    return this.#errorType !== undefined;
  }

  /** The same object for all spans of one end. */
  get resource(): Attributes {
    return this.names.local.resource;
  }

  get traceState(): string | undefined {
    return traceStateOf(this.connection.sampleThreshold);
  }

  /** Segments that were sent again without an event of their own. */
  get droppedEvents(): number {
    return droppedEvents(this.connection);
  }

  /** In order of time. */
  get events(): readonly SpanEvent[] {
    const events: SpanEvent[] = [];
    this.addEvents({ add: (name, timeUnixNs, attributes) => void events.push({ name, timeUnixNs, attributes }) });
    return events;
  }

  addEvents(into: EventSink): void {
    addEvents(into, this.connection, this.#offsetNs);
  }

  /** All attributes, in the order in which they are encoded. */
  get attributes(): Attributes {
    return attributesOf((into) => {
      addEnds(into, this.connection.key, this.names.remote);
      this.addOwn(into);
    });
  }

  /** All attributes but those of the ends, which many spans have in common (addEnds). */
  addOwn(into: AttributeSink): void {
    const { connection } = this;
    addConnection(into, connection);
    const resetBy = isInterim(connection) ? undefined : resetByOf(connection);
    addVerdict(into, judgeConnection(connection, this.#errorType, resetBy));
    if (isInterim(connection)) {
      addInterim(into, connection);
      return;
    }
    addEnd(into, connection);
    if (this.#errorType !== undefined) into.add(ATTR_ERROR_TYPE, this.#errorType);
    if (resetBy !== undefined) into.add(ATTR_FLOWSPAN_TCP_RESET_BY, resetBy);
  }
}

export function isInterim({ flags }: Pick<Connection, "flags">): boolean {
  return has(flags, ConnectionFlag.CONNECTION_INTERIM);
}

export function roleOf({ key }: Pick<Connection, "key">): "client" | "server" {
  return key.role === "server" ? "server" : "client";
}

/** Kinds of remote end behind which an agent of this cluster, or of this host, may see the client's end. */
const OURS: ReadonlySet<RemoteEnd["kind"]> = new Set(["pod", "service", "node", "host", "loopback"]);

/** The client's span, where the client can be ours and both ends have the same trace id. */
function parentOf(connection: Connection, traceId: string, remote: RemoteEnd): string | undefined {
  const isShared = cameToBe(connection) && !has(connection.flags, ConnectionFlag.CONNECTION_RESTORED);
  return OURS.has(remote.kind) && isShared ? connectionSpanId(traceId, "client") : undefined;
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
function resetByOf(connection: Connection): string | undefined {
  const { flags } = connection;
  const sent = has(flags, ConnectionFlag.CONNECTION_RESET_SENT);
  const received = has(flags, ConnectionFlag.CONNECTION_RESET_RECEIVED);
  if (sent && received) {
    const first = connection.events.find(({ kind }) => kind === "reset_sent" || kind === "reset_received");
    return first?.kind === "reset_received" ? FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE : FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL;
  }
  if (sent) return FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL;
  return received ? FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE : undefined;
}

/** The kernel keeps the first events only; its counters know of all. Events come with the end, not with interim records. */
function droppedEvents(connection: Connection): number {
  const { retransmits } = connection;
  if (retransmits === 0 || isInterim(connection)) return 0;
  const reported = connection.events.reduce((sum, { segments }) => sum + segments, 0);
  return Math.max(0, retransmits - reported);
}

function later(a: bigint, b: bigint): bigint {
  if (a < b) return b;
  return a;
}

function has(bits: number, bit: number): boolean {
  return (bits & (1 << bit)) !== 0;
}
