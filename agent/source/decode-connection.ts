/**
 * A FRAME_CONNECTION → one connection, with what happened to it.
 *
 * Like decode.ts it never throws and never rounds: a frame that cannot be used fails by name. The kernel's
 * numbers for states and kinds become names here, once; a number that no enum knows is kept as undefined
 * where it only describes, and fails the frame where the meaning hangs on it.
 */
import { connectionEvent, EdgeRole, EventKind, edgeKey, frameConnection } from "../generated/layout.ts";
import {
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_CWR,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_DISORDER,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_LOSS,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_OPEN,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_RECOVERY,
  type FlowspanTcpRecoveryState,
  NETWORK_CONNECTION_STATE_VALUE_CLOSE_WAIT,
  NETWORK_CONNECTION_STATE_VALUE_CLOSED,
  NETWORK_CONNECTION_STATE_VALUE_CLOSING,
  NETWORK_CONNECTION_STATE_VALUE_ESTABLISHED,
  NETWORK_CONNECTION_STATE_VALUE_FIN_WAIT_1,
  NETWORK_CONNECTION_STATE_VALUE_FIN_WAIT_2,
  NETWORK_CONNECTION_STATE_VALUE_LAST_ACK,
  NETWORK_CONNECTION_STATE_VALUE_LISTEN,
  NETWORK_CONNECTION_STATE_VALUE_SYN_RECEIVED,
  NETWORK_CONNECTION_STATE_VALUE_SYN_SENT,
  NETWORK_CONNECTION_STATE_VALUE_TIME_WAIT,
  type NetworkConnectionState,
} from "../generated/semconv.ts";
import type { Connection, ConnectionEvent, ConnectionEventKind } from "../model/connection-record.ts";
import type { EdgeKey } from "../model/edge.ts";

export type ConnectionFailure = "wrong_length" | "unknown_role" | "unknown_event" | "number_too_large";

/** By the kernel's enum tcp_state; NEW_SYN_RECV is the same to an observer as SYN_RECV. */
const STATES: readonly (NetworkConnectionState | undefined)[] = [
  undefined,
  NETWORK_CONNECTION_STATE_VALUE_ESTABLISHED,
  NETWORK_CONNECTION_STATE_VALUE_SYN_SENT,
  NETWORK_CONNECTION_STATE_VALUE_SYN_RECEIVED,
  NETWORK_CONNECTION_STATE_VALUE_FIN_WAIT_1,
  NETWORK_CONNECTION_STATE_VALUE_FIN_WAIT_2,
  NETWORK_CONNECTION_STATE_VALUE_TIME_WAIT,
  NETWORK_CONNECTION_STATE_VALUE_CLOSED,
  NETWORK_CONNECTION_STATE_VALUE_CLOSE_WAIT,
  NETWORK_CONNECTION_STATE_VALUE_LAST_ACK,
  NETWORK_CONNECTION_STATE_VALUE_LISTEN,
  NETWORK_CONNECTION_STATE_VALUE_CLOSING,
  NETWORK_CONNECTION_STATE_VALUE_SYN_RECEIVED,
];

/** By the kernel's enum tcp_ca_state. */
const RECOVERIES: readonly FlowspanTcpRecoveryState[] = [
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_OPEN,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_DISORDER,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_CWR,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_RECOVERY,
  FLOWSPAN_TCP_RECOVERY_STATE_VALUE_LOSS,
];

const KINDS: ReadonlyMap<number, ConnectionEventKind> = new Map([
  [EventKind.EVENT_RETRANSMIT_SYN, "retransmit_syn"],
  [EventKind.EVENT_RETRANSMIT_FAST, "retransmit_fast"],
  [EventKind.EVENT_RETRANSMIT_TIMEOUT, "retransmit_timeout"],
  [EventKind.EVENT_RETRANSMIT_TLP, "retransmit_tlp"],
  [EventKind.EVENT_RETRANSMIT_NON_CONGESTION, "retransmit_non_congestion"],
  [EventKind.EVENT_RESET_SENT, "reset_sent"],
  [EventKind.EVENT_RESET_RECEIVED, "reset_received"],
  [EventKind.EVENT_ZERO_WINDOW, "zero_window"],
]);

const SAFE = 2n ** 53n;
const AT = frameConnection.fields;

/** @param decodeKey makes an EdgeKey of its 48 bytes as latin1 text */
export function decodeConnection(payload: Buffer, decodeKey: (id: string) => EdgeKey): Connection | ConnectionFailure {
  if (payload.length < frameConnection.size) return "wrong_length";
  const eventCount = payload.readUInt16LE(AT.eventCount.offset);
  if (payload.length !== frameConnection.size + eventCount * connectionEvent.size) return "wrong_length";
  const role = payload[AT.key.offset + edgeKey.fields.role.offset];
  if (role !== EdgeRole.ROLE_CLIENT && role !== EdgeRole.ROLE_SERVER) return "unknown_role";
  const u64 = ({ offset }: { readonly offset: number }) => payload.readBigUInt64LE(offset);
  const bytesSent = u64(AT.bytesSent);
  const bytesReceived = u64(AT.bytesReceived);
  if (bytesSent >= SAFE || bytesReceived >= SAFE) return "number_too_large";
  const events = decodeEvents(payload, eventCount);
  if (events === undefined) return "unknown_event";

  const u32 = ({ offset }: { readonly offset: number }) => payload.readUInt32LE(offset);
  const u16 = ({ offset }: { readonly offset: number }) => payload.readUInt16LE(offset);
  return {
    key: decodeKey(payload.toString("latin1", AT.key.offset, AT.key.offset + edgeKey.size)),
    traceId: payload.toString("hex", AT.traceId.offset, AT.traceId.offset + AT.traceId.length),
    startNs: u64(AT.startNs),
    establishedNs: u64(AT.establishedNs),
    endNs: u64(AT.endNs),
    bytesSent: Number(bytesSent),
    bytesReceived: Number(bytesReceived),
    sampleThreshold: u64(AT.sampleThreshold),
    segsOut: u32(AT.segsOut),
    segsIn: u32(AT.segsIn),
    retransmits: u32(AT.retransmits),
    retransmitsSyn: u32(AT.retransmitsSyn),
    retransmitsFast: u32(AT.retransmitsFast),
    retransmitsTimeout: u32(AT.retransmitsTimeout),
    retransmitsTlp: u32(AT.retransmitsTlp),
    retransmitsNonCongestion: u32(AT.retransmitsNonCongestion),
    spurious: u32(AT.spurious),
    outOfOrder: u32(AT.outOfOrder),
    handshakeUs: u32(AT.handshakeUs),
    srttUs: u32(AT.srttUs),
    minRttUs: u32(AT.minRttUs),
    lastRttUs: u32(AT.lastRttUs),
    busyUs: u32(AT.busyUs),
    rwndLimitedUs: u32(AT.rwndLimitedUs),
    sndbufLimitedUs: u32(AT.sndbufLimitedUs),
    pid: u32(AT.pid),
    stretch: u32(AT.stretch),
    localPort: u16(AT.localPort),
    remotePort: u16(AT.remotePort),
    error: u16(AT.error),
    flags: u16(AT.flags),
    kept: u16(AT.kept),
    state: STATES[payload[AT.state.offset] as number],
    comm: textAt(payload, AT.comm),
    events,
  };
}

/** @returns undefined when one is of a kind that this agent does not know */
function decodeEvents(payload: Buffer, count: number): ConnectionEvent[] | undefined {
  const { timeNs, segments, kind, state, recovery } = connectionEvent.fields;
  const events: ConnectionEvent[] = [];
  for (let i = 0; i < count; i++) {
    const base = frameConnection.size + i * connectionEvent.size;
    const name = KINDS.get(payload[base + kind.offset] as number);
    if (name === undefined) return undefined;
    events.push({
      timeNs: payload.readBigUInt64LE(base + timeNs.offset),
      kind: name,
      segments: payload.readUInt32LE(base + segments.offset),
      state: STATES[payload[base + state.offset] as number],
      recovery: RECOVERIES[payload[base + recovery.offset] as number],
    });
  }
  return events;
}

/** A char array up to its NUL. Bytes that are no UTF-8 become U+FFFD. */
function textAt(payload: Buffer, { offset, length }: { readonly offset: number; readonly length: number }): string {
  const nul = payload.indexOf(0, offset);
  return payload.toString("utf8", offset, nul < 0 || nul > offset + length ? offset + length : nul);
}
