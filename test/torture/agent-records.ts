/**
 * A span, back in the terms of the oracle: the record that it must have been made of. By the reference (docs/telemetry.md)
 * alone; the agent's own code is not asked.
 *
 * A span says less than a record: causes of failure by name, and who reset first.
 */
import { ConnectionFlag } from "../../agent/generated/layout.ts";
import type { Attributes } from "../../agent/model/attribute.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import { ownerOf, PUPPETS } from "./agent-cgroups.ts";

/** `error.type` of an attempt by errno: what the application is told. */
const ERRNOS: Readonly<Record<string, number>> = {
  refused: 111,
  timed_out: 110,
  reset: 104,
  host_unreachable: 113,
  net_unreachable: 101,
  cancelled: 0,
  no_local_port: 99,
};
/** Another error, or one that no SYN was sent for. */
const OTHER = -1;

export function errorName(errno: number): string {
  return Object.entries(ERRNOS).find(([, number]) => number === errno)?.[0] ?? "_OTHER";
}

/** @param realtimeNs what the wall clock is ahead of CLOCK_BOOTTIME */
export function recordOf(span: ReceivedSpan, realtimeNs: number): Connection {
  const { attributes, events } = span;
  const number = (name: string) => Number(attributes[name] ?? 0);
  const micros = (name: string) => Math.round(number(name) * 1e6);
  const bootNs = (unixNs: bigint) => unixNs - BigInt(realtimeNs);
  const startNs = bootNs(span.startUnixNs);
  const established = events.find(({ name }) => name === "flowspan.tcp.established");
  const wasOpen = attributes["flowspan.tcp.restored"] === true || attributes["flowspan.tcp.adopted"] === true;
  return {
    key: keyOf(span),
    traceId: span.traceId,
    startNs,
    establishedNs: established ? bootNs(established.timeUnixNs) : wasOpen ? startNs : 0n,
    endNs: bootNs(span.endUnixNs),
    bytesSent: number("flowspan.tcp.bytes.sent"),
    bytesReceived: number("flowspan.tcp.bytes.received"),
    sampleThreshold: 0n,
    segsOut: number("flowspan.tcp.segments.sent"),
    segsIn: number("flowspan.tcp.segments.received"),
    retransmits: number("flowspan.tcp.retransmit.count"),
    retransmitsSyn: number("flowspan.tcp.retransmit.syn"),
    retransmitsFast: number("flowspan.tcp.retransmit.fast"),
    retransmitsTimeout: number("flowspan.tcp.retransmit.timeout"),
    retransmitsTlp: number("flowspan.tcp.retransmit.tail_loss_probe"),
    retransmitsNonCongestion: number("flowspan.tcp.retransmit.non_congestion"),
    spurious: number("flowspan.tcp.retransmit.spurious"),
    outOfOrder: number("flowspan.tcp.segments.out_of_order"),
    handshakeUs: micros("flowspan.tcp.handshake.time"),
    srttUs: micros("flowspan.tcp.rtt.smoothed"),
    minRttUs: micros("flowspan.tcp.rtt.min"),
    lastRttUs: micros("flowspan.tcp.rtt.last"),
    busyUs: micros("flowspan.tcp.send.busy_time"),
    rwndLimitedUs: micros("flowspan.tcp.send.receive_window_limited_time"),
    sndbufLimitedUs: micros("flowspan.tcp.send.send_buffer_limited_time"),
    pid: number("flowspan.task.pid"),
    interims: number("flowspan.tcp.interim.count"),
    localPort: number("network.local.port"),
    remotePort: number("network.peer.port"),
    error: errnoOf(attributes),
    flags: flagsOf(span),
    kept: 0,
    state: attributes["network.connection.state"] as Connection["state"],
    comm: String(attributes["flowspan.task.name"] ?? ""),
    events: [],
  };
}

function keyOf({ attributes, kind, resource }: ReceivedSpan): EdgeKey {
  return {
    cgroup: BigInt(PUPPETS.indexOf(ownerOf(resource)?.puppet ?? "a")),
    localAddress: String(attributes["network.local.address"]),
    remoteAddress: String(attributes["network.peer.address"]),
    netns: 0,
    serverPort: Number(attributes["server.port"]),
    role: kind === "server" ? "server" : "client",
    overflow: false,
  };
}

function errnoOf(attributes: Attributes): number {
  const type = attributes["error.type"];
  return type === undefined ? 0 : (ERRNOS[String(type)] ?? OTHER);
}

/** Both resets where both have an event; who was first is in the attribute. */
function flagsOf({ attributes, events }: ReceivedSpan): number {
  const by = [
    attributes["flowspan.tcp.reset.by"],
    ...events
      .filter(({ name }) => name === "flowspan.tcp.reset")
      .map((event) => event.attributes["flowspan.tcp.reset.by"]),
  ];
  const facts = [
    [ConnectionFlag.CONNECTION_RESET_SENT, by.includes("local")],
    [ConnectionFlag.CONNECTION_RESET_RECEIVED, by.includes("remote")],
    [ConnectionFlag.CONNECTION_NOT_SENT, attributes["error.type"] === "not_sent"],
    [ConnectionFlag.CONNECTION_ADOPTED, attributes["flowspan.tcp.adopted"] === true],
    [ConnectionFlag.CONNECTION_RESTORED, attributes["flowspan.tcp.restored"] === true],
    [ConnectionFlag.CONNECTION_CHECKPOINTED, attributes["flowspan.tcp.checkpointed"] === true],
    [ConnectionFlag.CONNECTION_IN_SOCKMAP, attributes["flowspan.tcp.sockmap"] === true],
  ] as const;
  return facts.reduce((flags, [bit, isSo]) => (isSo ? flags | (1 << bit) : flags), 0);
}

/**
 * A span is on the wall clock as the probe read it, a call on the clock itself, and the two readings lie milliseconds or
 * seconds apart.
 */
export const CLOCK_NS = 2_000_000;
