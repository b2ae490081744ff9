/** From what was performed and what a Collector holds of it to what differs. Pure. */
import type { ReceivedPoint } from "../otlp/metric-points.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import { agentBooks } from "./agent-books.ts";
import { through } from "./agent-compare.ts";
import type { Temporality } from "./agent-metrics.ts";
import { sortTold, type Told } from "./agent-told.ts";
import type { AgentUpheavalKind } from "./agent-upheavals.ts";
import { batchDifferences, withoutCopies } from "./agent-whole.ts";
import type { BatchResult, Performed } from "./batch.ts";
import type { Failure } from "./judge.ts";
import type { Program } from "./program.ts";
import type { Trace } from "./trace.ts";
import { usesOf } from "./uses.ts";

/** One batch, as it was performed and heard. */
export interface Heard {
  readonly batch: number;
  readonly temporality: Temporality;
  /** At once: with two, each sees one end of most connections. */
  readonly agents: number;
  readonly programs: readonly Program[];
  /** In the same order. */
  readonly traces: readonly Trace[];
  /** In the order in which they came. */
  readonly spans: readonly ReceivedSpan[];
  readonly points: readonly ReceivedPoint[];
  readonly befell: Omit<AgentUpheavalKind, "befall">;
  /** Spans that came while an agent died. */
  readonly justTaken: number;
  /** Losses of kernel and probe before. */
  readonly lossesBefore: Readonly<Record<string, number>>;
  readonly hidden: number;
}

export function resultOf(heard: Heard): BatchResult {
  const { batch, temporality, traces, points, befell, justTaken, hidden } = heard;
  const { spans, copies } = withoutCopies(heard.spans);
  const told = sortTold(spans, points, { batch, namespaces: traces.map(({ netns }) => netns) });
  const books = agentBooks(points);
  const losses = growthOf(books.losses, heard.lossesBefore);
  const circumstances = {
    temporality,
    isWhole: !losses.agent_gone_records,
    isOneAgent: befell.isOneAgent && heard.agents === 1,
  };
  const performed = heard.programs.map((program, i): Performed => {
    const trace = traces[i] as Trace;
    const of = told.programs[i] as Told;
    return { program, trace, points: of.points, ...through(of, program, trace, circumstances) };
  });
  const beyond = [
    ...told.strangers.map((stranger) => `stranger: ${stranger}`),
    ...batchDifferences({ ...befell, performed, spans, books, losses, justTaken, repaired: repairedIn(heard) }),
    ...(copies.length > 0 && !befell.mayRepeat ? [`twice: ${copies.length} spans came again`] : []),
  ];
  return { performed, losses, spare: justTaken, beyond, hidden };
}

function repairedIn({ programs, traces }: Heard): number {
  const uses = traces.flatMap((trace, i) => usesOf(trace, programs[i] as Program).uses);
  return uses.reduce((sum, { restored, uncertain }) => sum + restored + (uncertain ? 1 : 0), 0);
}

function growthOf(
  now: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): Record<string, number> {
  const growth = Object.entries(now).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(growth.filter(([, count]) => count > 0));
}

/** Checks of what series add up to. Spans, and what a record has by itself, no series can change. */
const OF_SERIES: ReadonlySet<string> = new Set([
  ...["sums", "busy-sums", "reset-sums", "record-sums", "histogram"],
  ...["active-opens", "passive-opens", "retransmits", "retransmit-types"],
]);

/** Whether there are differences, and a series that was cut may be the cause of each of them. */
export function isOfCutSeries(failures: readonly Pick<Failure, "differences">[]): boolean {
  const checks = failures.flatMap(({ differences }) => differences.map((each) => each.split(":")[0] ?? ""));
  return checks.length > 0 && checks.every((check) => OF_SERIES.has(check));
}
