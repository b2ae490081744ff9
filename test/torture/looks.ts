/**
 * What was open at a barrier: lines of `ss`, of /proc/PID/fd and of the kernel's books (test/torture/interpreter/torture-look.c) become
 * sockets with their own counters. A second source beside flowspan for what a connection had done by then.
 */
import type { End } from "./trace.ts";

/** A TCP socket's own counters at one moment; payload and times without SYN and FIN. */
export interface SocketCounters {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly segsOut: number;
  readonly segsIn: number;
  readonly retransmits: number;
  readonly spurious: number;
  readonly outOfOrder: number;
  readonly busyUs: number;
  readonly rwndLimitedUs: number;
  readonly sndbufLimitedUs: number;
}

export interface ListedSocket {
  /** As `ss` names it: ESTAB, SYN-SENT, LISTEN; TIME-WAIT also where `ss` tells the state in which one began. */
  readonly state: string;
  readonly local: End;
  readonly remote: End;
  /** 0: no file was ever made for it, or it is an orphan. */
  readonly inode: number;
  /** The kernel's own number of the socket, never given out again. */
  readonly cookie: string;
  /** The last directory of its cgroup: a puppet's name. */
  readonly cgroup: string;
  /** It is a subflow, or listens for them. */
  readonly mptcp: boolean;
  /** Processes that have a file of it, in no order. */
  readonly holders: readonly number[];
  readonly counters: SocketCounters;
}

export interface Look {
  /** The barrier's line in the program. */
  readonly line: number;
  /** CLOCK_BOOTTIME, nanoseconds, before and after. */
  readonly from: number;
  readonly to: number;
  readonly sockets: readonly ListedSocket[];
  readonly books: Readonly<Record<string, number>>;
}

const OPEN = new Set(["ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "LAST-ACK", "CLOSING"]);
/** The peer's FIN came, and the kernel counts it as a byte. */
const PEER_ENDED = new Set(["CLOSE-WAIT", "LAST-ACK", "CLOSING"]);

/** Open as a connection is: its handshake is complete, and a full socket is behind it. */
export function isOpen({ state }: ListedSocket): boolean {
  return OPEN.has(state);
}

/** @param lines `socket …` and `holds …` of one look */
export function parseSockets(lines: readonly string[]): ListedSocket[] {
  const holders = new Map<number, Set<number>>();
  for (const [kind, pid, inode] of lines.map((line) => line.split(" ")))
    if (kind === "holds")
      holders.set(Number(inode), (holders.get(Number(inode)) ?? new Set<number>()).add(Number(pid)));
  return lines
    .filter((line) => line.startsWith("socket "))
    .map((line) => parseSocket(line.trim().split(/\s+/).slice(1), holders));
}

function parseSocket(words: readonly string[], holders: ReadonlyMap<number, ReadonlySet<number>>): ListedSocket {
  const [told = "", , , local, remote, ...rest] = words;
  const said = new Map(rest.map((word) => [word.split(":", 1)[0] ?? "", word.slice(word.indexOf(":") + 1)]));
  const inode = Number(said.get("ino") ?? 0);
  // What waits for the peer's FIN is told as FIN-WAIT-2, though no socket is left of it (inet_twsk_diag_fill()).
  const state = said.get("timer")?.startsWith("(timewait,") ? "TIME-WAIT" : told;
  const number = (name: string) => Number.parseInt(said.get(name) ?? "0", 10);
  // Segments sent again: in flight, and ever.
  const retransmits = Number(said.get("retrans")?.split("/")[1] ?? 0);
  return {
    ...{ state, local: parseSsEnd(local), remote: parseSsEnd(remote), inode },
    cookie: said.get("sk") ?? "",
    cgroup: said.get("cgroup")?.split("/").at(-1) ?? "",
    mptcp: rest.includes("tcp-ulp-mptcp"),
    holders: [...(holders.get(inode) ?? [])],
    counters: {
      bytesSent: number("bytes_sent") - number("bytes_retrans"),
      bytesReceived: number("bytes_received") - (PEER_ENDED.has(state) ? 1 : 0),
      ...{ segsOut: number("segs_out"), segsIn: number("segs_in"), retransmits },
      ...{ spurious: number("dsack_dups"), outOfOrder: number("rcv_ooopack"), busyUs: number("busy") * 1000 },
      rwndLimitedUs: number("rwnd_limited") * 1000,
      sndbufLimitedUs: number("sndbuf_limited") * 1000,
    },
  };
}

/** `[::ffff:127.0.0.1]:8000`, `127.0.0.1:8000`, `*:*` */
function parseSsEnd(text = ""): End {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon).replace(/[[\]]/g, "").replace("::ffff:", "");
  return { address, port: Number.parseInt(text.slice(colon + 1), 10) || 0 };
}
