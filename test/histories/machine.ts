/**
 * A node's kernel, which keeps growth until it is settled, and the agent that names it, one process after another:
 * the real identity and aggregation, filled by watches of its own or by a directory.
 */

import { AddressCache } from "../../agent/directory/client/address-cache.ts";
import type { Answers } from "../../agent/directory/protocol.ts";
import { AT } from "../../agent/edges/counters.ts";
import { FEEDS_OF } from "../../agent/kubernetes/reads.ts";
import type { ClusterChange } from "../../agent/model/cluster-objects.ts";
import { type ClusterIdentity, createIdentity } from "../../agent/naming/identify.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../agent/series/aggregate-options.ts";
import { BOOT_UNIX_MS, ns } from "../unit/naming/cluster-builders.ts";
import { FakeKernel, INTERVAL_NS, keyOf } from "../unit/series/kernel.ts";
import { Stepping } from "../unit/series/stepping.ts";
import { Replica, Stream } from "./replica.ts";
import type { Timeline } from "./timeline.ts";
import { Watching } from "./watching.ts";
import { FEEDS, type Tenant, type World } from "./world.ts";

export type Way = "watch" | "directory";

/** Bytes that one edge grew by at one moment, and who had them. */
export interface Grown {
  readonly atMs: number;
  readonly bytes: number;
  readonly address: string;
  readonly tenant: Tenant;
}

export interface Name {
  readonly kind: string;
  readonly name: string | undefined;
  readonly podName: string | undefined;
}

/** A row that was settled, with its name. */
export interface Chunk {
  readonly grown: readonly Grown[];
  readonly told: Name;
  /** Its growth is from (sinceMs, untilMs], as the agent knows it. */
  readonly sinceMs: number;
  readonly untilMs: number;
  /** When it was settled; named it was then, or at one of the exchanges before that no Collector took. */
  readonly namedMs: number;
  readonly machine: Machine;
}

interface Process {
  readonly identity: ClusterIdentity;
  readonly steps: Stepping;
  readonly startedMs: number;
  readonly known: AddressCache | undefined;
  /** What the replicas had been told that have answered for an address since the agent asked for it. */
  readonly answeredBy: Map<string, readonly Watching[]>;
  firstExchangeMs: number;
}

const REFRESH_MS = 20_000;
const FORGET_MS = 100_000;
const ASK_MS = 5;

export class Machine {
  readonly way: Way;
  collectorAnswers = true;
  /** What the present agent, or the replicas that it has asked, were told. */
  watchings: Watching[] = [];
  isApiThere = true;
  readonly linkOutages: { readonly fromMs: number; readonly toMs: number }[] = [];
  readonly #world: World;
  readonly #timeline: Timeline;
  readonly #lagMs: (index: number) => number;
  readonly #onChunk: (chunk: Chunk) => void;
  readonly #kernel = new FakeKernel();
  readonly #ledger = new Map<string, Grown[]>();
  readonly #exchanges: number[];
  /** By edge. */
  readonly #settledMs = new Map<string, number>();
  /** Exchanges that no Collector took. */
  readonly #lost: number[] = [];
  #process: Process | undefined;
  #firstAnswerMs = Infinity;
  #isCut = false;
  #replica: Replica | undefined;
  #stream: Stream | undefined;

  constructor(
    way: Way,
    world: World,
    timeline: Timeline,
    lagMs: (index: number) => number,
    onChunk: (chunk: Chunk) => void,
  ) {
    this.way = way;
    this.#world = world;
    this.#timeline = timeline;
    this.#lagMs = lagMs;
    this.#onChunk = onChunk;
    this.#kernel.nowNs = ns(timeline.nowMs);
    this.#exchanges = [timeline.nowMs];
    if (way === "directory") this.#replica = new Replica(world, timeline, lagMs);
    this.start();
  }

  /** From when on the present agent knew all that existed. */
  get listedMs(): number {
    return this.way === "watch" ? (this.watchings[0]?.listedMs ?? Infinity) : this.#firstAnswerMs;
  }

  /** When all that existed was last read, by the agent's watch or by its directory's. */
  get lastListMs(): number {
    return Math.max(this.listedMs, ...this.watchings.map(({ lastListMs }) => lastListMs));
  }

  /** Those that could tell the present agent of this address. */
  watchingsOf(address: string): readonly Watching[] {
    if (this.way === "watch") return this.watchings;
    return this.#process?.answeredBy.get(address) ?? [];
  }

  get startedMs(): number {
    return this.#process?.startedMs ?? Infinity;
  }

  /** Of growth that is not settled. */
  get unsettled(): readonly Grown[] {
    return [...this.#ledger.values()].flat();
  }

  written(): void {
    for (const watching of this.#watching()) watching.written();
  }

  grow(edge: string, grown: Grown): void {
    this.#kernel.nowNs = ns(grown.atMs);
    this.#kernel.grow(edge, { bytesSent: grown.bytes });
    this.#ledger.set(edge, [...(this.#ledger.get(edge) ?? []), grown]);
  }

  start(): void {
    const { nowMs } = this.#timeline;
    if (this.#process) return;
    this.#firstAnswerMs = Infinity;
    let known: AddressCache | undefined;
    const directory = {
      answered: (address: string, port: number, askedMs: number) => {
        const isAnswered = known?.answered(address, port, askedMs) ?? true;
        if (isAnswered) return true;
        // What was answered before is withdrawn: each address has one key here.
        this.#process?.answeredBy.delete(address);
        this.#timeline.after(ASK_MS, () => this.#ask());
        return false;
      },
    };
    const identity = createIdentity({
      hostName: "host-1",
      hostAddresses: ["127.0.0.1", "192.0.2.1"],
      cidrs: {},
      kubernetes: {
        nodeName: "node-1",
        clusterName: "blue",
        feeds: FEEDS_OF.watch,
        directory: this.way === "directory" ? directory : undefined,
      },
      startedNs: ns(nowMs),
      bootUnixMs: BOOT_UNIX_MS,
    });
    const options = { ...DEFAULT_AGGREGATE_OPTIONS, peerPod: true };
    const apply = (change: ClusterChange) => identity.apply(change);
    if (this.way === "directory") known = new AddressCache({ onChange: apply, capacity: 1_000, forgetMs: FORGET_MS });
    const steps = new Stepping(options, identity, keyOf);
    this.#process = { identity, steps, startedMs: nowMs, known, answeredBy: new Map(), firstExchangeMs: Infinity };
    for (const feed of ["namespaces", "local-pods"] as const) apply({ feed, type: "synced", atMs: nowMs });
    if (this.way === "watch") {
      this.watchings = [new Watching(this.#world, this.#timeline, FEEDS, this.#lagMs, apply, this.isApiThere)];
    } else {
      this.watchings = this.#replica ? [this.#replica.watching] : [];
      this.connect();
      this.#refresh(this.#process);
    }
  }

  /** The agent is killed: what the Collector has not accepted stays in the kernel. */
  kill(): void {
    this.disconnect();
    if (this.way === "watch") for (const watching of this.watchings) watching.stop();
    this.#process = undefined;
  }

  /** The way to the directory is gone for a while. */
  loseLink(forMs: number): void {
    if (this.way !== "directory" || this.#isCut) return;
    const { nowMs } = this.#timeline;
    this.linkOutages.push({ fromMs: nowMs, toMs: nowMs + forMs });
    this.#isCut = true;
    this.disconnect();
    this.#timeline.after(forMs, () => {
      this.#isCut = false;
      this.connect();
    });
  }

  disconnect(): void {
    if (this.#stream) this.#replica?.close(this.#stream);
    this.#stream = undefined;
  }

  connect(): void {
    const known = this.#process?.known;
    if (!known || !this.#replica || this.#stream || this.#isCut) return;
    this.#stream = new Stream((answers) => this.#take(answers));
    this.#replica.open(this.#stream, known.takeAll());
  }

  /** Another replica answers from now on, which has read the cluster anew. */
  replaceReplica(): void {
    if (!this.#replica || !this.isApiThere) return;
    this.disconnect();
    this.#replica.watching.stop();
    this.#replica = new Replica(this.#world, this.#timeline, this.#lagMs);
    this.watchings.push(this.#replica.watching);
    this.connect();
  }

  exchange(): void {
    const { nowMs } = this.#timeline;
    const process = this.#process;
    if (!process) return;
    this.#kernel.nowNs = ns(nowMs) - INTERVAL_NS;
    this.#exchanges.push(nowMs);
    process.firstExchangeMs = Math.min(process.firstExchangeMs, nowMs);
    const { flows, accept } = process.steps.take(this.#kernel.exchange());
    if (!this.collectorAnswers) this.#lost.push(nowMs);
    if (!this.collectorAnswers) return;
    for (const flow of flows) {
      const rows = accept([flow]);
      const { attributes } = flow;
      const told = {
        kind: String(attributes["flowspan.peer.kind"]),
        name: attributes["service.peer.name"] as string | undefined,
        podName: attributes["flowspan.peer.k8s.pod.name"] as string | undefined,
      };
      for (const row of rows) this.#settled(row.id.trimEnd(), row.counter(AT.bytesSent), told, process);
      this.#kernel.settle(rows);
    }
  }

  *#watching(): Iterable<Watching> {
    if (this.#replica) yield this.#replica.watching;
    else yield* this.watchings;
  }

  disconnectApi(): void {
    this.isApiThere = false;
    for (const watching of this.#watching()) watching.disconnect();
  }

  reconnectApi(isGone: boolean): void {
    this.isApiThere = true;
    for (const watching of this.#watching()) watching.reconnect(isGone);
  }

  #settled(edge: string, bytes: number, told: Name, process: Process): void {
    if (bytes === 0) return;
    const grown: Grown[] = [];
    let left = bytes;
    const ledger = this.#ledger.get(edge) ?? [];
    while (left > 0) {
      const next = ledger.shift();
      if (!next || next.bytes > left) throw new Error(`${left} bytes of ${edge} were settled that did not grow`);
      grown.push(next);
      left -= next.bytes;
    }
    const [first, last] = [grown[0], grown.at(-1)] as [Grown, Grown];
    const sinceMs = this.#exchanges.findLast((atMs) => atMs < first.atMs) ?? 0;
    const untilMs = this.#seenMs(last, process);
    const settledMs = this.#settledMs.get(edge) ?? 0;
    this.#settledMs.set(edge, this.#timeline.nowMs);
    // A limit that ARCHITECTURE.md states: the kernel dates what a settlement has left by that settlement.
    const isMisdated = settledMs > first.atMs && process.startedMs > settledMs;
    if (isMisdated) return;
    this.#onChunk({ grown, told, sinceMs, untilMs, namedMs: this.#timeline.nowMs, machine: this });
  }

  /**
   * The chunk as this growth of it may have been named: when it was settled, or at an exchange of the present agent that
   * no Collector took, with what had grown by then. What grew later and has the same name has joined it since.
   */
  namings(grown: Grown, chunk: Chunk): readonly Chunk[] {
    const process = this.#process;
    if (!process) return [chunk];
    const seenMs = this.#seenMs(grown, process);
    const lost = this.#lost.filter((atMs) => atMs >= seenMs && atMs < chunk.namedMs);
    const before = lost.map((namedMs) => {
      const last = chunk.grown.findLast((each) => each.atMs <= namedMs) ?? grown;
      return { ...chunk, untilMs: this.#seenMs(last, process), namedMs };
    });
    return [chunk, ...before];
  }

  /** The first exchange that said it to the present agent. */
  #seenMs({ atMs }: Grown, { firstExchangeMs }: Process): number {
    const exchangeMs = this.#exchanges.find((each) => each >= atMs) ?? Infinity;
    return Math.max(exchangeMs, firstExchangeMs);
  }

  #take({ cluster, answers }: Answers): void {
    const { nowMs } = this.#timeline;
    const process = this.#process;
    if (!process?.known) return;
    if (this.#firstAnswerMs === Infinity) {
      this.#firstAnswerMs = nowMs;
      for (const feed of FEEDS_OF.directory) process.identity.apply({ feed, type: "synced", atMs: nowMs });
    }
    if (cluster) process.known.cluster(cluster, nowMs);
    for (const answer of answers) {
      process.known.answer(answer, nowMs);
      this.#noteAnswer(process, answer.key.address);
    }
  }

  #noteAnswer({ answeredBy }: Process, address: string): void {
    const before = answeredBy.get(address) ?? [];
    const watching = this.#replica?.watching;
    if (watching && !before.includes(watching)) answeredBy.set(address, [...before, watching]);
  }

  #ask(): void {
    if (!this.#stream || !this.#process?.known) return;
    const { add, remove } = this.#process.known.takeChanges();
    this.#replica?.ask(this.#stream, add, remove);
  }

  /** As startDirectory does, more often. */
  #refresh(process: Process): void {
    if (this.#process !== process) return;
    process.identity.refresh();
    process.known?.forgetUnseen(this.#timeline.nowMs);
    this.#ask();
    this.#timeline.after(REFRESH_MS, () => this.#refresh(process));
  }
}
