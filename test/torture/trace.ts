/**
 * What the interpreter said of one program: every call with its times and results, the wire, the kernel's books.
 * Text in, values out; the forms are those of test/torture/interpreter/torture.c and its neighbours.
 */

import { type Look, parseSockets } from "./looks.ts";

export interface End {
  /** IPv4 also where it was written v4-mapped. */
  readonly address: string;
  readonly port: number;
}

/** One call of one puppet; `closeall` at the end appears as the closes that it made. */
export interface Call {
  /** The program's line; the number of lines for what the interpreter did at the end. */
  readonly line: number;
  /** `a`, `b`, `c`, or `.` for the interpreter itself. */
  readonly who: string;
  readonly name: string;
  readonly slot: number;
  /** CLOCK_BOOTTIME, nanoseconds, before and after. */
  readonly from: number;
  readonly to: number;
  readonly result: number;
  readonly errno: number;
  /** `name=value` as it came. */
  readonly said: Readonly<Record<string, string>>;
}

/** One packet as the loopback device delivered it: a TCP segment, or several that nobody had to cut. */
export interface Segment {
  readonly time: number;
  readonly from: End;
  readonly to: End;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  readonly ack: boolean;
  readonly sequence: number;
  readonly acknowledged: number;
  readonly payload: number;
  /** How many segments it is to the kernel's counters. */
  readonly segments: number;
  /** A RST of the interpreter's own making. */
  readonly forged: boolean;
}

export interface Trace {
  /** As the interpreter said it. */
  readonly lines: readonly string[];
  readonly netns: number;
  /** Process ids by puppet. */
  readonly puppets: Readonly<Record<string, number>>;
  /** Ids of the cgroups `a`, `b` and `c`. */
  readonly cgroups: Readonly<Record<string, bigint>>;
  readonly calls: readonly Call[];
  readonly wire: readonly Segment[];
  /** /proc/net/snmp and netstat of the namespace at the end: `Tcp.ActiveOpens`, `TcpExt.TCPTimeouts`. */
  readonly books: Readonly<Record<string, number>>;
  /** What was open at the barriers, each time that somebody asked. */
  readonly looks: readonly Look[];
  /** Segments that the wire's buffer had no room for. */
  readonly missed: number;
  /** CLOCK_BOOTTIME, nanoseconds, from which on `ss -K` destroyed what did not end by itself; Infinity: nothing was left. */
  readonly destroyed: number;
  /** What the wall clock, which the wire has, is ahead of CLOCK_BOOTTIME, nanoseconds. */
  readonly realtimeNs: number;
  /** By how much it was set meanwhile. */
  readonly clockMoved: number;
}

const FORGED_TTL = 99;

export function parseTrace(lines: readonly string[]): Trace {
  const puppets: Record<string, number> = {};
  const cgroups: Record<string, bigint> = {};
  const calls: Call[] = [];
  const segments: Segment[] = [];
  const booksLines: string[] = [];
  const clocks: number[] = [];
  const numbers: Record<string, number> = { netns: 0, missed: 0, destroyed: Number.POSITIVE_INFINITY };
  const { looks, rest } = takeLooks(lines);
  for (const line of rest) {
    const words = line.split(" ");
    const [kind = "", first = "", second = ""] = words;
    if (kind === "call") calls.push(parseCall(words));
    else if (kind === "wire") segments.push(parseSegment(words));
    else if (kind === "books") booksLines.push(line.slice("books ".length));
    else if (kind === "puppet") puppets[first] = Number(second);
    else if (kind === "cgroup") cgroups[first] = BigInt(second);
    else if (kind === "realtime") clocks.push(Number(first));
    else if (kind in numbers) numbers[kind] = Number(first);
  }
  const realtimeNs = clocks.at(-1) ?? 0;
  const clockMoved = Math.max(...clocks) - Math.min(...clocks);
  const { netns = 0, missed = 0, destroyed = Number.POSITIVE_INFINITY } = numbers;
  const wire = segments.map((segment) => ({ ...segment, time: segment.time - realtimeNs }));
  return {
    lines,
    netns,
    puppets,
    cgroups,
    calls,
    wire,
    books: parseBooks(booksLines),
    looks,
    missed,
    destroyed,
    realtimeNs,
    clockMoved,
  };
}

/** Cuts out what lies between `look` and `looked`. */
function takeLooks(lines: readonly string[]): { looks: Look[]; rest: string[] } {
  const looks: Look[] = [];
  const rest: string[] = [];
  let inside: string[] | undefined;
  for (const line of lines) {
    if (line.startsWith("look ")) inside = [line];
    else if (inside && line.startsWith("looked ")) {
      looks.push(parseLook(inside, Number(line.split(" ")[2])));
      inside = undefined;
    } else (inside ?? rest).push(line);
  }
  return { looks, rest };
}

function parseLook(lines: readonly string[], to: number): Look {
  const [, line, from] = (lines[0] ?? "").split(" ");
  const books = lines.filter((each) => each.startsWith("books ")).map((each) => each.slice("books ".length));
  return { line: Number(line), from: Number(from), to, sockets: parseSockets(lines), books: parseBooks(books) };
}

function parseCall(words: readonly string[]): Call {
  const [, line, who = "", name = "", slot, from, to, result, errno, ...pairs] = words;
  const said = Object.fromEntries(
    pairs.map((pair) => pair.split("=", 2)).map(([key = "", value = ""]) => [key, value]),
  );
  return {
    line: Number(line),
    who,
    name,
    slot: Number(slot),
    from: Number(from),
    to: Number(to),
    result: Number(result),
    errno: Number(errno),
    said,
  };
}

function parseSegment(words: readonly string[]): Segment {
  const [, time, from, fromPort, to, toPort, flags = "", sequence, acknowledged, payload, ttl, segments] = words;
  return {
    time: Number(time),
    from: { address: unmapped(from ?? ""), port: Number(fromPort) },
    to: { address: unmapped(to ?? ""), port: Number(toPort) },
    syn: flags.includes("S"),
    fin: flags.includes("F"),
    rst: flags.includes("R"),
    ack: flags.includes("A"),
    sequence: Number(sequence),
    acknowledged: Number(acknowledged),
    payload: Number(payload),
    segments: Number(segments),
    forged: Number(ttl) === FORGED_TTL,
  };
}

function parseBooks(lines: readonly string[]): Record<string, number> {
  const books: Record<string, number> = {};
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = (lines[i] ?? "").split(" ");
    const values = (lines[i + 1] ?? "").split(" ");
    const prefix = names[0]?.replace(":", "");
    for (let j = 1; j < names.length; j++) books[`${prefix}.${names[j]}`] = Number(values[j]);
  }
  return books;
}

/** `127.0.0.1/8000` as a call says it. */
export function parseEnd(text: string | undefined): End | undefined {
  if (text === undefined) return undefined;
  const [address = "", port] = text.split("/");
  return { address: unmapped(address), port: Number(port) };
}

function unmapped(address: string): string {
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
