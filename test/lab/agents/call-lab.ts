/**
 * Socket calls (calls.c) in a pod, and what a probe's reader knows of them: edges, records and the spans made of
 * these, beside the namespace's own books.
 *
 *   lines of calls ─► one pod, 127.0.0.1, both ends ─► kernel ─► probe ─► tally
 *
 * A port belongs to one test alone, so that its connections are told apart by it.
 */
import { afterAll, beforeAll } from "vitest";
import { SAMPLE_NEVER } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { Role } from "../../../agent/model/edge.ts";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import { Span } from "../../../agent/spans/span.ts";
import { missing, type Need } from "../../machine/needs.ts";
import { enterArguments } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import { describe } from "../world/describe.ts";
import { booksGrowth, type KernelBooks } from "../world/kernel-books.ts";
import { type Lab, startLab } from "../world/lab.ts";
import { type Counters, resentTypes, Tally } from "./tally.ts";

export const NEEDS = ["root", "btf", "cgroup2", "build"] as const satisfies readonly Need[];

/** States as the kernel numbers them: `state 1 ${STATE.finWait2}` waits for one. */
export const STATE = { finWait1: 4, finWait2: 5, closeWait: 8, lastAck: 9, closing: 11 } as const;
export const SHUT = { read: 0, write: 1, both: 2 } as const;

/** A record of each connection. */
export const EVERYTHING = {
  activeTimeoutNs: 0n,
  traceKey: [0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n] as const,
  threshold: SAMPLE_NEVER,
  every: 0,
  adaptive: undefined,
  rate: { perSecond: 0, burst: 0 },
};

const LOCAL = { resource: {}, label: "pod", key: "pod" } as never;
const REMOTE = { kind: "loopback" } as RemoteEnd;

/** What the calls themselves told. */
export interface Told {
  /** `connect EADDRNOTAVAIL`, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Local ports, by socket, in order of the connects. */
  readonly ports: readonly (readonly [socket: number, port: number])[];
  /** How far the namespace's books have moved meanwhile. */
  readonly tcp: Readonly<Record<string, number>>;
  readonly tcpExt: Readonly<Record<string, number>>;
}

export class CallLab {
  readonly lab: Lab;
  readonly tally: Tally;

  constructor(lab: Lab, tally: Tally) {
    this.lab = lab;
    this.tally = tally;
  }

  get pod() {
    return this.lab.pod("both");
  }

  async sysctl(...assignments: string[]): Promise<void> {
    await run(enterArguments(this.pod.place, ["sysctl", "-q", "-w", ...assignments]));
  }

  /** Adds a rule of iptables to the pod, `-t TABLE CHAIN RULE`. @returns removes it again */
  async rule(words: string): Promise<() => Promise<unknown>> {
    const [option = "", table = "", ...rest] = words.split(" ");
    const change = (how: "-A" | "-D") =>
      run(enterArguments(this.pod.place, ["iptables", "-w", option, table, how, ...rest]));
    await change("-A");
    return () => change("-D");
  }

  /** Segments of the port that were sent again, by type, of both ends together or of one. */
  resent(port: number, role?: Role) {
    return resentTypes(
      this.tally.sum(
        (key) => key.serverPort === port && key.role !== "listener" && (role === undefined || key.role === role),
      ),
    );
  }

  /** Plays the lines to their end. */
  async play(...lines: readonly (string | readonly string[])[]): Promise<Told> {
    const before = await this.pod.books();
    const said = await run(enterArguments(this.pod.place, [program("calls")]), `${lines.flat().join("\n")}\n`);
    const after = await this.pod.books();
    const all = said.trim().split("\n");
    const failures: Record<string, number> = {};
    for (const line of all.slice(0, -1)) {
      const [, name, , error] = line.split(" ");
      failures[`${name} ${error}`] = (failures[`${name} ${error}`] ?? 0) + 1;
    }
    return { failures, ports: portsOf(all.at(-1) ?? ""), ...growthOf(before, after) };
  }

  /** Until so many records of the port have come; then twice more, for what comes late or twice. */
  async records(port: number, count: number): Promise<Connection[]> {
    const found = () => this.tally.records.filter(({ key }) => key.serverPort === port);
    await this.tally.until(
      () =>
        `${count} records of ${port}, but ${JSON.stringify(found().map(told))}, losses ${JSON.stringify(this.tally.losses)}`,
      () => found().length >= count,
    );
    await this.tally.take();
    await this.tally.take();
    return found();
  }

  /** `client reset by local`, `server unset`, of each span of the port, sorted. */
  async outcomes(port: number, count: number): Promise<string[]> {
    return (await this.records(port, count)).map((record) => outcomeOf(spanOfRecord(record))).toSorted();
  }

  counters(port: number, role: Role): Counters {
    return this.tally.sum((key) => key.serverPort === port && key.role === role);
  }
}

/** Starts it before the tests of a file; `setup` runs before the probe. */
export function useCallLab(setup: (lab: Lab) => Promise<unknown> = async () => {}): () => CallLab {
  let calls: CallLab | undefined;
  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const lab = await startLab(describe({ nodes: 1, pods: [{ key: "both" }] }));
    await setup(lab);
    const tally = await Tally.start(lab, "node-1");
    await tally.record(EVERYTHING);
    calls = new CallLab(lab, tally);
  });
  afterAll(async () => {
    await calls?.tally.close();
    await calls?.lab.close();
  });
  return () => {
    if (calls === undefined) throw new Error("no lab was started");
    return calls;
  };
}

export function spanOfRecord(record: Connection): Span {
  return new Span(record, { local: LOCAL, remote: REMOTE }, 0n);
}

/** Lines of one kind, each with its own number. */
export function times(count: number, lines: (i: number) => readonly string[]): string[] {
  return Array.from({ length: count }, (_, i) => lines(i)).flat();
}

export function pair(port: number): string[] {
  return [`listen 0 ${port}`, `connect 1 ${port}`, "accept 2 0"];
}

function told({ key, state, localPort }: Connection): string {
  return `${key.role} ${localPort} ${state}`;
}

function outcomeOf({ kind, error, attributes }: Span): string {
  const by = attributes["flowspan.tcp.reset.by"];
  const outcome = error ? String(attributes["error.type"]) : "unset";
  return by === undefined ? `${kind} ${outcome}` : `${kind} ${outcome} by ${by}`;
}

function portsOf(line: string): (readonly [number, number])[] {
  const pairs = line.replace("ports:", "").trim().split(" ").filter(Boolean);
  return pairs.map((pair) => pair.split("=").map(Number) as [number, number]);
}

function growthOf(before: KernelBooks, after: KernelBooks): Pick<Told, "tcp" | "tcpExt"> {
  return { tcp: booksGrowth(before, after, "Tcp"), tcpExt: booksGrowth(before, after, "TcpExt") };
}
