/**
 * What must be told of one program, end by end, from two counts that know nothing of flowspan: the program's own
 * (uses.ts) and the wire (wire.ts).
 *
 * What nobody can know from outside is undefined: whether a RST came while a rule took packets, or what lay unread where
 * a forked child was the last to close. Such a thing is only compared in sums (compare.ts).
 */
import type { Program } from "./program.ts";
import { Rules } from "./rules.ts";
import { type SegmentCounts, segmentsOf } from "./segments.ts";
import { type Facts, outlivesClose } from "./socket-life.ts";
import type { Trace } from "./trace.ts";
import { type Role, type Use, type Uses, usesOf } from "./uses.ts";
import { type Conversation, conversations } from "./wire.ts";

/** What must be said of one end of one connection; undefined: nobody can know. */
export interface ExpectedEnd {
  readonly role: Role;
  readonly conversation: Conversation | undefined;
  readonly use: Use | undefined;
  readonly established: boolean | undefined;
  /** Of an attempt that came to nothing: 0 where the application gave it up. */
  readonly errno: number | undefined;
  readonly bytesSent: number | undefined;
  readonly bytesReceived: readonly [number, number] | undefined;
  readonly resetSent: boolean | undefined;
  readonly resetReceived: boolean | undefined;
  /** A server's handshake of which nothing hides how long it took. */
  readonly isTimed: boolean;
  /** What its socket counted. */
  readonly segments: SegmentCounts | undefined;
}

export interface Truth {
  readonly ends: readonly ExpectedEnd[];
  readonly uses: Uses;
  readonly rules: Rules;
  /** Segments on the wire that belong to no connection. */
  readonly outside: number;
}

export function truthOf(program: Program, trace: Trace): Truth {
  const uses = usesOf(trace, program);
  const { talks, outside } = conversations(trace.wire);
  const rules = new Rules(program);
  const factsOf = factsBy(rules, trace, uses);
  const claimed = new Map<Conversation, Partial<Record<Role, Use>>>();
  const alone: Use[] = [];
  for (const use of uses.uses) {
    const talk =
      talks.find((each) => isOf(use, each, true) && !claimed.get(each)?.[use.role]) ??
      talks.find((each) => isOf(use, each, false) && !claimed.get(each)?.[use.role]);
    if (talk) claimed.set(talk, { ...claimed.get(talk), [use.role]: use });
    else alone.push(use);
  }
  const ends = talks.flatMap((talk) =>
    (["client", "server"] as const).map((role) =>
      endOf(role, talk, claimed.get(talk) ?? {}, factsOf(talk.server.port)),
    ),
  );
  return {
    ends: [
      ...ends,
      ...alone.filter(({ role }) => role === "client").map((use) => withoutWire(use, rules.touch(use.remote.port))),
    ],
    uses,
    rules,
    outside,
  };
}

const ETIMEDOUT = 110;
/** What the kernel does with data that it has no room for. */
const REFUSED = ["TCPZeroWindowDrop", "TCPRcvQDrop", "TCPBacklogDrop"];
/** What it does with answers to a SYN-ACK that it does not want yet. */
const DROPPED = ["TCPDeferAcceptDrop", "ListenOverflows", "ListenDrops"];

/** What may have become of packets of a connection to a port. */
function factsBy(rules: Rules, { books, destroyed }: Trace, { uses, listening }: Uses): (port: number) => Facts {
  const grew = (names: readonly string[]) => names.some((name) => books[`TcpExt.${name}`]);
  const [refused, answersDropped] = [grew(REFUSED), grew(DROPPED)];
  const told = uses.filter(({ errno }) => errno === ETIMEDOUT).length;
  const timedOut = (books["TcpExt.TCPAbortOnTimeout"] ?? 0) > told;
  return (port) => {
    const isMptcp = listening.some((each) => each.port === port && each.mptcp);
    return { rules, lossy: refused || rules.touch(port), timedOut, destroyed, answersDropped, isMptcp };
  };
}

/** The wire has another clock than the calls. */
const CLOCK_NS = 300_000;

function isOf({ role, call, local, remote, end }: Use, talk: Conversation, strict: boolean): boolean {
  const [ours, theirs] = role === "client" ? [talk.client, talk.server] : [talk.server, talk.client];
  if (theirs.port !== remote.port || theirs.address !== remote.address) return false;
  if ((strict || role === "server") && local?.port !== ours.port) return false;
  return role === "client"
    ? talk.began >= call.from - CLOCK_NS && (end === undefined || talk.began <= end.to)
    : talk.began <= call.to;
}

/** An attempt of which nothing came to the wire: no port, no route, or an OUTPUT rule that took every SYN. */
function withoutWire(use: Use, filtered: boolean): ExpectedEnd {
  const errno = use.errno ?? (filtered || use.end === undefined ? undefined : 0);
  return {
    ...{ role: "client", conversation: undefined, use, established: false, errno, bytesSent: 0, bytesReceived: [0, 0] },
    ...{ resetSent: false, resetReceived: false, isTimed: false },
    segments: filtered ? undefined : { out: [0, 0], in: [0, 0] },
  };
}

function endOf(role: Role, talk: Conversation, by: Partial<Record<Role, Use>>, of: Facts): ExpectedEnd {
  const filtered = of.lossy;
  const use = by[role];
  const ours = talk.sent[role];
  // A timer that ends a socket has sent something again before (tcp_write_timeout(), tcp_probe_timer(), tcp_keepalive_timer()).
  const facts = { ...of, timedOut: of.timedOut && (filtered || ours.repeats) };
  const established = isEstablished(role, talk, use, of);
  return {
    role,
    conversation: talk,
    use,
    established,
    errno: established === false ? outcome(talk, use, filtered) : undefined,
    bytesSent: ours.bytes,
    bytesReceived: received(role, talk, use),
    ...resets(role, talk, by, established, facts),
    isTimed: role === "server" && isTimed(talk, facts),
    segments: segmentsOf(role, talk, use, established, facts),
  };
}

function isEstablished(role: Role, talk: Conversation, use: Use | undefined, of: Facts): boolean | undefined {
  if (use?.errno === 0) return true;
  if (talk.sent[role].acknowledged && !mayBeRequest(role, talk, of)) return true;
  if (role === "client") {
    if (use?.errno !== undefined) return false;
    return of.lossy ? undefined : false;
  }
  // Its answer to the last ACK is silence: only the sum can tell, unless the client never got so far.
  return talk.sent.client.acknowledged ? undefined : false;
}

/** A request that waits on, since bare answers are dropped, acknowledges what is out of its window or too old (tcp_check_req()). */
function mayBeRequest(role: Role, { sent }: Conversation, { answersDropped }: Facts): boolean {
  const own = sent[role].packets.filter(({ syn, rst, forged }) => !syn && !rst && !forged);
  return role === "server" && answersDropped && own.every(({ isBare }) => isBare);
}

/** One SYN-ACK, one answer to it, and no data before that: of a SYN-ACK that was sent again none knows which was answered. */
function isTimed({ sent: { client, server } }: Conversation, { lossy, answersDropped }: Facts): boolean {
  return server.syns === 1 && client.syns === 1 && !client.isFast && !lossy && !answersDropped;
}

/** A SYN's second timeout may have ended it: nobody asked. */
const GIVES_UP_NS = 2_500_000_000;

function outcome(talk: Conversation, use: Use | undefined, filtered: boolean): number | undefined {
  if (use === undefined) return undefined;
  if (use.errno !== undefined) return use.errno;
  if (filtered || use.end === undefined || use.end.from - talk.began > GIVES_UP_NS) return undefined;
  const refused = talk.sent.server.resets.some((time) => time < (use.end?.from ?? 0));
  return refused ? undefined : 0;
}

/** What the application took and what lay there when it closed; at most what the peer sent. */
function received(role: Role, talk: Conversation, use: Use | undefined): readonly [number, number] {
  const sent = talk.sent[role === "client" ? "server" : "client"].bytes;
  if (use === undefined) return [0, sent];
  if (use.unread === undefined || use.mptcp || use.uncertain) return [Math.min(use.received, sent), sent];
  const count = use.received + use.unread;
  // Something may have come between the look and the close.
  const late = talk.last > (use.end?.from ?? 0) && sent > count;
  return [count, late ? sent : count];
}

/** Until when the end's socket was there to send a RST or to take one. */
function gone(role: Role, talk: Conversation, use: Use | undefined): number {
  const closed = use?.end?.to ?? Number.POSITIVE_INFINITY;
  const { finAcknowledged } = talk.sent[role];
  // After both FINs it is CLOSE or a TIME_WAIT, also while the application still holds its descriptor.
  const bothFins = Math.max(finAcknowledged, talk.sent[role === "client" ? "server" : "client"].firstFin);
  // An orphan in FIN_WAIT2 is a TIME_WAIT at once.
  return Math.min(Math.max(closed, finAcknowledged), bothFins);
}

type Resets = Pick<ExpectedEnd, "resetSent" | "resetReceived">;
const NONE: Resets = { resetSent: false, resetReceived: false };
const UNKNOWN: Resets = { resetSent: undefined, resetReceived: undefined };

function resets(
  role: Role,
  talk: Conversation,
  by: Partial<Record<Role, Use>>,
  established: boolean | undefined,
  { rules, lossy, timedOut, destroyed, isMptcp }: Facts,
): Resets {
  if (established === false) return NONE;
  const other = role === "client" ? "server" : "client";
  const use = by[role];
  // Before that it answered what belongs to another connection.
  const isLater = (time: number) => time >= talk.sent.client.firstAck;
  const sent = talk.sent[role].resets.find(isLater);
  const came = [...talk.sent[other].resets, ...talk.sent[other].forged].filter(isLater).sort((a, b) => a - b)[0];
  // What an OUTPUT rule took is not on the wire, what an INPUT rule took never came: but what is not on it never came.
  if (lossy) {
    const isSilent = (from: Role) => talk.sent[from].resets.length + talk.sent[from].forged.length === 0;
    const mayBeTaken = rules.takes("OUTPUT", role, talk.server.port);
    return {
      resetSent: isSilent(role) && !mayBeTaken ? false : undefined,
      resetReceived: isSilent(other) ? false : undefined,
    };
  }
  if (sent === undefined && came === undefined) return NONE;
  const until = gone(role, talk, use);
  /*
   * Nobody accepted it: it waits in the queue, and its record says that it was there, until a RST comes or the listener is
   * closed, which sends one (inet_csk_listen_stop()).
   */
  const waits = role === "server" && use === undefined && !isMptcp;
  const blurred = timedOut || use?.timedOut || use?.uncertain || (!waits && (established === undefined || !use));
  const both = sent !== undefined && came !== undefined;
  const mayAnswerFinsAck = sent !== undefined && sent > until && sent <= until + ORPHAN_NS;
  /*
   * Each socket that is destroyed sends its own RST, but those in CLOSING and LAST_ACK (tcp_abort(), tcp_need_reset()):
   * that of the one may find the other destroyed, or end it first.
   */
  if (Math.min(...[sent, came].filter((time) => time !== undefined)) > destroyed) return UNKNOWN;
  // MPTCP closes its subflows when it likes.
  const mayOutlive = use?.mptcp && Math.max(sent ?? 0, came ?? 0) > until;
  if (blurred || mayOutlive || outlivesClose(use, talk.sent[role])) return UNKNOWN;
  if (near(sent, until) || near(came, until) || mayAnswerFinsAck) return UNKNOWN;
  // The RST of MPTCP's fast close leaves before its subflow closes: until then another may come.
  const mayBeBoth = both && use?.mptcp;
  return {
    resetSent: mayBeBoth && came < sent ? undefined : sent !== undefined && sent <= until && !(both && came < sent),
    resetReceived: mayBeBoth && sent < came ? undefined : came !== undefined && came <= until && !(both && sent < came),
  };
}

/** The acknowledgement of an orphan's FIN may carry data, which the orphan answers with a RST, and a TIME_WAIT, too. */
const ORPHAN_NS = 1_000_000;
const NEAR_NS = 20_000;

/** Which of two came first nobody can tell so close together: clocks are read before and after a call. */
function near(a: number | undefined, b: number): boolean {
  return a !== undefined && Math.abs(a - b) < NEAR_NS;
}
