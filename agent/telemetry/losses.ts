/**
 * The one place where the agent's lost facts are counted and named.
 *
 * The names stand in semconv/model/losses.yaml, those of kernel and probe too; both are one metric,
 * flowspan.losses by reason, and one table in the status output. A reason ends in `_detail` when totals
 * stay exact and only where they belong is lost. What is merely late, because the kernel says it again
 * in the next exchange, is no loss and is not counted here.
 */
import type { LOSS_NAMES } from "../generated/layout.ts";
import type { FlowspanLossReason } from "../generated/semconv.ts";

/** Every way in which the agent can lose a fact: all reasons but those of kernel and probe. */
export type AgentLoss = Exclude<FlowspanLossReason, (typeof LOSS_NAMES)[number]>;

export interface Losses {
  /** Counts `count` lost facts. */
  lose(reason: AgentLoss, count?: number): void;
  /** Adds a count that another part keeps: what `read` gives only grows, from 0 at the agent's start. */
  follow(reason: AgentLoss, read: () => number): void;
  /** Facts lost since the agent started; a reason that never occurred is absent. */
  read(): Readonly<Partial<Record<AgentLoss, number>>>;
}

export function createLosses(): Losses {
  const counts: Partial<Record<AgentLoss, number>> = {};
  const followed: (readonly [AgentLoss, () => number])[] = [];
  const add = (sums: Partial<Record<AgentLoss, number>>, reason: AgentLoss, count: number) => {
    if (count > 0) sums[reason] = (sums[reason] ?? 0) + count;
  };
  return {
    lose: (reason, count = 1) => add(counts, reason, count),
    follow: (reason, read) => {
      followed.push([reason, read]);
    },
    read: () => {
      const sums = { ...counts };
      for (const [reason, read] of followed) add(sums, reason, read());
      return sums;
    },
  };
}
