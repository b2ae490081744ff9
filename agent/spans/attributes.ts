/**
 * The attributes of a connection span, from the record's counters and the names of the remote end. Pure.
 *
 * Released names first. What is 0 because nothing of it happened is left out where the reference says so;
 * what is not known is never written as 0. Durations are seconds, as everywhere in OTLP.
 */
import { ConnectionFlag, SampleReason } from "../generated/layout.ts";
import {
  ATTR_CLIENT_ADDRESS,
  ATTR_CLIENT_PORT,
  ATTR_FLOWSPAN_PEER_K8S_POD_NAME,
  ATTR_FLOWSPAN_PEER_KIND,
  ATTR_FLOWSPAN_PEER_ZONE,
  ATTR_FLOWSPAN_SAMPLING_REASONS,
  ATTR_FLOWSPAN_TASK_NAME,
  ATTR_FLOWSPAN_TASK_PID,
  ATTR_FLOWSPAN_TCP_ADOPTED,
  ATTR_FLOWSPAN_TCP_BYTES_RECEIVED,
  ATTR_FLOWSPAN_TCP_BYTES_SENT,
  ATTR_FLOWSPAN_TCP_CHECKPOINTED,
  ATTR_FLOWSPAN_TCP_HANDSHAKE_TIME,
  ATTR_FLOWSPAN_TCP_RESTORED,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_NON_CONGESTION,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  ATTR_FLOWSPAN_TCP_RTT_LAST,
  ATTR_FLOWSPAN_TCP_RTT_MIN,
  ATTR_FLOWSPAN_TCP_RTT_SMOOTHED,
  ATTR_FLOWSPAN_TCP_SEGMENTS_OUT_OF_ORDER,
  ATTR_FLOWSPAN_TCP_SEGMENTS_RECEIVED,
  ATTR_FLOWSPAN_TCP_SEGMENTS_SENT,
  ATTR_FLOWSPAN_TCP_SEND_BUSY_TIME,
  ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME,
  ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME,
  ATTR_FLOWSPAN_TCP_SOCKMAP,
  ATTR_FLOWSPAN_TCP_STRETCH_COUNT,
  ATTR_FLOWSPAN_TCP_STRETCH_INDEX,
  ATTR_NETWORK_CONNECTION_STATE,
  ATTR_NETWORK_LOCAL_ADDRESS,
  ATTR_NETWORK_LOCAL_PORT,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_NETWORK_TRANSPORT,
  ATTR_NETWORK_TYPE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
  NETWORK_TRANSPORT_VALUE_TCP,
  NETWORK_TYPE_VALUE_IPV4,
  NETWORK_TYPE_VALUE_IPV6,
} from "../generated/semconv.ts";
import type { AttributeValue } from "../model/attribute.ts";
import type { Connection } from "../model/connection-record.ts";
import type { RemoteEnd } from "../model/names.ts";

type Attributes = Record<string, AttributeValue>;

const FACTS = [
  [ConnectionFlag.CONNECTION_ADOPTED, ATTR_FLOWSPAN_TCP_ADOPTED],
  [ConnectionFlag.CONNECTION_CHECKPOINTED, ATTR_FLOWSPAN_TCP_CHECKPOINTED],
  [ConnectionFlag.CONNECTION_RESTORED, ATTR_FLOWSPAN_TCP_RESTORED],
  [ConnectionFlag.CONNECTION_IN_SOCKMAP, ATTR_FLOWSPAN_TCP_SOCKMAP],
] as const;

/** What the record of a connection and that of a stretch have in common; the caller may add to it. */
export function connectionAttributes(connection: Connection, remote: RemoteEnd): Attributes {
  const all: Attributes = {};
  addEnds(all, connection, remote);
  addCounts(all, connection);
  addTimes(all, connection);
  add(all, ATTR_NETWORK_CONNECTION_STATE, connection.state);
  for (const [flag, name] of FACTS) if (isSet(connection.flags, flag)) all[name] = true;
  add(all, ATTR_FLOWSPAN_SAMPLING_REASONS, reasons(connection.kept));
  addUnlessZero(all, ATTR_FLOWSPAN_TASK_PID, connection.pid);
  if (connection.comm !== "") all[ATTR_FLOWSPAN_TASK_NAME] = connection.comm;
  return all;
}

/** What only the end of a connection can tell. */
export function addEnd(all: Attributes, { handshakeUs, stretch }: Connection): void {
  addSeconds(all, ATTR_FLOWSPAN_TCP_HANDSHAKE_TIME, handshakeUs);
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_STRETCH_COUNT, stretch);
}

export function addStretch(all: Attributes, { stretch }: Connection): void {
  all[ATTR_FLOWSPAN_TCP_STRETCH_INDEX] = stretch;
}

function addEnds(all: Attributes, { key, localPort, remotePort }: Connection, remote: RemoteEnd): void {
  const isClient = key.role === "client";
  all[ATTR_NETWORK_TRANSPORT] = NETWORK_TRANSPORT_VALUE_TCP;
  all[ATTR_NETWORK_TYPE] = key.localAddress.includes(":") ? NETWORK_TYPE_VALUE_IPV6 : NETWORK_TYPE_VALUE_IPV4;
  all[ATTR_NETWORK_LOCAL_ADDRESS] = key.localAddress;
  // The kernel takes the port of a connection that never came to be back before it says so.
  addUnlessZero(all, ATTR_NETWORK_LOCAL_PORT, localPort);
  all[ATTR_NETWORK_PEER_ADDRESS] = key.remoteAddress;
  all[ATTR_NETWORK_PEER_PORT] = remotePort;
  all[ATTR_SERVER_ADDRESS] = isClient ? key.remoteAddress : key.localAddress;
  // Where the role of an adopted connection is not known, it counts as the server's end.
  all[ATTR_SERVER_PORT] = key.serverPort === 0 ? localPort : key.serverPort;
  if (!isClient) {
    all[ATTR_CLIENT_ADDRESS] = key.remoteAddress;
    all[ATTR_CLIENT_PORT] = remotePort;
  }
  add(all, ATTR_SERVICE_PEER_NAME, remote.name);
  add(all, ATTR_SERVICE_PEER_NAMESPACE, remote.namespace);
  all[ATTR_FLOWSPAN_PEER_KIND] = remote.kind;
  add(all, ATTR_FLOWSPAN_PEER_K8S_POD_NAME, remote.podName);
  add(all, ATTR_FLOWSPAN_PEER_ZONE, remote.zone);
}

function addCounts(all: Attributes, connection: Connection): void {
  all[ATTR_FLOWSPAN_TCP_BYTES_SENT] = connection.bytesSent;
  all[ATTR_FLOWSPAN_TCP_BYTES_RECEIVED] = connection.bytesReceived;
  all[ATTR_FLOWSPAN_TCP_SEGMENTS_SENT] = connection.segsOut;
  all[ATTR_FLOWSPAN_TCP_SEGMENTS_RECEIVED] = connection.segsIn;
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_SEGMENTS_OUT_OF_ORDER, connection.outOfOrder);
  all[ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT] = connection.retransmits;
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN, connection.retransmitsSyn);
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST, connection.retransmitsFast);
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT, connection.retransmitsTimeout);
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE, connection.retransmitsTlp);
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_RETRANSMIT_NON_CONGESTION, connection.retransmitsNonCongestion);
  addUnlessZero(all, ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS, connection.spurious);
}

/** What the kernel's minimum filter holds before the first measurement. */
const NO_RTT = 0xffff_ffff;

function addTimes(all: Attributes, connection: Connection): void {
  addRoundTrips(all, connection);
  addSeconds(all, ATTR_FLOWSPAN_TCP_SEND_BUSY_TIME, connection.busyUs);
  addSeconds(all, ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME, connection.rwndLimitedUs);
  addSeconds(all, ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME, connection.sndbufLimitedUs);
}

/**
 * Before a segment of this end was acknowledged, the kernel's values are of the handshake alone, and that may have been
 * seconds, a timestamp's millisecond or a SYN cookie's 64.
 */
function addRoundTrips(all: Attributes, { minRttUs, srttUs, lastRttUs }: Connection): void {
  if (lastRttUs === 0) return;
  if (minRttUs !== NO_RTT) addSeconds(all, ATTR_FLOWSPAN_TCP_RTT_MIN, minRttUs);
  addSeconds(all, ATTR_FLOWSPAN_TCP_RTT_SMOOTHED, srttUs);
  addSeconds(all, ATTR_FLOWSPAN_TCP_RTT_LAST, lastRttUs);
}

const REASONS = [
  [SampleReason.SAMPLE_ADAPTIVE, "adaptive"],
  [SampleReason.SAMPLE_RANDOM, "random"],
  [SampleReason.SAMPLE_EVERY_NTH, "every_nth"],
] as const;

function reasons(kept: number): readonly string[] | undefined {
  if (kept === 0) return undefined;
  return REASONS.filter(([bit]) => isSet(kept, bit)).map(([, name]) => name);
}

/** 0 is "not known" or "never" in every field that this is used for. */
function addSeconds(all: Attributes, name: string, us: number): void {
  if (us !== 0) all[name] = us / 1e6;
}

function addUnlessZero(all: Attributes, name: string, count: number): void {
  if (count !== 0) all[name] = count;
}

function add(all: Attributes, name: string, value: AttributeValue | undefined): void {
  if (value !== undefined) all[name] = value;
}

function isSet(bits: number, bit: number): boolean {
  return (bits & (1 << bit)) !== 0;
}
