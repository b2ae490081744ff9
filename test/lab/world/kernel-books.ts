/**
 * The kernel's own books of one net namespace, as second source beside our probe: the SNMP counters that
 * `nstat` shows and the socket details that `ss -ti` shows. Parsing is pure; reading runs `cat` and `ss` in
 * the namespace, without hiding anything behind a fresh mount.
 */
import { enterArguments } from "../programs/process.ts";
import { run } from "../programs/run.ts";

/** Counters by group and name: `books.Tcp.RetransSegs`. Absolute since the namespace was made. */
export type KernelBooks = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** @param netns file of the net namespace */
export async function readKernelBooks(netns: string): Promise<KernelBooks> {
  return parseSnmp(await run(enterArguments({ netns }, ["cat", "/proc/net/snmp", "/proc/net/netstat"])));
}

/** Lines come in pairs: `Tcp: name name`, `Tcp: 1 2`. */
export function parseSnmp(text: string): KernelBooks {
  const books: Record<string, Record<string, number>> = {};
  const lines = text.split("\n").filter((line) => line.includes(": "));
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [group = "", names = ""] = lines[i]?.split(": ") ?? [];
    const values = lines[i + 1]?.split(": ")[1]?.split(" ") ?? [];
    books[group] = Object.fromEntries(names.split(" ").map((name, n) => [name, Number(values[n])]));
  }
  return books;
}

/** How far each counter of one group has moved. */
export function booksGrowth(before: KernelBooks, after: KernelBooks, group: string): Record<string, number> {
  const names = Object.keys(after[group] ?? {});
  return Object.fromEntries(names.map((name) => [name, (after[group]?.[name] ?? 0) - (before[group]?.[name] ?? 0)]));
}

export interface SocketDetail {
  readonly state: string;
  /** `10.244.1.10:40000`, `[fd00::1]:80`. */
  readonly local: string;
  readonly remote: string;
  /** Of a listener: connections in the accept queue, and its limit. */
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly rttMs: number | undefined;
  /** Retransmits of the whole connection. */
  readonly retransmits: number;
  /** Counts the SYN of an active opener and a FIN, too. */
  readonly bytesAcked: number;
  readonly bytesReceived: number;
  readonly segsOut: number;
  readonly segsIn: number;
  /** Segments that arrived out of order. */
  readonly outOfOrder: number;
  /** Segments sent again that the peer already had, by its DSACK blocks. */
  readonly spurious: number;
  /** The chronograph, in whole milliseconds: data to send, and what of that the two limits held up. */
  readonly busyMs: number;
  readonly receiveWindowLimitedMs: number;
  readonly sendBufferLimitedMs: number;
}

export async function readSockets(netns: string, filter: readonly string[] = []): Promise<SocketDetail[]> {
  return parseSs(await run(enterArguments({ netns }, ["ss", "-tinaOH", ...filter])));
}

/** One socket a line, as `ss -tinaOH` prints them. */
export function parseSs(text: string): SocketDetail[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [state = "", receiveQueue, sendQueue, local = "", remote = "", ...info] = line.trim().split(/\s+/);
      const pairs = Object.fromEntries(info.filter((word) => word.includes(":")).map((word) => word.split(":")));
      return {
        state,
        local,
        remote,
        receiveQueue: Number(receiveQueue),
        sendQueue: Number(sendQueue),
        rttMs: pairs.rtt === undefined ? undefined : Number(pairs.rtt.split("/")[0]),
        retransmits: Number(pairs.retrans?.split("/")[1] ?? 0),
        bytesAcked: Number(pairs.bytes_acked ?? 0),
        bytesReceived: Number(pairs.bytes_received ?? 0),
        segsOut: Number(pairs.segs_out ?? 0),
        segsIn: Number(pairs.segs_in ?? 0),
        outOfOrder: Number(pairs.rcv_ooopack ?? 0),
        spurious: Number(pairs.dsack_dups ?? 0),
        // `rwnd_limited:304ms(93.8%)`
        busyMs: Number.parseInt(pairs.busy ?? "0", 10),
        receiveWindowLimitedMs: Number.parseInt(pairs.rwnd_limited ?? "0", 10),
        sendBufferLimitedMs: Number.parseInt(pairs.sndbuf_limited ?? "0", 10),
      };
    });
}
