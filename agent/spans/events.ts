/**
 * What happened to a connection → the events of its span, in order of time. Pure.
 *
 * Established and close are made from the record's own times, everything else is what the kernel noted as
 * it happened. An interim record has neither: it begins and ends while the connection goes on. What was checkpointed goes on, too.
 */
import { ConnectionFlag } from "../generated/layout.ts";
import {
  ATTR_FLOWSPAN_TCP_RECOVERY_STATE,
  ATTR_FLOWSPAN_TCP_RESET_BY,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SEGMENTS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE,
  ATTR_NETWORK_CONNECTION_STATE,
  EVENT_FLOWSPAN_TCP_CLOSE,
  EVENT_FLOWSPAN_TCP_ESTABLISHED,
  EVENT_FLOWSPAN_TCP_RESET,
  EVENT_FLOWSPAN_TCP_RETRANSMIT,
  EVENT_FLOWSPAN_TCP_ZERO_WINDOW,
  FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL,
  FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_FAST,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_NON_CONGESTION,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_SYN,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TAIL_LOSS_PROBE,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TIMEOUT,
} from "../generated/semconv.ts";
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import type { Connection, ConnectionEvent, ConnectionEventKind } from "../model/connection-record.ts";

export interface SpanEvent {
  readonly name: string;
  readonly timeUnixNs: bigint;
  readonly attributes: Attributes;
}

const NO_ATTRIBUTES: Attributes = {};

interface EventText {
  readonly name: string;
  readonly attributes: Attributes;
}

const EVENT_TEXTS: Readonly<Record<ConnectionEventKind, EventText>> = {
  retransmit_syn: retransmit(FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_SYN),
  retransmit_fast: retransmit(FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_FAST),
  retransmit_timeout: retransmit(FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TIMEOUT),
  retransmit_tlp: retransmit(FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TAIL_LOSS_PROBE),
  retransmit_non_congestion: retransmit(FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_NON_CONGESTION),
  reset_sent: reset(FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL),
  reset_received: reset(FLOWSPAN_TCP_RESET_BY_VALUE_REMOTE),
  zero_window: { name: EVENT_FLOWSPAN_TCP_ZERO_WINDOW, attributes: {} },
};

function retransmit(type: string): EventText {
  return { name: EVENT_FLOWSPAN_TCP_RETRANSMIT, attributes: { [ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE]: type } };
}

function reset(by: string): EventText {
  return { name: EVENT_FLOWSPAN_TCP_RESET, attributes: { [ATTR_FLOWSPAN_TCP_RESET_BY]: by } };
}

/** Where events go, in order of time: into a list, or straight into the bytes of a request. */
export interface EventSink {
  add(name: string, timeUnixNs: bigint, attributes: Attributes): void;
}

/** @param offsetNs from boot time to Unix time */
export function addEvents(into: EventSink, connection: Connection, offsetNs: bigint): void {
  const { establishedNs, flags } = connection;
  const isInterim = has(flags, ConnectionFlag.CONNECTION_INTERIM);
  const isRestored = has(flags, ConnectionFlag.CONNECTION_RESTORED);
  let toEstablish = establishedNs !== 0n && !isRestored && !isInterim;
  for (const event of connection.events) {
    // A client's SYNs that were sent again come before it. Those of a server's SYN-ACKs would, but there is no socket yet
    // to note them: they are only counted.
    if (toEstablish && event.timeNs > establishedNs) {
      into.add(EVENT_FLOWSPAN_TCP_ESTABLISHED, establishedNs + offsetNs, NO_ATTRIBUTES);
      toEstablish = false;
    }
    into.add(EVENT_TEXTS[event.kind].name, event.timeNs + offsetNs, attributesOf(event));
  }
  if (toEstablish) into.add(EVENT_FLOWSPAN_TCP_ESTABLISHED, establishedNs + offsetNs, NO_ATTRIBUTES);
  if (isInterim || has(flags, ConnectionFlag.CONNECTION_CHECKPOINTED)) return;
  into.add(EVENT_FLOWSPAN_TCP_CLOSE, connection.endNs + offsetNs, inState(connection.state));
}

/** Of a close: there are few states. */
const states = new Map<Connection["state"], Attributes>([[undefined, NO_ATTRIBUTES]]);

function inState(state: Connection["state"]): Attributes {
  let attributes = states.get(state);
  if (attributes === undefined) {
    attributes = { [ATTR_NETWORK_CONNECTION_STATE]: state as string };
    states.set(state, attributes);
  }
  return attributes;
}

function attributesOf({ kind, segments, state, recovery }: ConnectionEvent): Attributes {
  const { name, attributes } = EVENT_TEXTS[kind];
  const all: Record<string, AttributeValue> = { ...attributes };
  if (state !== undefined) all[ATTR_NETWORK_CONNECTION_STATE] = state;
  if (name === EVENT_FLOWSPAN_TCP_RETRANSMIT) {
    all[ATTR_FLOWSPAN_TCP_RETRANSMIT_SEGMENTS] = segments;
    if (recovery !== undefined) all[ATTR_FLOWSPAN_TCP_RECOVERY_STATE] = recovery;
  }
  return all;
}

function has(bits: number, bit: number): boolean {
  return (bits & (1 << bit)) !== 0;
}
