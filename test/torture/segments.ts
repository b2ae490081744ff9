/**
 * How many segments each end's socket must have counted (tcp_sock.segs_out, segs_in), from the wire.
 *
 * Of what an end sent, its socket sent all but SYN-ACKs (the request's: tcp_make_synack()), RSTs (of a closed port, or
 * of a close after the last count) and what its TIME_WAIT answers. So it must be exact, and is a range only
 *
 *   - for what crosses the end of the socket: within NEAR_NS of a close, a FIN's acknowledgement or a RST;
 *   - for RSTs of a socket that was ended from outside (tcp_abort()), by a timer or by MPTCP: those are sent before the close;
 *   - for what comes to a socket that was ended from outside: nobody knows whether it came before;
 *   - where an OUTPUT rule took what was counted as sent, or an INPUT rule what is on the wire;
 *   - where a request dropped bare answers (TCP_DEFER_ACCEPT, a full accept queue): it goes on, and answers what is out of its
 *     window, as a keep-alive probe, itself (tcp_check_req(), tcp_reqsk_send_ack()).
 *
 * A server's socket begins with one segment received, however often the SYN came (tcp_create_openreq_child()).
 */
import { type Facts, type Handler, NEAR_NS, type Range, SocketLife } from "./socket-life.ts";
import type { Role, Use } from "./uses.ts";
import type { Conversation, Packet } from "./wire.ts";

export interface SegmentCounts {
  readonly out: Range;
  readonly in: Range;
}

/** @returns undefined where nobody can know: the socket was replaced, or nobody knows who held it */
export function segmentsOf(
  role: Role,
  talk: Conversation,
  use: Use | undefined,
  established: boolean | undefined,
  facts: Facts,
): SegmentCounts | undefined {
  if (established === undefined || use?.uncertain || (use?.restored ?? 0) > 0) return undefined;
  const other = role === "client" ? "server" : "client";
  const life = new SocketLife(role, talk, use, established, facts);
  const { port } = talk.server;
  return {
    out: sentBy(role, talk.sent[role].packets, life, facts, use, facts.rules.takes("OUTPUT", role, port)),
    in: receivedBy(role, talk.sent[other].packets, life, facts, use?.killed || facts.rules.takes("INPUT", other, port)),
  };
}

function sentBy(
  role: Role,
  packets: readonly Packet[],
  life: SocketLife,
  { answersDropped }: Facts,
  use: Use | undefined,
  filtered: boolean,
): Range {
  let low = 0;
  let high = 0;
  for (const packet of packets) {
    if (packet.forged || (packet.syn && role === "server")) continue;
    const handler = packet.rst ? resetter(packet, use) : life.sender(packet);
    const mayBeOfRequest = role === "server" && answersDropped && packet.isBare;
    if (handler === "socket" && !mayBeOfRequest) low += packet.segments;
    if (handler !== "nobody") high += packet.segments;
  }
  return [low, filtered ? Number.POSITIVE_INFINITY : high];
}

/** A close counts before it sends its RST; a kill, a timer's and MPTCP's come before the count. */
function resetter({ time }: Packet, use: Use | undefined): Handler {
  if (use?.end === undefined || use.killed || use.timedOut || use.mptcp) return "either";
  return time >= use.end.from - NEAR_NS && time <= use.end.to + NEAR_NS ? "nobody" : "either";
}

function receivedBy(
  role: Role,
  packets: readonly Packet[],
  life: SocketLife,
  { answersDropped }: Facts,
  filtered: boolean,
): Range {
  const before = role === "server" ? 1 : 0;
  let low = before;
  let high = before;
  for (const packet of packets) {
    if (role === "server" && packet.syn) {
      // A child that data on the SYN has made is there when the SYN comes again.
      if (life.isFast && packet !== packets[0]) high += packet.segments;
      continue;
    }
    const handler = life.receiver(packet);
    if (handler === "socket") low += packet.segments;
    if (handler !== "nobody") high += packet.segments;
  }
  const isBlurred = filtered || (role === "server" && answersDropped);
  return [isBlurred ? before : low, high];
}
