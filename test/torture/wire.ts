/**
 * The wire, connection by connection: what each end has sent. A second count beside the program's own, as tcpdump
 * would give it; it knows nothing of sockets.
 */
import type { End, Segment } from "./trace.ts";

/** One packet of one end: several segments where the sender left it to the device to cut them. */
export interface Packet extends Pick<Segment, "time" | "segments" | "syn" | "rst" | "forged"> {
  /** An ACK of the peer's SYN and of nothing else, with nothing in it: a request can send that. */
  readonly isBare: boolean;
}

/** What one end of a connection sent. */
export interface Sent {
  /** In order of time, forged ones too. */
  readonly packets: readonly Packet[];
  /** Payload, each byte once however often it was sent again. */
  readonly bytes: number;
  /** Times of its RSTs, without forged ones. */
  readonly resets: readonly number[];
  /** Times of RSTs that were forged in its name. */
  readonly forged: readonly number[];
  /** Of its first FIN; Infinity: none. */
  readonly firstFin: number;
  /** When the peer acknowledged its FIN; Infinity: never. */
  readonly finAcknowledged: number;
  /** Whether it acknowledged the other's SYN outside of its own SYN: it was established. */
  readonly acknowledged: boolean;
  readonly syns: number;
  /** A segment of it began before the end of what it had sent: sent again, or a probe. No timer ends a socket without that. */
  readonly repeats: boolean;
  /** A SYN of it carried data. */
  readonly isFast: boolean;
  /** Times of its first SYN or SYN-ACK, and of its first segment without one; 0: none. */
  readonly firstSyn: number;
  readonly firstAck: number;
}

export interface Conversation {
  readonly client: End;
  readonly server: End;
  /** Of the first SYN. */
  readonly began: number;
  readonly last: number;
  readonly sent: { readonly client: Sent; readonly server: Sent };
}

/** Every SYN with a new sequence number begins a conversation; what comes before any SYN belongs to none. */
export function conversations(wire: readonly Segment[]): {
  readonly talks: readonly Conversation[];
  /** Segments that belong to none, without RSTs. */
  readonly outside: number;
} {
  const open = new Map<string, Side[]>();
  const former = new Map<string, Side[]>();
  const all: [Side, Side][] = [];
  let outside = 0;
  for (const segment of wire) {
    const key = [text(segment.from), text(segment.to)].sort().join(" ");
    let sides = open.get(key);
    if (segment.syn && !segment.ack) {
      const same = sides?.find(
        ({ end, sequence }) => text(end) === text(segment.from) && sequence === segment.sequence,
      );
      if (!same) {
        const client = new Side(segment.from, segment.time);
        const server = new Side(segment.to, segment.time);
        if (sides) former.set(key, sides);
        sides = [client, server];
        open.set(key, sides);
        all.push([client, server]);
      }
    }
    if (sides && segment.rst && !belongs(segment, sides)) sides = former.get(key) ?? sides;
    const from = sides?.find(({ end }) => text(end) === text(segment.from));
    const to = sides?.find((side) => side !== from);
    if (from && to) from.send(segment, to);
    else if (!segment.rst) outside += segment.segments;
  }
  const talks = all.map(([client, server]) => ({
    client: client.end,
    server: server.end,
    began: client.began,
    last: Math.max(client.last, server.last),
    sent: { client, server },
  }));
  return { talks, outside };
}

/** A RST may answer for the connection that had the same two ends before. */
function belongs({ from, sequence }: Segment, sides: readonly Side[]): boolean {
  const side = sides.find(({ end }) => text(end) === text(from));
  return side?.sequence === undefined || sequence === 0 || (sequence - side.sequence) >>> 0 <= side.bytes + 2;
}

function text({ address, port }: End): string {
  return `${address}/${port}`;
}

/** One end while its segments are added up. */
class Side implements Sent {
  readonly end: End;
  readonly began: number;
  last: number;
  sequence: number | undefined;
  packets: Packet[] = [];
  bytes = 0;
  resets: number[] = [];
  forged: number[] = [];
  firstFin = Number.POSITIVE_INFINITY;
  finAcknowledged = Number.POSITIVE_INFINITY;
  isFast = false;
  acknowledged = false;
  syns = 0;
  repeats = false;
  firstSyn = 0;
  firstAck = 0;
  #fin: number | undefined;
  #next = 0;

  constructor(end: End, began: number) {
    this.end = end;
    this.began = began;
    this.last = began;
  }

  send(segment: Segment, peer: Side): void {
    this.last = segment.time;
    this.packets.push({ ...segment, isBare: this.#isBare(segment, peer) });
    if (segment.forged) {
      this.forged.push(segment.time);
      return;
    }
    // It answers the SYN of a connection that had the same two ends before this one.
    if (segment.syn && segment.ack && peer.#position(segment.acknowledged) > peer.bytes) return;
    if (segment.syn && segment.ack && peer.#position(segment.acknowledged) < 0) return;
    if (segment.syn) {
      this.sequence = segment.sequence;
      this.syns++;
      if (segment.payload > 0) this.isFast = true;
      if (this.firstSyn === 0) this.firstSyn = segment.time;
    }
    if (segment.rst) {
      this.resets.push(segment.time);
      return;
    }
    if (segment.ack && !segment.syn && this.sequence !== undefined) {
      this.acknowledged = true;
      if (this.firstAck === 0) this.firstAck = segment.time;
    }
    const start = this.#position(segment.sequence + (segment.syn ? 1 : 0));
    const end = start + segment.payload;
    if (this.syns > 1 || start < this.#next) this.repeats = true;
    this.#next = Math.max(this.#next, end + (segment.fin ? 1 : 0));
    if (segment.payload > 0) this.bytes = Math.max(this.bytes, end);
    if (segment.fin) {
      this.#fin = end;
      this.firstFin = Math.min(this.firstFin, segment.time);
    }
    if (segment.ack) peer.#acknowledge(segment);
  }

  #isBare({ syn, fin, rst, sequence, acknowledged, payload }: Segment, peer: Side): boolean {
    const isEmpty = !syn && !fin && !rst && payload === 0;
    return isEmpty && this.#position(sequence) === 0 && peer.#position(acknowledged) === 0;
  }

  #acknowledge({ acknowledged, time }: Segment): void {
    if (this.#fin !== undefined && this.#position(acknowledged) > this.#fin && time < this.finAcknowledged)
      this.finAcknowledged = time;
  }

  /** Bytes behind the SYN; a keep-alive probe lies one before it. */
  #position(sequence: number): number {
    return (sequence - ((this.sequence ?? sequence) + 1)) | 0;
  }
}
