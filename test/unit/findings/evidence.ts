/** Kernel, steps and findings in memory: rows and namespaces' counters in, log records out, as the pipeline calls them. */
import { Findings } from "../../../agent/findings/all-findings.ts";
import type { EvidenceGrowth } from "../../../agent/model/evidence-growth.ts";
import type { ConntrackCounters, EvidenceKey } from "../../../agent/model/kernel-evidence.ts";
import type { LogRecord } from "../../../agent/model/log-record.ts";
import type { LocalEnd } from "../../../agent/model/names.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";
import { makeFlowSteps } from "../../../agent/runtime/flow-steps.ts";
import { DEFAULT_AGGREGATE_OPTIONS } from "../../../agent/series/aggregate-options.ts";
import { load } from "../config/given.ts";
import { type Counts, FakeIdentity, FakeKernel, keyOf } from "../series/kernel.ts";
import { namespaceBooks } from "../source/namespace-books.ts";
import { endOf } from "./judged.ts";

export const NODE: LocalEnd = { ...endOf("node-1"), resource: { "k8s.node.name": "node-1" } };
/** An edge whose growth each test gives. */
export const CLIENT = "client cart>10.0.0.2:80";
export const LISTENER = "listener cart>:8080";
export const NETNS = keyOf(CLIENT).netns;

/** An interval of 15 s: growth by edge, and how far the namespace's own counters move. */
export interface Interval {
  readonly grow?: Readonly<Record<string, Counts>>;
  readonly books?: Partial<NamespaceCounters>;
  readonly waiting?: { readonly open: number; readonly limit: number };
  readonly troubles?: readonly EvidenceGrowth[];
  /** How far the namespace's counters of connection tracking move. */
  readonly conntrack?: Partial<ConntrackCounters>;
  /** Entries that find no room in the IPv4 neighbour table. */
  readonly tableFulls?: number;
}

/** One packet or neighbour in trouble, of the client's pod, with defaults so that a test shows only what matters to it. */
export function troubleOf(
  more: Partial<Omit<EvidenceGrowth, "key">> & { readonly key?: Partial<EvidenceKey> } = {},
): EvidenceGrowth {
  const { role, serverPort, localAddress, remoteAddress, netns, cgroup } = keyOf(CLIENT);
  const ends = { role, serverPort, localAddress, remoteAddress, netns, cgroup };
  const key: EvidenceKey = {
    ...ends,
    ...{ kind: "drop", reason: 76, ifindex: 2, etherType: 0x0800, direction: "forward", transport: 6, syn: false },
    ...more.key,
  };
  const names = { local: endOf("cart"), isOwned: true, remote: undefined, direction: "transmit" as const };
  return { reason: "", device: "eth0", count: 1, ...names, ...more, key };
}

export class FindingLab {
  readonly kernel = new FakeKernel();
  readonly identity = new FakeIdentity();
  readonly findings: Findings;
  readonly #steps = makeFlowSteps(DEFAULT_AGGREGATE_OPTIONS, this.identity, undefined, keyOf);
  #books = namespaceBooks({ netns: NETNS });
  #tableFulls = 23;

  /** @param settings below `distribution.flowspan.findings` */
  constructor(settings: object = {}) {
    const base = load({}).settings.findings as unknown as Record<string, unknown>;
    const merged: Record<string, unknown> = { ...base };
    for (const [name, value] of Object.entries(settings))
      merged[name] = typeof value === "object" ? { ...(base[name] as object), ...value } : value;
    this.findings = new Findings(
      () => merged as never,
      () => NODE,
    );
  }

  /** Plays one interval. Nothing is ever accepted: rows repeat what they had. */
  play({ grow = {}, books = {}, waiting, troubles = [], conntrack = {}, tableFulls = 0 }: Interval = {}): LogRecord[] {
    for (const [id, counts] of Object.entries(grow)) this.kernel.grow(id, counts);
    if (waiting !== undefined) this.kernel.open(LISTENER, waiting.open, waiting.limit);
    const grown = { ...this.#books } as unknown as Record<string, number>;
    for (const [name, count] of Object.entries(books)) grown[name] = (grown[name] as number) + (count as number);
    const tracked = { ...this.#books.conntrack };
    for (const name of ["insertFailed", "drop", "earlyDrop"] as const) tracked[name] += conntrack[name] ?? 0;
    this.#books = { ...(grown as unknown as NamespaceCounters), conntrack: tracked };
    const exchange = this.kernel.exchange([this.#books]);
    const growth = this.#steps.edges.observe(exchange);
    this.#tableFulls += tableFulls;
    const table = { family: "ipv4", thresholds: [128, 512, 1024], entries: 1024, unresolved: 0 } as const;
    return this.findings.observe(this.#steps.naming.name(growth), {
      namespaces: exchange.namespaces,
      neighbourTables: [{ ...table, overflows: this.#tableFulls }],
      troubles,
    });
  }
}

/** `connect_refused start`, … */
export function told(records: readonly LogRecord[]): string[] {
  return records.map(({ eventName, attributes }) =>
    [eventName.replace("flowspan.finding.", ""), attributes["flowspan.finding.state"]].join(" "),
  );
}
