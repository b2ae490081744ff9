/** A batch's probe and its only reader: both may end and begin anew, and what was said of each namespace is kept apart. */
import { EDGE_COUNTERS, type EdgeCountersField } from "../../agent/generated/layout.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import { SourceError } from "../../agent/source/source.ts";
import { type EdgeSum, Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import type { Lab } from "../lab/world/lab.ts";
import type { Seen } from "./compare.ts";
import { CHECKPOINTED } from "./record-flags.ts";

export const NODE = "node-1";
const RECORDING = {
  activeTimeoutNs: 0n,
  traceKey: [0x23n, 0x29n] as const,
  threshold: 1n << 56n,
  every: 0,
  adaptive: undefined,
  rate: { perSecond: 0, burst: 0 },
};

/** So long a record may wait until it shows who sent a reset (bpf/tcp/undecided.h). */
const HELD_MS = 12_000;
/** On a machine where an exchange takes seconds the time alone would be over before two of them were quiet. */
const EXCHANGES = 7;
/** What an edge counts once for each connection that ended, or never was. */
const ENDED: readonly EdgeCountersField[] = ["closed", ...EDGE_COUNTERS.filter((name) => name.startsWith("failed"))];

export type Losses = Readonly<Record<string, number>>;

export class Watch {
  readonly #lab: Lab;
  #current: Tally | undefined;
  #told: Losses = {};
  /** Of probes that were taken away since clear(). */
  #lost: Losses = {};
  #missedRecords = 0;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  get isThere(): boolean {
    return this.#current !== undefined;
  }

  get #tally(): Tally {
    if (this.#current === undefined) throw new Error("no probe is there");
    return this.#current;
  }

  /** A probe, and a reader whose records it makes; when it resolves, older sockets are adopted. */
  async start(): Promise<void> {
    this.#current = await Tally.start(this.#lab, NODE);
    this.#told = {};
    await this.#current.record(RECORDING);
  }

  /** Ends both and takes the kernel programs and maps away: nothing of them is left. */
  async remove(): Promise<void> {
    const { probe } = this.#tally;
    this.#lost = this.losses();
    this.#missedRecords = this.missingRecords;
    await this.close();
    await probe.unpin();
  }

  async close(): Promise<void> {
    await this.#current?.close();
    this.#current = undefined;
  }

  /** Forgets what was said so far. */
  clear(): void {
    this.#tally.edges.clear();
    this.#tally.records.length = 0;
    this.#told = this.#tally.losses;
    this.#lost = {};
    this.#missedRecords = 0;
  }

  /** A second probe takes over the first one's maps; that one was told to end, or was killed. */
  async replace(kill: boolean): Promise<void> {
    const { probe } = this.#tally;
    await this.#tally.interrupt(async () => {
      if (kill) await probe.probe.stop("SIGKILL");
      await probe.startProbe();
    });
    await this.#reconnect();
  }

  /** Another reader takes the place of the one that is there, which was in the middle of an exchange. */
  async replaceReader(): Promise<void> {
    await this.#tally.replaceReader();
  }

  /** What was said of each namespace since clear(). Rows and records may come in two: what closes after a walk has passed is in the next. */
  async seen(namespaces: readonly number[]): Promise<Seen[]> {
    const tally = this.#tally;
    const deadline = Date.now() + HELD_MS;
    let records = -1;
    let isWhole = false;
    for (let taken = 0; !isWhole && (Date.now() < deadline || taken < EXCHANGES); taken++) {
      const quiet = records === tally.records.length;
      records = tally.records.length;
      await tally.take();
      isWhole = quiet && records === tally.records.length && this.missingRecords <= this.#lostRecords;
    }
    const edges = byNamespace(namespaces, [...tally.edges.values()].map(asItIs));
    const said = byNamespace(namespaces, tally.records);
    const books = new Map(tally.last.namespaces.map((each) => [each.netns, each]));
    return namespaces.map((netns) => ({
      edges: edges.get(netns) ?? [],
      records: said.get(netns) ?? [],
      namespace: books.get(netns),
    }));
  }

  /** Connections that closed or failed, and have no record so far. */
  get missingRecords(): number {
    const sum = this.#tally.sum(({ role }) => role !== "listener");
    const ended = ENDED.reduce((total, name) => total + sum[name], 0);
    // What was checkpointed goes on.
    return ended - this.#tally.records.filter(({ flags }) => !(flags & CHECKPOINTED)).length + this.#missedRecords;
  }

  get #lostRecords(): number {
    const { agent_gone_records = 0, records_full = 0 } = this.losses();
    return agent_gone_records + records_full;
  }

  /** Losses by name since clear(). */
  losses(): Losses {
    const sum: Record<string, number> = { ...this.#lost };
    for (const [name, count] of Object.entries(this.#tally.losses))
      sum[name] = (sum[name] ?? 0) + count - (this.#told[name] ?? 0);
    return Object.fromEntries(Object.entries(sum).filter(([, count]) => count > 0));
  }

  /** The reader finds the next probe by itself; until then its exchanges fail, and lose nothing. */
  async #reconnect(): Promise<void> {
    await eventually("an exchange with the next probe", async () => {
      try {
        await this.#tally.take();
        return true;
      } catch (error) {
        if (error instanceof SourceError) return false;
        throw error;
      }
    });
  }
}

function byNamespace<T extends { readonly key: EdgeKey }>(
  namespaces: readonly number[],
  list: Iterable<T>,
): Map<number, T[]> {
  const groups = new Map<number, T[]>(namespaces.map((netns) => [netns, []]));
  for (const each of list) groups.get(each.key.netns)?.push(each);
  return groups;
}

/** What is counted later does not change it. */
function asItIs(edge: EdgeSum): EdgeSum {
  return { ...edge, counters: { ...edge.counters }, slots: new Map(edge.slots) };
}
