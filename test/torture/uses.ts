/**
 * The program's own count: which connections its calls made at which end, what they moved over each, and when the last
 * file descriptor of each was closed. Follows dup(), fork(), SCM_RIGHTS and sockets that are used again.
 *
 *   calls ─► sockets (slots of puppets, references) ─► uses: one connection, or one attempt, at one end
 */
import { EINVAL } from "./record-flags.ts";
import { type Call, type End, parseEnd, type Trace } from "./trace.ts";

export type Role = "client" | "server";

/** One connection at one end, or an attempt that came to nothing. */
export interface Use {
  readonly role: Role;
  /** The call that began it: connect, sendto with MSG_FASTOPEN, accept. */
  readonly call: Call;
  /** Whose socket it is: the puppet that made it, or made its listener. */
  readonly who: string;
  /** Who called listen() on the socket that accepted it; undefined for a client. */
  readonly listener: string | undefined;
  /** The groups in which its sockets were made: one, and one more for each that TCP_REPAIR made in its place. */
  readonly cgroups: readonly string[];
  /** Undefined where the kernel did not say: a connect that failed has given its port back. */
  readonly local: End | undefined;
  readonly remote: End;
  /** How it began, or did not: 0 for an established one, undefined while nobody asked. */
  readonly errno: number | undefined;
  readonly received: number;
  readonly written: number;
  /** What lay unread at the end; undefined where nobody looked. */
  readonly unread: number | undefined;
  /** The call that ended it, by the last close or otherwise; undefined while it goes on. */
  readonly end: Call | undefined;
  /** A call said that it was ended by a timer: no RST tells of that. */
  readonly timedOut: boolean;
  /** It is another socket than it was: TCP_REPAIR. */
  readonly restored: number;
  readonly mptcp: boolean;
  /** Its socket was bound before: connect() did not choose its port. */
  readonly bound: boolean;
  /** `ss -K` ended it. */
  readonly killed: boolean;
  /** Calls whose effect on it nobody can tell. */
  readonly uncertain: boolean;
}

export interface Listening {
  readonly port: number;
  readonly who: string;
  readonly cgroup: string;
  readonly mptcp: boolean;
  readonly from: number;
}

export interface Uses {
  readonly uses: readonly Use[];
  readonly listening: readonly Listening[];
}

const EBUSY = 16;
const ENOTCONN = 107;
const EALREADY = 114;
const EISCONN = 106;
const EINPROGRESS = 115;
const EAGAIN = 11;
const ETIMEDOUT = 110;
/** A connect that fails so has begun nothing. */
const NOT_BEGUN: ReadonlySet<number> = new Set([9, EINVAL, 38, 95, 97, EALREADY, EISCONN]);

type Growing = { -readonly [K in keyof Use]: Use[K] };

interface Socket {
  references: number;
  readonly who: string;
  cgroup: string;
  readonly mptcp: boolean;
  bound: boolean;
  /** It was a listener itself. */
  listened: boolean;
  /** Who called listen() on it, or on the one that accepted it. */
  listener?: string;
  use: Growing | undefined;
}

export function usesOf(trace: Trace, program: readonly string[]): Uses {
  const books = new Books(program);
  for (const call of [...trace.calls].sort((a, b) => a.from - b.from)) books.take(call);
  return books;
}

class Books implements Uses {
  readonly uses: Growing[] = [];
  readonly listening: Listening[] = [];
  readonly #program: readonly string[];
  readonly #slots = new Map<string, Socket>();
  readonly #cgroups = new Map<string, string>();
  readonly #passing: Socket[] = [];
  readonly #forked = new Map<string, Socket[]>();

  constructor(program: readonly string[]) {
    this.#program = program;
  }

  take(call: Call): void {
    if (call.name === "sock") this.#make(call);
    else if (call.name === "fork") this.#fork(call);
    else if (call.name === "reap") this.#reap(call);
    else if (call.name === "take") this.#taken(call);
    else if (call.name === "cgroup" && call.result === 0) this.#cgroups.set(call.who, this.#words(call)[2] ?? call.who);
    else {
      const socket = this.#slots.get(`${call.who} ${call.slot}`);
      if (socket) this.#onSocket(call, socket);
    }
  }

  #words(call: Call): string[] {
    return (this.#program[call.line] ?? "").split(" ");
  }

  /** In which it is now: each puppet begins in its own. */
  #groupOf(who: string): string {
    return this.#cgroups.get(who) ?? who;
  }

  #put(who: string, slot: number, socket: Socket): void {
    this.#slots.set(`${who} ${slot}`, socket);
  }

  #make(call: Call): void {
    if (call.result < 0) return;
    const cgroup = this.#groupOf(call.who);
    const mptcp = this.#words(call)[4] === "mptcp";
    const made = { references: 1, who: call.who, cgroup, mptcp, bound: false, listened: false, use: undefined };
    this.#put(call.who, call.slot, made);
  }

  #fork(call: Call): void {
    if (call.result < 0) return;
    const held = [...this.#slots].filter(([key]) => key.startsWith(`${call.who} `)).map(([, socket]) => socket);
    for (const socket of held) socket.references++;
    this.#forked.set(call.who, [...(this.#forked.get(call.who) ?? []), ...held]);
  }

  #reap(call: Call): void {
    for (const socket of this.#forked.get(call.who) ?? []) this.#release(socket, call, undefined);
    this.#forked.delete(call.who);
  }

  #taken(call: Call): void {
    const socket = this.#passing[0];
    if (!socket || (call.result < 0 && call.errno === EAGAIN)) return;
    this.#passing.shift();
    if (call.result < 0) this.#release(socket, call, undefined);
    else this.#put(call.who, call.slot, socket);
  }

  #onSocket(call: Call, socket: Socket): void {
    const { use } = socket;
    const moved = Math.max(0, call.result);
    if (use && (call.errno === ETIMEDOUT || call.said.error === String(ETIMEDOUT))) use.timedOut = true;
    if (call.name === "connect" || call.name === "tfo") this.#connect(call, socket);
    else if (call.name === "accept") this.#accept(call, socket);
    else if (call.name === "bind" && call.result === 0) socket.bound = true;
    else if (call.name === "listen") this.#listen(call, socket);
    else if (call.name === "finish") this.#finish(call, use);
    else if (call.name === "send" && use) use.written += moved;
    else if (call.name === "recv" && use) use.received += moved;
    else if (call.name === "close") this.#close(call, socket);
    else if (call.name === "unspec" && call.result === 0) this.#finishUse(socket, call, unread(call));
    else if (call.name === "kill" && use) use.killed = true;
    else if (call.name === "repair") this.#repair(call, socket);
    else if (call.name === "dup" && call.result >= 0) {
      socket.references++;
      this.#put(call.who, Number(this.#words(call)[3]), socket);
    } else if (call.name === "give" && call.result === 0) {
      socket.references++;
      this.#passing.push(socket);
    }
  }

  #connect(call: Call, socket: Socket): void {
    const isRefusedLater = call.errno === EINVAL && socket.listened;
    if (call.result < 0 && NOT_BEGUN.has(call.errno) && !isRefusedLater) return;
    const words = this.#words(call);
    const remote = parseEnd(`${words[3]}/${words[4]}`);
    if (remote === undefined || (socket.use && socket.use.end === undefined && socket.use.errno === undefined)) return;
    if (socket.use && socket.use.errno === 0) return;
    const pending = call.errno === EINPROGRESS || call.errno === EAGAIN;
    this.#begin(socket, "client", call, parseEnd(call.said.local), remote, pending ? undefined : call.errno);
    if (call.name === "tfo" && socket.use) socket.use.written += Math.max(0, call.result);
    // A socket with TCP_FASTOPEN_CONNECT has sent nothing yet.
    if (socket.use?.errno === 0 && call.said.remote === undefined) socket.use.errno = undefined;
  }

  #accept(call: Call, listener: Socket): void {
    const local = parseEnd(call.said.local);
    const remote = parseEnd(call.said.remote);
    if (call.result < 0 && call.said.to === undefined) return;
    const socket: Socket = { ...listener, references: 1, listened: false, use: undefined };
    const to = Number(call.said.to);
    if (remote === undefined || local === undefined) {
      // Reset before it was accepted: its ends are not known any more.
      if (call.result >= 0) this.#put(call.who, to, socket);
      return;
    }
    this.#begin(socket, "server", call, local, remote, 0);
    if (call.result >= 0) this.#put(call.who, to, socket);
    else this.#release(socket, call, undefined);
  }

  #begin(socket: Socket, role: Role, call: Call, local: End | undefined, remote: End, errno: number | undefined): void {
    const { who, cgroup, mptcp, bound } = socket;
    const listener = role === "server" ? socket.listener : undefined;
    const use: Growing = {
      ...{ role, call, who, listener, cgroups: [cgroup], local, remote, errno, mptcp, bound },
      ...{ received: 0, written: 0, unread: undefined, end: undefined, timedOut: errno === ETIMEDOUT },
      ...{ restored: 0, killed: false, uncertain: false },
    };
    socket.use = use;
    this.uses.push(use);
    // A connect that failed has ended; the socket is as new.
    if (errno !== 0 && errno !== undefined) this.#finishUse(socket, call, 0);
  }

  #finish(call: Call, use: Growing | undefined): void {
    if (!use || use.errno !== undefined || call.errno === EINPROGRESS || use.role !== "client") return;
    use.errno = call.errno;
  }

  #listen(call: Call, socket: Socket): void {
    const local = parseEnd(call.said.local);
    if (call.result !== 0 || !local) return;
    socket.listener = call.who;
    socket.listened = true;
    this.listening.push({
      port: local.port,
      who: call.who,
      cgroup: socket.cgroup,
      mptcp: socket.mptcp,
      from: call.from,
    });
  }

  #close(call: Call, socket: Socket): void {
    if (call.result < 0 && call.errno !== 0 && call.errno === 9) return;
    this.#slots.delete(`${call.who} ${call.slot}`);
    this.#release(socket, call, unread(call));
  }

  #repair(call: Call, socket: Socket): void {
    if (!socket.use) return;
    if (call.result === 0) socket.use.restored++;
    if (call.result === 0 || (call.errno !== EBUSY && call.errno !== ENOTCONN)) {
      socket.cgroup = this.#groupOf(call.who);
      socket.use.cgroups = [...socket.use.cgroups, socket.cgroup];
    }
    if (call.result !== 0 ? call.errno !== EBUSY && call.errno !== ENOTCONN : socket.references > 1)
      socket.use.uncertain = true;
  }

  #release(socket: Socket, call: Call, left: number | undefined): void {
    socket.references--;
    if (socket.references === 0) this.#finishUse(socket, call, left);
  }

  #finishUse(socket: Socket, call: Call, left: number | undefined): void {
    if (socket.use && socket.use.end === undefined) {
      socket.use.end = call;
      socket.use.unread = left;
    }
    socket.use = undefined;
  }
}

function unread(call: Call): number | undefined {
  const value = Number(call.said.unread);
  return Number.isNaN(value) || value < 0 ? undefined : value;
}
