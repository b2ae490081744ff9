/** From when to when the socket of one end handles what is on the wire, as far as calls and the wire tell. */
import type { Rules } from "./rules.ts";
import type { Role, Use } from "./uses.ts";
import type { Conversation, Packet, Sent } from "./wire.ts";

/** Both ends included. */
export type Range = readonly [low: number, high: number];

/** Between a call's clock or the wire's and the moment at which the kernel changes a state. */
export const NEAR_NS = 100_000;

/** Who handles what an end receives or sends at one moment. */
export type Handler = "socket" | "nobody" | "either";

export interface Facts {
  readonly rules: Rules;
  /** What is on the wire may not have come: a rule took it, or there was no room for it. */
  readonly lossy: boolean;
  /** Timers have ended connections, and no call told which: this end may be one of them. */
  readonly timedOut: boolean;
  /** From when on sockets were destroyed at the end of the program, one after the other; Infinity: none. */
  readonly destroyed: number;
  /** Requests of the namespace have dropped what answered their SYN-ACK. */
  readonly answersDropped: boolean;
  /** MPTCP sockets listen on its port. */
  readonly isMptcp: boolean;
}

/**
 * A FIN that is acknowledged while its close() still works waits in the backlog: where that is emptied last, the socket
 * stays a full one in FIN_WAIT2, and is no TIME_WAIT (tcp_rcv_state_process(), sock_owned_by_user()).
 */
export function outlivesClose(use: Use | undefined, { finAcknowledged }: Sent): boolean {
  const end = use?.end;
  return end !== undefined && finAcknowledged > end.to - LATE_NS && finAcknowledged < end.to + NEAR_NS;
}

/** So long before its end close() looks into the backlog for the last time. */
const LATE_NS = 50_000;

export class SocketLife {
  /** Data came on the SYN: the server's socket is there at once. */
  readonly isFast: boolean;
  readonly #packets: readonly Packet[];
  readonly #began: number;
  /** The first RST of either end: it may have ended the socket. The own one may follow the end. */
  readonly #reset: number;
  readonly #ownReset: number;
  /** The own FIN was acknowledged; Infinity: never. */
  readonly #acknowledged: number;
  /** Both FINs have come and are acknowledged: what follows is TIME_WAIT's, but for the answer to that FIN. */
  readonly #bothFins: number;
  /** From when on nobody holds the socket, as far as calls tell. */
  readonly #closed: Range;
  /** No FIN is sent: an attempt that is given up, connect(AF_UNSPEC). */
  readonly #endsAtOnce: boolean;
  readonly #outlives: boolean;
  readonly #lossy: boolean;
  readonly #timedOut: boolean;
  readonly #destroyed: number;

  constructor(role: Role, { sent, began }: Conversation, use: Use | undefined, established: boolean, facts: Facts) {
    const own = sent[role];
    const peer = sent[role === "client" ? "server" : "client"];
    this.isFast = sent.client.isFast;
    this.#endsAtOnce = !established || use?.end?.name === "unspec";
    this.#lossy = facts.lossy;
    this.#timedOut = facts.timedOut;
    this.#destroyed = facts.destroyed;
    this.#packets = own.packets;
    this.#began = role === "client" || this.isFast ? began : sent.client.firstAck;
    this.#ownReset = this.#firstReset(own.packets);
    this.#reset = Math.min(this.#ownReset, this.#firstReset(peer.packets));
    this.#acknowledged = own.finAcknowledged;
    this.#bothFins = Math.max(own.finAcknowledged, peer.firstFin);
    this.#outlives = outlivesClose(use, own);
    // An MPTCP socket closes its subflows when it likes.
    if (use?.mptcp) this.#closed = [this.#began, Number.POSITIVE_INFINITY];
    else if (use?.end) this.#closed = [use.end.from, use.end.to];
    else this.#closed = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  }

  /** Two CPUs may have put packets on the wire out of order. */
  #firstReset(packets: readonly Packet[]): number {
    return Math.min(...packets.filter(({ rst, time }) => rst && time >= this.#began).map(({ time }) => time));
  }

  sender({ time }: Packet): Handler {
    const handler = this.#at(time);
    if (this.#lossy || time > this.#reset || !this.#isAnswerToFin(time)) return handler;
    const [from] = this.#closed;
    // One segment that acknowledges and has a FIN is the socket's to the end.
    if (this.#bothFins < from - NEAR_NS || this.#bothFins === this.#acknowledged) return "socket";
    return this.#bothFins > this.#orphaned[1] + NEAR_NS ? "nobody" : "either";
  }

  receiver({ time }: Packet): Handler {
    // A timer may have ended it, or an orphan whose FIN nobody acknowledges, and a rule took what told of it.
    return this.#lossy && (this.#timedOut || time > this.#closed[1]) ? "either" : this.#at(time);
  }

  #at(time: number): Handler {
    if (time < this.#began) return "nobody";
    if (time > this.#destroyed || time > this.#reset || time > this.#ownReset - NEAR_NS) return "either";
    // The RST may be the answer to a segment for a socket that a timer has ended, or come too late for it.
    if (time === this.#reset && this.#timedOut) return "either";
    const [from, to] = this.#closed;
    if (this.#endsAtOnce) return time < from - NEAR_NS ? "socket" : time > to + NEAR_NS ? "nobody" : "either";
    if (time <= this.#acknowledged) return "socket";
    const [first, last] = this.#orphaned;
    if (this.#lossy || (time >= first - NEAR_NS && time <= last + NEAR_NS)) return "either";
    if (time > last) return "nobody";
    if (time <= this.#bothFins) return "socket";
    return time < this.#bothFins + NEAR_NS ? "either" : "nobody";
  }

  /** Closed by its application and its FIN acknowledged: a TIME_WAIT waits for the peer's FIN. */
  get #orphaned(): Range {
    const [from, to] = this.#closed;
    const last = this.#outlives ? Number.POSITIVE_INFINITY : to;
    return [Math.max(from, this.#acknowledged), Math.max(last, this.#acknowledged)];
  }

  /** The first that it sent after both FINs. */
  #isAnswerToFin(time: number): boolean {
    return this.#packets.find((packet) => packet.time > this.#bothFins && !packet.rst)?.time === time;
  }
}
