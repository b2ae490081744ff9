/**
 * All evidence of an exchange → points for the Collector, and what has happened within the interval for detectors.
 *
 *   rows ─► names ─► series ─┐
 *   totals, tables, conntrack ┴─► points ─► accepted: rows to settle
 *
 * Pure: time comes with the exchange. A row whose name is still awaited stays in the kernel; its growth belongs to the interval in which the name comes.
 */
import { ExchangeClock } from "../edges/exchange-clock.ts";
import {
  ATTR_FLOWSPAN_CONNTRACK_FAILURE,
  ATTR_FLOWSPAN_DROP_REASON,
  ATTR_FLOWSPAN_NETNS,
  ATTR_NETWORK_TYPE,
  FLOWSPAN_CONNTRACK_FAILURE_VALUE_DROP,
  FLOWSPAN_CONNTRACK_FAILURE_VALUE_EARLY_DROP,
  FLOWSPAN_CONNTRACK_FAILURE_VALUE_INSERT_FAILED,
  METRIC_FLOWSPAN_CONNTRACK_ENTRIES,
  METRIC_FLOWSPAN_CONNTRACK_FAILURES,
  METRIC_FLOWSPAN_CONNTRACK_LIMIT,
  METRIC_FLOWSPAN_NEIGHBOUR_FAILURES,
  METRIC_FLOWSPAN_NEIGHBOUR_TABLE_ENTRIES,
  METRIC_FLOWSPAN_NEIGHBOUR_TABLE_LIMIT,
  METRIC_FLOWSPAN_NEIGHBOUR_TABLE_OVERFLOWS,
  METRIC_FLOWSPAN_NODE_PACKET_DROPS,
  METRIC_FLOWSPAN_PACKET_DROPS,
} from "../generated/semconv.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { Resource } from "../model/flow.ts";
import type { EvidenceRow, ExchangeEvidence, NeighbourTable } from "../model/kernel-evidence.ts";
import type { Identity, LocalEnd } from "../model/names.ts";
import type { NumberPoint } from "../model/point.ts";
import type { Exchange, NamespaceCounters } from "../model/probe-event.ts";
import { dropAttributes, neighbourAttributes, overflowAttributes } from "./evidence-attributes.ts";
import { type EvidenceNamed, EvidenceNames } from "./evidence-names.ts";
import { type EvidencePoint, EvidenceSeries, type SeriesName, type SeriesOptions } from "./evidence-series.ts";
import { type CounterPoint, type KernelCounter, KernelCounters } from "./kernel-counters.ts";

/** What is read of an exchange; ExchangeData fits. */
export interface EvidenceExchange {
  readonly evidence: ExchangeEvidence;
  readonly namespaces: readonly NamespaceCounters[];
  readonly end: Pick<Exchange, "bootNs" | "realtimeNs">;
}

export interface EvidenceOptions extends SeriesOptions {
  /** The remote address of a drop on every point. */
  readonly peerAddress: boolean;
}

/** Of one exchange. */
export interface EvidenceTaken {
  readonly points: readonly NumberPoint[];
  readonly growth: readonly EvidenceGrowth[];
}

export class Evidence {
  readonly #options: EvidenceOptions;
  readonly #names: EvidenceNames;
  readonly #series: EvidenceSeries;
  readonly #counters: KernelCounters;
  /** What each row has said when it was seen last, until it is settled. */
  #seen = new Map<string, number>();
  /** Rows of the last exchange whose names are awaited. */
  pendingRows = 0;

  constructor(identity: Pick<Identity, "identify">, options: EvidenceOptions) {
    this.#options = options;
    this.#names = new EvidenceNames(identity);
    this.#series = new EvidenceSeries(options);
    this.#counters = new KernelCounters(options.temporality === "delta");
  }

  get overBudget(): number {
    return this.#series.overBudget;
  }

  take({ evidence, namespaces, end }: EvidenceExchange): EvidenceTaken {
    const clock = new ExchangeClock(end);
    this.#names.see(namespaces);
    const node = this.#names.ofNamespace(0, { sinceNs: clock.bootNs, untilNs: clock.bootNs });
    // Before anything is known of the cluster not even the node has its name.
    if (node === undefined) return { points: [], growth: [] };
    this.#counters.begin(clock);
    const reasons = new Map(evidence.totals.map(({ reason, name }) => [reason, name]));
    const growth = this.#takeRows(evidence.rows, reasons, node.local, clock);
    const points = [
      ...this.#series.points(clock),
      ...this.#totals(evidence, resourceOf(node.local), clock),
      ...this.#tables(evidence.neighbourTables, resourceOf(node.local), clock),
      ...namespaces.flatMap((counters) => this.#conntrack(counters, clock)),
    ];
    return { points, growth };
  }

  /** The Collector has these points. @returns what is to be settled */
  accept(points: readonly NumberPoint[]): EvidenceRow[] {
    for (const point of points) if ("counter" in point) this.#counters.accept(point as CounterPoint);
    const settled = this.#series.accept(points.filter((point): point is EvidencePoint => "rows" in point));
    for (const { id } of settled) this.#seen.delete(id);
    return settled;
  }

  #takeRows(
    rows: readonly EvidenceRow[],
    reasons: ReadonlyMap<number, string>,
    node: LocalEnd,
    clock: ExchangeClock,
  ): EvidenceGrowth[] {
    const growth: EvidenceGrowth[] = [];
    const seen = new Map<string, number>();
    this.#series.begin(rows);
    this.pendingRows = 0;
    for (const row of rows) {
      const { key, device } = row;
      const reason = key.kind === "drop" ? (reasons.get(key.reason) ?? String(key.reason)) : "";
      const named = this.#names.of(key, { sinceNs: row.sinceNs, untilNs: clock.bootNs });
      const before = this.#seen.get(row.id) ?? 0;
      seen.set(row.id, named === undefined ? before : row.count);
      if (named !== undefined && row.count > before)
        growth.push({ key, reason, device, count: row.count - before, ...named });
      if (this.#series.addSent(row)) continue;
      if (named === undefined) this.pendingRows++;
      else {
        const name = this.#nameOf(row, named, reason);
        const overflow = { resource: resourceOf(node), attributes: overflowAttributes(row, named, reason) };
        this.#series.add(row, name, { metric: name.metric, ...overflow });
      }
    }
    this.#seen = seen;
    return growth;
  }

  #nameOf(row: EvidenceRow, named: EvidenceNamed, reason: string): SeriesName {
    const resource = resourceOf(named.local);
    if (row.key.kind !== "drop")
      return { metric: METRIC_FLOWSPAN_NEIGHBOUR_FAILURES, resource, attributes: neighbourAttributes(row, named) };
    const attributes = dropAttributes(row, named, reason, this.#options.peerAddress);
    return { metric: METRIC_FLOWSPAN_PACKET_DROPS, resource, attributes };
  }

  #totals({ totals }: ExchangeEvidence, resource: Resource, clock: ExchangeClock): NumberPoint[] {
    return totals.flatMap(({ kindOf, name, count, startedNs: sinceNs }) => {
      if (kindOf !== "drop") return [];
      const attributes = { [ATTR_FLOWSPAN_DROP_REASON]: name };
      const counter = { id: `drops ${name} ${sinceNs}`, sinceNs, value: count };
      return this.#counter(counter, { metric: METRIC_FLOWSPAN_NODE_PACKET_DROPS, resource, attributes }, clock);
    });
  }

  #tables(tables: readonly NeighbourTable[], resource: Resource, clock: ExchangeClock): NumberPoint[] {
    return tables.flatMap(({ family, entries, thresholds, overflows }) => {
      const common = { resource, attributes: { [ATTR_NETWORK_TYPE]: family } };
      const counter = { id: `overflows ${family}`, sinceNs: 0n, value: overflows };
      return [
        gauge({ ...common, metric: METRIC_FLOWSPAN_NEIGHBOUR_TABLE_ENTRIES }, entries, clock),
        gauge({ ...common, metric: METRIC_FLOWSPAN_NEIGHBOUR_TABLE_LIMIT }, thresholds[2], clock),
        ...this.#counter(counter, { ...common, metric: METRIC_FLOWSPAN_NEIGHBOUR_TABLE_OVERFLOWS }, clock),
      ];
    });
  }

  #conntrack({ netns, cookie, conntrack }: NamespaceCounters, clock: ExchangeClock): NumberPoint[] {
    const { entries, limit, insertFailed, drop, earlyDrop } = conntrack;
    if (limit === 0) return [];
    // An inode number is given out again, and the next namespace counts from 0.
    const counterOf = ([failure, value]: readonly [string, number]) =>
      [failure, { id: `conntrack ${netns} ${cookie} ${failure}`, sinceNs: 0n, value }] as const;
    const failures = (
      [
        [FLOWSPAN_CONNTRACK_FAILURE_VALUE_INSERT_FAILED, insertFailed],
        [FLOWSPAN_CONNTRACK_FAILURE_VALUE_DROP, drop],
        [FLOWSPAN_CONNTRACK_FAILURE_VALUE_EARLY_DROP, earlyDrop],
      ] as const
    ).map(counterOf);
    for (const [, counter] of failures) this.#counters.look(counter, clock);
    const named = this.#names.ofNamespace(netns, { sinceNs: clock.bootNs, untilNs: clock.bootNs });
    // The kernel has the numbers at the next exchange, too.
    if (named === undefined || (entries === 0 && insertFailed + drop + earlyDrop === 0)) return [];
    const resource = resourceOf(named.local);
    const at = { [ATTR_FLOWSPAN_NETNS]: netns };
    return [
      gauge({ metric: METRIC_FLOWSPAN_CONNTRACK_ENTRIES, resource, attributes: at }, entries, clock),
      gauge({ metric: METRIC_FLOWSPAN_CONNTRACK_LIMIT, resource, attributes: at }, limit, clock),
      ...failures.flatMap(([failure, counter]) => {
        const attributes = { ...at, [ATTR_FLOWSPAN_CONNTRACK_FAILURE]: failure };
        return (
          this.#counters.point(counter, { metric: METRIC_FLOWSPAN_CONNTRACK_FAILURES, resource, attributes }, clock) ??
          []
        );
      }),
    ];
  }

  #counter(counter: KernelCounter, name: SeriesName, clock: ExchangeClock): NumberPoint[] {
    this.#counters.look(counter, clock);
    const point = this.#counters.point(counter, name, clock);
    return point === undefined ? [] : [point];
  }
}

function gauge(name: SeriesName, value: number, { timeUnixNs }: ExchangeClock): NumberPoint {
  return { ...name, startUnixNs: timeUnixNs, timeUnixNs, value };
}

function resourceOf({ id, resource }: LocalEnd): Resource {
  return { id, attributes: resource };
}
