/**
 * The one place where the agent's lost facts are counted and named.
 *
 * Kernel and probe have a list of their own (enum loss in bpf/contract/contract.h); both lists are one metric,
 * flowspan.losses by reason, and one table in the status output. A reason ends in `_detail` when totals
 * stay exact and only where they belong is lost. What is merely late, because the kernel says it again
 * in the next exchange, is no loss and is not counted here.
 */

/** Every way in which the agent can lose a fact, with one sentence for its reader. */
export const AGENT_LOSSES = {
  frame_unusable: "Bytes of the probe could not be decoded: a connection record is gone, an exchange comes again.",
  points_rejected: "The Collector accepted a request but not all of its points, and wants none of them again.",
  series_over_budget_detail: "A series found no room in the budget: its numbers are in the remainder.",
  address_over_limit_detail: "An address found no room in the table of names: as a peer it is unknown.",
  span_queue_full: "A connection span found no room in the queue to the Collector (`spans.queue`).",
  span_rejected: "The Collector refused a connection span for good, alone or with its whole request.",
  span_gave_up: "The Collector was away for so long that a connection span was given up.",
  span_unnamed: "The ends of a connection had no names in time: it has no span.",
  span_shutdown: "The agent ended before the Collector had taken a connection span.",
  metadata_unreadable_detail: "An object of the Kubernetes API made no sense: what it names has no name.",
} as const;

export type AgentLoss = keyof typeof AGENT_LOSSES;

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
