/**
 * Losses that must be named, and no others: records that show what they lack; of a probe that came late, sockets that no
 * file led to and roles that nothing showed.
 */
import type { Seen } from "./compare.ts";
import type { ListedSocket, Look } from "./looks.ts";
import { isOpen } from "./looks.ts";
import { ADOPTED, RESTORED } from "./record-flags.ts";
import type { Phase } from "./upheaval.ts";
import { isFound } from "./window.ts";

const NAMES = [
  ...(["not_adopted", "closed_untracked", "role_unknown_detail", "process_unknown_detail", "close_missed"] as const),
  "handshake_untimed_detail",
] as const;

/** The least and the most. */
export type Range = readonly [number, number];
export type ExpectedLosses = Readonly<Record<(typeof NAMES)[number], Range>>;

/** Of a program that one probe saw from begin to end: each is a record that shows it. */
export function steadyLosses(seen: Seen): ExpectedLosses {
  const untimed = seen.records.filter(
    ({ key, establishedNs, handshakeUs, flags }) =>
      key.role === "client" && establishedNs > 0n && handshakeUs === 0 && !(flags & (ADOPTED | RESTORED)),
  );
  return { ...NONE, process_unknown_detail: namelessOf(seen), handshake_untimed_detail: exactly(untimed) };
}

/** Servers' records without the process that listens. */
function namelessOf({ records }: Seen): Range {
  return exactly(records.filter(({ key, pid, flags }) => key.role === "server" && !pid && !(flags & ADOPTED)));
}

/** Of one program's part that began when the probe came. */
export function expectedLosses({ window: { start }, seen }: Phase): ExpectedLosses {
  const nameless = namelessOf(seen);
  if (!start) return { ...NONE, process_unknown_detail: nameless };
  const [first, second] = start;
  const missed = missedIn(first).filter(({ cookie }) => isIn(second, cookie));
  const gone = missedIn(first).length - missed.length;
  const lasting = missed.filter(isLasting).length;
  const closing = missed.filter(isOpen).length;
  // What ended while the probe came may have done so between its hooks and its adoption; a SYN may yet fail.
  const ending = first.sockets.filter((socket) => isOpen(socket) && !isIn(second, socket.cookie)).length;
  const connecting = [...first.sockets, ...second.sockets].filter(({ state }) => state === "SYN-SENT");
  const attempts = new Set(connecting.map(({ cookie }) => cookie)).size;
  return {
    ...NONE,
    not_adopted: [lasting, lasting + gone],
    closed_untracked: [closing, closing + ending + attempts],
    role_unknown_detail: exactly(seen.records.filter(({ flags, key }) => flags & ADOPTED && key.serverPort === 0)),
    process_unknown_detail: nameless,
    // A first subflow that ends before its MPTCP socket takes along what it has counted since the last walk.
    close_missed: [
      0,
      second.sockets.filter((socket) => socket.mptcp && isOpen(socket) && isFound(second, socket)).length,
    ],
  };
}

const NONE = {
  ...({ not_adopted: [0, 0], closed_untracked: [0, 0], role_unknown_detail: [0, 0], close_missed: [0, 0] } as const),
  handshake_untimed_detail: [0, 0],
} as const;

function exactly({ length }: readonly unknown[]): Range {
  return [length, length];
}

function isIn({ sockets }: Look, cookie: string): boolean {
  return sockets.some((socket) => socket.cookie === cookie);
}

function missedIn(look: Look): ListedSocket[] {
  return look.sockets.filter((socket) => (isOpen(socket) || socket.state === "LISTEN") && !isFound(look, socket));
}

/** What /proc/net/tcp lists as it does one that lasts: an orphan in FIN_WAIT2 looks like a TIME_WAIT. */
function isLasting({ state, inode }: ListedSocket): boolean {
  return state !== "FIN-WAIT-2" || inode !== 0;
}

export function addLosses(losses: readonly ExpectedLosses[]): ExpectedLosses {
  const sum = (name: keyof ExpectedLosses): Range => [
    losses.reduce((total, each) => total + each[name][0], 0),
    losses.reduce((total, each) => total + each[name][1], 0),
  ];
  return Object.fromEntries(NAMES.map((name) => [name, sum(name)] as const)) as ExpectedLosses;
}
