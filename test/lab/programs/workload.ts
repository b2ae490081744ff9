/**
 * The lab's clients and servers (workload.c) as TypeScript: options in, exact counts out.
 */
import { eventually, LabProcess, type Place } from "./process.ts";
import { program } from "./run.ts";

/** What a workload itself saw at its socket calls; complete once it has ended. */
export interface Counts {
  readonly opened: number;
  /** Of those, ended without an error. */
  readonly closed: number;
  /** Never opened, by errno name. */
  readonly failed: Readonly<Record<string, number>>;
  /** Opened, then ended by an error, by errno name; `own_reset` for its own RST. */
  readonly broken: Readonly<Record<string, number>>;
  readonly cancelled: number;
  /** Waited for a free local port: not a connection. */
  readonly retried: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export const NOTHING: Counts = {
  opened: 0,
  closed: 0,
  failed: {},
  broken: {},
  cancelled: 0,
  retried: 0,
  bytesSent: 0,
  bytesReceived: 0,
};

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export type ServeMode = "request" | "sink" | "echo" | "reset" | "stuck";

export interface Listener {
  /** request: rounds as clients ask; stuck: never accepts; reset: RST after `resetAfter` bytes. */
  readonly mode?: ServeMode;
  /** `::` also takes IPv4, as v4-mapped addresses. */
  readonly address?: string;
  readonly port: number;
  readonly backlog?: number;
  readonly resetAfter?: number;
  readonly v6Only?: boolean;
  readonly mptcp?: boolean;
  /** Others may listen on the same address and port; of these three only one. */
  readonly reusePort?: boolean;
}

export interface ServeOptions {
  readonly listen: readonly Listener[];
  readonly workers?: number;
}

export interface ClientOptions {
  readonly to: readonly Endpoint[];
  /** Local addresses, in turn. */
  readonly from?: readonly string[];
  /** 0: until closed. */
  readonly count?: number;
  readonly parallel?: number;
  readonly workers?: number;
  /** Connection i moves `upload + i * uploadStep` bytes a round; at least 32, the request's header. */
  readonly upload?: number;
  readonly uploadStep?: number;
  readonly download?: number;
  readonly downloadStep?: number;
  readonly rounds?: number;
  /** Time between the starts of two connections of one worker. */
  readonly paceMs?: number;
  /** hold: a round on every connection that often. */
  readonly everyMs?: number;
  /** Closes what is not open by then. */
  readonly cancelMs?: number;
  readonly closer?: "client" | "client-fast" | "server" | "reset";
  /** SYNs sent again before giving up. */
  readonly synRetries?: number;
  readonly userTimeoutMs?: number;
  /** 1: as clients that ask for several paths. */
  readonly mptcp?: 0 | 1;
}

export type ClientJob = "send" | "churn" | "hold" | "fail";

export function serveArguments(options: ServeOptions): string[] {
  const listeners = options.listen.flatMap((each) => {
    const { mode = "request", address = "::", port, backlog = 4096, resetAfter = 0 } = each;
    const kind = each.v6Only ? "v6only:" : each.mptcp ? "mptcp:" : each.reusePort ? "reuseport:" : "";
    return ["--listen", `${kind}${mode},${address},${port},${backlog},${resetAfter}`];
  });
  return ["serve", ...listeners, ...(options.workers === undefined ? [] : ["--workers", String(options.workers)])];
}

export function clientArguments(job: ClientJob, options: ClientOptions): string[] {
  const { to, from = [], ...rest } = options;
  return [
    job,
    ...to.flatMap(({ address, port }) => ["--to", `${address},${port}`]),
    ...from.flatMap((address) => ["--from", address]),
    ...Object.entries(rest).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(value)],
    ),
  ];
}

/** A running workload. Its counts move while it runs. */
export class Workload {
  readonly process: LabProcess;
  readonly #lines = new Map<string, Counts[]>();

  constructor(place: Place, argv: readonly string[]) {
    this.process = new LabProcess(place, [program("workload"), ...argv], {
      onStdout: (line) => {
        const { event, ...counts } = JSON.parse(line) as Counts & { event: string };
        this.#said(event).push(counts);
      },
    });
  }

  /** Servers: listening. Clients that hold: all connections tried. */
  ready(timeoutMs = 10_000): Promise<Counts> {
    return this.#next("ready", timeoutMs);
  }

  /** Plays one round on every held connection; ask for the next one only when this one is done. */
  send(upload: number, download = 0, timeoutMs = 30_000): Promise<Counts> {
    this.process.command(`send ${upload} ${download}`);
    return this.#next("done", timeoutMs);
  }

  /** The counts of this moment. */
  counts(timeoutMs = 10_000): Promise<Counts> {
    this.process.command("stats");
    return this.#next("stats", timeoutMs);
  }

  /** Waits for counts that meet `condition`. */
  async until(condition: (counts: Counts) => boolean, timeoutMs = 10_000): Promise<Counts> {
    let last: Counts | undefined;
    const check = async () => {
      last = await this.counts();
      return condition(last) && last;
    };
    return eventually("the counts asked for", check, timeoutMs).catch((error: Error) => {
      throw new Error(`${error.message}; last ${JSON.stringify(last)}`);
    });
  }

  /** Ends all connections with a FIN, and gives the final counts. */
  close(timeoutMs = 15_000): Promise<Counts> {
    if (this.process.isRunning) this.process.command("close");
    return this.end(timeoutMs);
  }

  /** Waits until a workload that ends by itself has ended. */
  async end(timeoutMs = 60_000): Promise<Counts> {
    const counts = await this.#next("end", timeoutMs);
    await this.process.ended;
    return counts;
  }

  async #next(event: string, timeoutMs: number): Promise<Counts> {
    const lines = this.#said(event);
    return eventually(
      () => `"${event}" of ${this.process.describe()}`,
      () => {
        // The end can be asked for again; anything else is an answer to one question.
        if (lines.length > 0) return event === "end" ? lines[0] : lines.shift();
        if (!this.process.isRunning) throw new Error(`ended without "${event}": ${this.process.describe()}`);
        return undefined;
      },
      timeoutMs,
    );
  }

  #said(event: string): Counts[] {
    const lines = this.#lines.get(event) ?? [];
    this.#lines.set(event, lines);
    return lines;
  }
}
