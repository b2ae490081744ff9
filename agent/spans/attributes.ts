/**
 * The attributes of a connection span, from the record's counters and the names of the remote end. Pure.
 *
 *   addEnds          the same for all connections of one edge to one peer: encoded once (span-encoder.ts)
 *   addConnection    of this connection alone
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
  ATTR_FLOWSPAN_TCP_INTERIM_COUNT,
  ATTR_FLOWSPAN_TCP_INTERIM_INDEX,
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
  ATTR_FLOWSPAN_TCP_VERDICT,
  ATTR_FLOWSPAN_TCP_VERDICT_REASON,
  ATTR_FLOWSPAN_TCP_VERDICT_VALUE,
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
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import type { Connection } from "../model/connection-record.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { RemoteEnd } from "../model/names.ts";
import type { ConnectionVerdict } from "./judge-connection.ts";

/** Where attributes go: into an object, or straight into the bytes of a request. */
export interface AttributeSink {
  /** Called once for each name. */
  add(name: string, value: AttributeValue): void;
}

const FACTS = [
  [ConnectionFlag.CONNECTION_ADOPTED, ATTR_FLOWSPAN_TCP_ADOPTED],
  [ConnectionFlag.CONNECTION_CHECKPOINTED, ATTR_FLOWSPAN_TCP_CHECKPOINTED],
  [ConnectionFlag.CONNECTION_RESTORED, ATTR_FLOWSPAN_TCP_RESTORED],
  [ConnectionFlag.CONNECTION_IN_SOCKMAP, ATTR_FLOWSPAN_TCP_SOCKMAP],
] as const;

/** What `add` adds, as an object. */
export function attributesOf(add: (into: AttributeSink) => void): Attributes {
  const all: Record<string, AttributeValue> = {};
  add({
    add: (name, value) => {
      all[name] = value;
    },
  });
  return all;
}

/** Of both ends, without the ports that change from connection to connection. */
export function addEnds(into: AttributeSink, key: EdgeKey, remote: RemoteEnd): void {
  const isClient = key.role === "client";
  into.add(ATTR_NETWORK_TRANSPORT, NETWORK_TRANSPORT_VALUE_TCP);
  into.add(ATTR_NETWORK_TYPE, key.localAddress.includes(":") ? NETWORK_TYPE_VALUE_IPV6 : NETWORK_TYPE_VALUE_IPV4);
  into.add(ATTR_NETWORK_LOCAL_ADDRESS, key.localAddress);
  into.add(ATTR_NETWORK_PEER_ADDRESS, key.remoteAddress);
  into.add(ATTR_SERVER_ADDRESS, isClient ? key.remoteAddress : key.localAddress);
  if (!isClient) into.add(ATTR_CLIENT_ADDRESS, key.remoteAddress);
  add(into, ATTR_SERVICE_PEER_NAME, remote.name);
  add(into, ATTR_SERVICE_PEER_NAMESPACE, remote.namespace);
  into.add(ATTR_FLOWSPAN_PEER_KIND, remote.kind);
  add(into, ATTR_FLOWSPAN_PEER_K8S_POD_NAME, remote.podName);
  add(into, ATTR_FLOWSPAN_PEER_ZONE, remote.zone);
}

/** What the record of a connection and an interim one have in common, apart from the ends. */
export function addConnection(into: AttributeSink, connection: Connection): void {
  addPorts(into, connection);
  addCounts(into, connection);
  addTimes(into, connection);
  add(into, ATTR_NETWORK_CONNECTION_STATE, connection.state);
  for (const [flag, name] of FACTS) if (isSet(connection.flags, flag)) into.add(name, true);
  add(into, ATTR_FLOWSPAN_SAMPLING_REASONS, REASONS[connection.kept % REASONS.length]);
  addUnlessZero(into, ATTR_FLOWSPAN_TASK_PID, connection.pid);
  if (connection.comm !== "") into.add(ATTR_FLOWSPAN_TASK_NAME, connection.comm);
}

/** What only the end of a connection can tell. */
export function addEnd(into: AttributeSink, { handshakeUs, interims }: Connection): void {
  addSeconds(into, ATTR_FLOWSPAN_TCP_HANDSHAKE_TIME, handshakeUs);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_INTERIM_COUNT, interims);
}

export function addInterim(into: AttributeSink, { interims }: Connection): void {
  into.add(ATTR_FLOWSPAN_TCP_INTERIM_INDEX, interims);
}

export function addVerdict(into: AttributeSink, verdict: ConnectionVerdict | undefined): void {
  if (verdict === undefined) return;
  into.add(ATTR_FLOWSPAN_TCP_VERDICT, verdict.who);
  into.add(ATTR_FLOWSPAN_TCP_VERDICT_REASON, verdict.reason);
  into.add(ATTR_FLOWSPAN_TCP_VERDICT_VALUE, verdict.value);
}

function addPorts(into: AttributeSink, { key, localPort, remotePort }: Connection): void {
  // The kernel takes the port of a connection that never came to be back before it says so.
  addUnlessZero(into, ATTR_NETWORK_LOCAL_PORT, localPort);
  into.add(ATTR_NETWORK_PEER_PORT, remotePort);
  // Where the role of an adopted connection is not known, it counts as the server's end.
  into.add(ATTR_SERVER_PORT, key.serverPort === 0 ? localPort : key.serverPort);
  if (key.role !== "client") into.add(ATTR_CLIENT_PORT, remotePort);
}

function addCounts(into: AttributeSink, connection: Connection): void {
  into.add(ATTR_FLOWSPAN_TCP_BYTES_SENT, connection.bytesSent);
  into.add(ATTR_FLOWSPAN_TCP_BYTES_RECEIVED, connection.bytesReceived);
  into.add(ATTR_FLOWSPAN_TCP_SEGMENTS_SENT, connection.segsOut);
  into.add(ATTR_FLOWSPAN_TCP_SEGMENTS_RECEIVED, connection.segsIn);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_SEGMENTS_OUT_OF_ORDER, connection.outOfOrder);
  into.add(ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT, connection.retransmits);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN, connection.retransmitsSyn);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_RETRANSMIT_FAST, connection.retransmitsFast);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT, connection.retransmitsTimeout);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_RETRANSMIT_TAIL_LOSS_PROBE, connection.retransmitsTlp);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_RETRANSMIT_NON_CONGESTION, connection.retransmitsNonCongestion);
  addUnlessZero(into, ATTR_FLOWSPAN_TCP_RETRANSMIT_SPURIOUS, connection.spurious);
}

/** What the kernel's minimum filter holds before the first measurement. */
const NO_RTT = 0xffff_ffff;

function addTimes(into: AttributeSink, connection: Connection): void {
  addRoundTrips(into, connection);
  addSeconds(into, ATTR_FLOWSPAN_TCP_SEND_BUSY_TIME, connection.busyUs);
  addSeconds(into, ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME, connection.rwndLimitedUs);
  addSeconds(into, ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME, connection.sndbufLimitedUs);
}

/**
 * Before a segment of this end was acknowledged, the kernel's values are of the handshake alone, and that may have been
 * seconds, a timestamp's millisecond or a SYN cookie's 64.
 */
function addRoundTrips(into: AttributeSink, { minRttUs, srttUs, lastRttUs }: Connection): void {
  if (lastRttUs === 0) return;
  if (minRttUs !== NO_RTT) addSeconds(into, ATTR_FLOWSPAN_TCP_RTT_MIN, minRttUs);
  addSeconds(into, ATTR_FLOWSPAN_TCP_RTT_SMOOTHED, srttUs);
  addSeconds(into, ATTR_FLOWSPAN_TCP_RTT_LAST, lastRttUs);
}

const REASON_NAMES = [
  [SampleReason.SAMPLE_ADAPTIVE, "adaptive"],
  [SampleReason.SAMPLE_RANDOM, "random"],
  [SampleReason.SAMPLE_EVERY_NTH, "every_nth"],
] as const;
/** By the bits of `Connection.kept`; of none, nothing. */
const REASONS: readonly (readonly string[] | undefined)[] = Array.from(
  { length: 1 << REASON_NAMES.length },
  (_, kept) => (kept === 0 ? undefined : REASON_NAMES.filter(([bit]) => isSet(kept, bit)).map(([, name]) => name)),
);

/** 0 is "not known" or "never" in every field that this is used for. */
function addSeconds(into: AttributeSink, name: string, us: number): void {
  if (us !== 0) into.add(name, us / 1e6);
}

function addUnlessZero(into: AttributeSink, name: string, count: number): void {
  if (count !== 0) into.add(name, count);
}

function add(into: AttributeSink, name: string, value: AttributeValue | undefined): void {
  if (value !== undefined) into.add(name, value);
}

function isSet(bits: number, bit: number): boolean {
  return (bits & (1 << bit)) !== 0;
}
