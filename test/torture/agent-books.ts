/**
 * What agents said of themselves in one batch: losses, and what became of the records that they got. Pure.
 *
 * The kernel's and the probe's losses count since the maps were made, an agent's own since its start.
 */
import { LOSS_NAMES } from "../../agent/generated/layout.ts";
import type { ReceivedPoint } from "../otlp/metric-points.ts";
import { type SeriesTotal, seriesTotals } from "../otlp/oracle.ts";

export interface AgentBooks {
  /** By name, all agents of the batch together; those of kernel and probe as they stand now, all nodes together. */
  readonly losses: Readonly<Record<string, number>>;
  readonly observed: number;
  readonly accepted: number;
  readonly dropped: number;
  readonly pending: number;
}

const KERNEL: ReadonlySet<string> = new Set(LOSS_NAMES);

/** @param points in the order in which they came, each agent's after those of the one before it */
export function agentBooks(points: readonly ReceivedPoint[]): AgentBooks {
  const totals = seriesTotals(points.filter(({ metric }) => OF_BOOKS.test(metric)));
  const sum = (name: string) =>
    totals.filter(({ metric }) => metric === name).reduce((total, { value }) => total + value, 0);
  const losses: Record<string, number> = {};
  const kernel = new Map<string, number>();
  for (const { node, reason, value } of totals.filter(({ metric }) => metric === "flowspan.losses").map(lossOf)) {
    const before = kernel.get(`${node} ${reason}`) ?? 0;
    const growth = KERNEL.has(reason) ? Math.max(0, value - before) : value;
    if (KERNEL.has(reason)) kernel.set(`${node} ${reason}`, before + growth);
    losses[reason] = (losses[reason] ?? 0) + growth;
  }
  return {
    losses,
    observed: sum("flowspan.spans.observed"),
    accepted: sum("flowspan.spans.accepted"),
    dropped: sum("flowspan.spans.dropped"),
    pending: sum("flowspan.spans.pending"),
  };
}

/** Those of kernel and probe, which the next agent tells again. */
export function kernelLosses(points: readonly ReceivedPoint[]): Record<string, number> {
  return Object.fromEntries(Object.entries(agentBooks(points).losses).filter(([name]) => KERNEL.has(name)));
}

const OF_BOOKS = /^flowspan\.(?:losses|spans\..*)$/;

function lossOf({ attributes, resource, value }: SeriesTotal) {
  return { node: resource["k8s.node.name"], reason: String(attributes["flowspan.loss.reason"]), value };
}
