/**
 * A probe's only reader: exchanges, settles at once what came, and adds it up. What a test may know of the
 * kernel side without an agent in between.
 *
 *   exchange ─► every row added to its edge ─► settled and confirmed ─► the edge's next row is new growth
 *
 * A sum is therefore exact only if the kernel subtracts exactly what was settled, also while it counts.
 */

import { EDGE_COUNTERS, type EdgeCountersField } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { EdgeGrowth, EdgeKey } from "../../../agent/model/edge.ts";
import type { EvidenceKey } from "../../../agent/model/kernel-evidence.ts";
import type { Cgroup } from "../../../agent/model/probe-event.ts";
import type { ErrorLogger } from "../../../agent/shared/logger.ts";
import { decodeEdgeKey } from "../../../agent/source/edge-key.ts";
import { ProbeClient } from "../../../agent/source/probe-client.ts";
import {
  type ExchangeData,
  type ProbeSettings,
  type RecordSettings,
  SourceError,
} from "../../../agent/source/source.ts";
import { PATIENCE } from "../programs/process.ts";
import type { Lab } from "../world/lab.ts";
import { NodeAgent } from "./agents.ts";

export type Counters = Record<EdgeCountersField, number>;

export interface EdgeSum {
  readonly key: EdgeKey;
  readonly counters: Counters;
  /** Counts by slot of enum histogram_slot. */
  readonly slots: Map<number, number>;
  /** Of the last row. */
  open: number;
  limit: number;
}

/** Segments that were sent again, by type. */
export function resentTypes(counters: Counters) {
  return {
    syn: counters.retransmitsSyn,
    fast: counters.retransmitsFast,
    timeout: counters.retransmitsTimeout,
    probe: counters.retransmitsTlp,
    nonCongestion: counters.retransmitsNonCongestion,
    other: counters.retransmitsOther,
  };
}

export type Where = (key: EdgeKey) => boolean;

const IDLE_NS = 300_000_000_000n;
const SILENT: ErrorLogger = { info: () => {}, warn: () => {}, error: () => {} };

export class Tally {
  readonly probe: NodeAgent;
  #client: ProbeClient;
  #asked: ProbeSettings | undefined;
  readonly edges = new Map<string, EdgeSum>();
  /** By the key's bytes. */
  readonly evidence = new Map<string, { readonly key: EvidenceKey; count: number }>();
  /** All that were named, by id. */
  readonly cgroups = new Map<bigint, Cgroup>();
  /** Connection records in the order in which they came; none before record(). */
  readonly records: Connection[];
  /** What the probe has said of its troubles, each change. */
  readonly troubles: string[];
  exchanges = 0;
  #last: ExchangeData | undefined;
  #stopping = false;

  private constructor(probe: NodeAgent, client: ProbeClient, records: Connection[], troubles: string[]) {
    this.probe = probe;
    this.#client = client;
    this.records = records;
    this.troubles = troubles;
  }

  /** Starts a probe for one node of the lab; it counts when this resolves. */
  static async start(
    lab: Lab,
    node: string,
    probeArguments: readonly string[] = [],
    probeEnv: Readonly<Record<string, string>> = {},
    probeEnter: readonly string[] = [],
  ): Promise<Tally> {
    const probe = new NodeAgent(lab, node, { endpoint: "", probeArguments, probeEnv, probeEnter });
    await probe.startProbe();
    const records: Connection[] = [];
    const troubles: string[] = [];
    const client = reader(probe, records, troubles);
    await client.hello();
    return new Tally(probe, client, records, troubles);
  }

  get client(): ProbeClient {
    return this.#client;
  }

  /** The last exchange. */
  get last(): ExchangeData {
    if (this.#last === undefined) throw new Error("nothing was exchanged yet");
    return this.#last;
  }

  /** Forgets the records so far and asks for those that come from now on; resolves when the kernel goes by it. */
  async record(recording: RecordSettings): Promise<void> {
    this.#asked = { idleNs: IDLE_NS, records: true, recordsAtOnce: true, recording };
    this.#client.settings(this.#asked);
    await this.take();
    this.records.length = 0;
  }

  /** Losses by name, only those that are not 0. */
  get losses(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.last.status.losses).filter(([, count]) => count > 0));
  }

  /** Connections that closed, whether a program saw their close or the kernel hid it (test/machine/witness.ts). */
  get ended(): number {
    return this.sum().closed + (this.losses.close_missed ?? 0);
  }

  /** One exchange: added, settled, confirmed. Throws when the probe did not know a row that it sent. */
  async take(): Promise<ExchangeData> {
    const exchange = await this.#client.exchange();
    this.#settle(exchange);
    const { rows, unknown } = await this.#client.flush();
    const sent = exchange.rows.length + exchange.evidence.rows.length;
    if (rows !== sent || unknown !== 0) throw new Error(`of ${sent} rows ${rows} were settled and ${unknown} unknown`);
    this.exchanges++;
    this.#last = exchange;
    return exchange;
  }

  /**
   * Ends the connection to the probe at its worst: with rows that are settled and not confirmed, and with an exchange
   * under way. Resolves when the same reader knows from the next connection what became of the rows.
   *
   * @param cut ends the connection, and brings the next probe
   */
  async interrupt(cut: () => Promise<unknown>): Promise<void> {
    this.#settle(await this.#client.exchange());
    const underWay = this.#client.exchange().catch(ignoreCut);
    await cut();
    await underWay;
    // Rows that were settled before the cut are repeats now, which the probe tells from others by their number.
    await this.#client.flush();
  }

  /** Another reader takes this one's place. What that one was sent and has not settled is the next one's. */
  async replaceReader(): Promise<void> {
    await this.#client.exchange();
    const underWay = this.#client.exchange().catch(ignoreCut);
    await this.#client.close();
    await underWay;
    this.#client = reader(this.probe, this.records, this.troubles);
    if (this.#asked) this.#client.settings(this.#asked);
    await this.take();
  }

  /** Nobody reads while `act` runs, or whoever it brings. Then another reader comes, and takes what there is. */
  async away(act: () => Promise<unknown>): Promise<void> {
    await this.#client.close();
    await act();
    this.#client = reader(this.probe, this.records, this.troubles);
    if (this.#asked) this.#client.settings(this.#asked);
    await this.take();
  }

  /** Exchanges back to back until stop(); resolves after the last one. */
  async run(): Promise<void> {
    this.#stopping = false;
    while (!this.#stopping) await this.take();
  }

  stop(): void {
    this.#stopping = true;
  }

  /** Exchanges until the condition holds; fails with `what` and the losses when it does not in time. */
  async until(what: () => string, condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    const deadline = Date.now() + timeoutMs * PATIENCE;
    for (;;) {
      await this.take();
      if (condition()) return;
      if (Date.now() > deadline)
        throw new Error(`not within ${timeoutMs} ms: ${what()}; losses ${JSON.stringify(this.losses)}`);
    }
  }

  /** All counters, summed over the edges that `where` chooses. */
  sum(where: Where = () => true): Counters {
    const sum = noCounters();
    for (const { key, counters } of this.edges.values())
      if (where(key)) for (const name of EDGE_COUNTERS) sum[name] += counters[name];
    return sum;
  }

  /** Slots of those edges' histograms, summed. */
  slots(where: Where = () => true): Map<number, number> {
    const sum = new Map<number, number>();
    for (const edge of this.edges.values())
      if (where(edge.key)) for (const [slot, count] of edge.slots) sum.set(slot, (sum.get(slot) ?? 0) + count);
    return sum;
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.probe.stop();
  }

  #settle({ rows, cgroups, evidence }: ExchangeData): void {
    for (const row of rows) this.#add(row);
    for (const { id, key, count } of evidence.rows) {
      const sum = this.evidence.get(id);
      if (sum === undefined) this.evidence.set(id, { key, count });
      else sum.count += count;
    }
    this.#client.settle(evidence.rows.map(({ row }) => ({ row, isEvidence: true })));
    for (const cgroup of cgroups) this.cgroups.set(cgroup.id, cgroup);
    this.#client.settle(rows);
  }

  #add(row: EdgeGrowth): void {
    let edge = this.edges.get(row.id);
    if (edge === undefined) {
      edge = { key: decodeEdgeKey(row.id), counters: noCounters(), slots: new Map(), open: 0, limit: 0 };
      this.edges.set(row.id, edge);
    }
    for (const [i, name] of EDGE_COUNTERS.entries()) edge.counters[name] += row.counters[i] ?? 0;
    for (let i = 0; i < row.slots.length; i += 2) {
      const slot = row.slots[i] ?? 0;
      edge.slots.set(slot, (edge.slots.get(slot) ?? 0) + (row.slots[i + 1] ?? 0));
    }
    edge.open = row.open;
    edge.limit = row.limit;
  }
}

function reader(probe: NodeAgent, records: Connection[], troubles: string[]): ProbeClient {
  const listeners = {
    connection: (record: Connection) => void records.push(record),
    troubles: (now: readonly string[]) => void troubles.push(now.join(" ")),
  };
  return new ProbeClient({ path: probe.probeSocket, log: SILENT, listeners });
}

function ignoreCut(error: unknown): void {
  if (!(error instanceof SourceError)) throw error;
}

function noCounters(): Counters {
  return Object.fromEntries(EDGE_COUNTERS.map((name) => [name, 0])) as Counters;
}
