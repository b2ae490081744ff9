/**
 * The agent's main job, whole: from the kernel's growth to what the Collector has accepted, and back.
 *
 *      kernel                                                                              Collector
 *        ▲ │                                                                                 │  ▲
 *   settle │ exchange                                                               accepted │  │ requests
 *        │ ▼                                                                                 ▼  │
 *     ┌────────┐ rows ┌───────┐ edges that grew ┌────────┐ with names ┌────────┐ flows   ┌──────────┐
 *     │ source ├─────►│ edges ├────────────────►│ naming ├───────────►│ series ├────────►│ exporter │
 *     └────────┘      └───────┘                 └────────┘            └────────┘◄────────┴──────────┘
 *          ▲                                                              │   flows of accepted requests
 *          └──────────────────────────────────────────────────────────────┘
 *                               rows that were in them
 *
 * Behind naming, `judge` sees the edges with their names, and the kernel's evidence of trouble: what is wrong, if anything. It
 * changes nothing of them.
 *
 * A turn is one exchange, its export and its settlement; turns never overlap. Only rows of accepted
 * requests are settled: all else is still in the kernel and comes again, so that an error costs the turn
 * that it happens in and no byte. Decoding is inside of the source, which is a probe or a recording.
 * What filters or judges traffic by its names stands between naming and series.
 */

import type { Growth } from "../edges/edge-table.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { Identity } from "../model/names.ts";
import type { FlowExporter } from "../otlp/flow-exporter.ts";
import type { Logger } from "../shared/logger.ts";
import type { IntervalClock } from "../shared/ticker.ts";
import type { ExchangeData, ProbeSource } from "../source/source.ts";
import type { EvidenceStep } from "./evidence-step.ts";
import type { FlowSteps } from "./flow-steps.ts";

export interface PipelineParts {
  readonly source: Pick<ProbeSource, "exchange" | "settle" | "flush">;
  readonly identity: Pick<Identity, "addCgroup">;
  readonly steps: {
    readonly edges: Pick<FlowSteps["edges"], "observe">;
    readonly naming: Pick<FlowSteps["naming"], "name">;
    readonly series: Pick<FlowSteps["series"], "takeBack" | "add">;
  };
  readonly exporter: Pick<FlowExporter, "exportFlows">;
  /** What the kernel says of trouble: beside flows, with requests of its own. */
  readonly evidence?: Pick<EvidenceStep, "take" | "deliver">;
  readonly clock: IntervalClock;
  /** Aborted by SIGTERM: one last turn follows, at most `lastTurnMs` long. */
  readonly stop: AbortSignal;
  readonly lastTurnMs?: number;
  readonly log: Logger;
  readonly listeners?: PipelineListeners;
}

/** Called between steps; must not throw. */
export interface PipelineListeners {
  /** Edges that have grown, those of them whose ends are known with names; not kept after the turn. */
  readonly judge?: (growth: Growth, exchange: ExchangeData, evidence: readonly EvidenceGrowth[]) => void;
  /** A turn begins. */
  readonly turn?: () => void;
  /** An exchange was exported and settled, as far as the Collector accepted it. */
  readonly exchanged?: (exchange: ExchangeData, seconds: number) => void;
  /** A turn ended early. */
  readonly failed?: (error: unknown) => void;
}

/** Sums over one run. */
export interface PipelineTotals {
  turns: number;
  /** Turns that an error ended. */
  failedTurns: number;
  /** Ticks that passed while a turn was under way. */
  skippedTicks: number;
  settledRows: number;
}

const LAST_TURN_MS = 5_000;

/**
 * Runs until `stop`, or until the source ends, which only a recording does.
 *
 * Never rejects: an error ends its turn, is logged when turns begin to fail, and the next tick tries again.
 */
export async function runPipeline(parts: PipelineParts): Promise<PipelineTotals> {
  const { source, identity, steps, exporter, clock, stop, log, listeners = {} } = parts;
  const totals: PipelineTotals = { turns: 0, failedTurns: 0, skippedTicks: 0, settledRows: 0 };
  let failing = false;

  /** @returns false when the source has ended */
  async function turn(): Promise<boolean> {
    const begunMs = performance.now();
    const exchange = await source.exchange();
    if (exchange === undefined) return false;
    for (const cgroup of exchange.cgroups) identity.addCgroup(cgroup);
    const growth = steps.edges.observe(exchange);
    steps.series.takeBack(growth);
    const named = steps.naming.name(growth);
    const evidence = parts.evidence?.take(exchange);
    listeners.judge?.(named, exchange, evidence?.growth ?? []);
    const batch = steps.series.add(named);
    let settledRows = 0;
    for (const { outcome, flows } of await exporter.exportFlows(batch.flows)) {
      if (outcome.state !== "accepted") continue;
      const rows = batch.accept(flows);
      source.settle(rows);
      settledRows += rows.length;
    }
    if (evidence !== undefined) source.settle((await parts.evidence?.deliver(evidence)) ?? []);
    await source.flush();
    totals.settledRows += settledRows;
    if (settledRows === exchange.rows.length) exchange.free();
    listeners.exchanged?.(exchange, (performance.now() - begunMs) / 1000);
    return true;
  }

  async function guardedTurn(): Promise<boolean> {
    totals.turns++;
    listeners.turn?.();
    try {
      const more = await turn();
      if (failing) log.info({ failedTurns: totals.failedTurns }, "exchanges work again");
      failing = false;
      return more;
    } catch (error) {
      totals.failedTurns++;
      listeners.failed?.(error);
      if (!failing)
        log.warn({ error }, "an exchange failed: its growth stays in the kernel, the next tick tries again");
      failing = true;
      return true;
    }
  }

  async function turns(): Promise<void> {
    while (!stop.aborted) {
      totals.skippedTicks += await clock.next(stop);
      if (!stop.aborted && !(await guardedTurn())) return;
    }
    await guardedTurn();
  }

  const lastTurnMs = parts.lastTurnMs ?? LAST_TURN_MS;
  const deadline = deadlineAfter(stop, lastTurnMs);
  const inTime = await Promise.race([turns().then(() => true), deadline.passed]);
  deadline.cancel();
  if (!inTime) log.warn({ lastTurnMs }, "stopped before the last exchange was settled: its growth stays in the kernel");
  return totals;
}

/** A time that begins to run when `stop` is aborted. */
function deadlineAfter(stop: AbortSignal, ms: number): { readonly passed: Promise<false>; cancel(): void } {
  const { promise: passed, resolve } = Promise.withResolvers<false>();
  let timer: NodeJS.Timeout | undefined;
  const start = () => {
    timer = setTimeout(resolve, ms, false);
  };
  if (stop.aborted) start();
  else stop.addEventListener("abort", start, { once: true });
  return {
    passed,
    cancel() {
      stop.removeEventListener("abort", start);
      clearTimeout(timer);
    },
  };
}
