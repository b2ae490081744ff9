/**
 * What must hold for a batch as a whole: ids are nobody else's, and every record is a span or a loss by name. Pure.
 *
 *   ends that were counted, sockets that TCP_REPAIR took = spans + agent_gone_records
 */
import type { ReceivedSpan } from "../otlp/spans.ts";
import type { AgentBooks } from "./agent-books.ts";
import type { Performed } from "./batch.ts";

export interface Whole {
  readonly performed: readonly Performed[];
  /** Each once. */
  readonly spans: readonly ReceivedSpan[];
  readonly books: AgentBooks;
  /** What this batch has added. */
  readonly losses: Readonly<Record<string, number>>;
  readonly mayLose: boolean;
  readonly isOneAgent: boolean;
  /** Spans that came while their agent died. */
  readonly justTaken: number;
  /** Sockets that TCP_REPAIR has taken, or may have: each has a record, and is no end that was counted. */
  readonly repaired: number;
}

/** Spans that came more than once, as after an answer that got lost, once; and the others of them. */
export function withoutCopies(spans: readonly ReceivedSpan[]): {
  readonly spans: readonly ReceivedSpan[];
  readonly copies: readonly ReceivedSpan[];
} {
  const seen = new Map<string, string>();
  const copies: ReceivedSpan[] = [];
  const once = spans.filter((span) => {
    const id = `${span.traceId} ${span.spanId}`;
    const content = contentOf(span);
    const isCopy = seen.get(id) === content;
    if (isCopy) copies.push(span);
    seen.set(id, content);
    return !isCopy;
  });
  return { spans: once, copies };
}

function contentOf(span: ReceivedSpan): string {
  return JSON.stringify(span, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

/** Each a sentence under the name of its check. */
export function batchDifferences(whole: Whole): string[] {
  return [...idsOf(whole), ...recordsOf(whole), ...booksOf(whole)];
}

function idsOf({ spans }: Whole): string[] {
  const bySpan = Map.groupBy(spans, ({ spanId }) => spanId);
  const byTrace = Map.groupBy(spans, ({ traceId }) => traceId);
  const pod = ({ resource }: ReceivedSpan) => String(resource["k8s.pod.uid"]);
  return [
    ...[...bySpan]
      .filter(([, list]) => list.length > 1)
      .map(([id, list]) => `ids: ${list.length} spans are ${id}: ${list.map(contentOf).join(" and ")}`),
    ...[...byTrace]
      .filter(([, list]) => new Set(list.map(pod)).size > 1)
      .map(([id, list]) => `ids: ${list.length} spans of more than one program are in trace ${id}`),
  ];
}

const ENDS = [
  ...(["closed", "failedRefused", "failedTimedOut", "failedReset", "failedHostUnreachable"] as const),
  ...(["failedNetUnreachable", "failedCancelled", "failedNoLocalPort", "failedNotSent", "failedOther"] as const),
];

function recordsOf({ performed, spans, losses, mayLose, justTaken, repaired }: Whole): string[] {
  const counted = performed
    .flatMap(({ seen }) => seen.edges)
    .reduce((sum, { counters }) => sum + ENDS.reduce((part, name) => part + counters[name], 0), 0);
  const checkpointed = spans.filter(({ attributes }) => attributes["flowspan.tcp.checkpointed"] === true).length;
  const missing = counted + checkpointed - spans.length;
  const lost = losses.agent_gone_records ?? 0;
  if (lost > 0 && !mayLose) return [`losses: ${lost} agent_gone_records, though nothing was killed`];
  if (missing > lost) return [`record-sums: ${missing} ends have no span, and ${lost} are told as lost`];
  if (lost > Math.max(missing, 0) + justTaken + Math.max(repaired - checkpointed, 0))
    return [
      `record-sums: ${lost} are told as lost, ${missing} ends have no span, and at most ${justTaken} were just taken`,
    ];
  return [];
}

/** Of one agent that was told to end: what it got is what it gave, and has counted. */
function booksOf({ spans, books, isOneAgent }: Whole): string[] {
  const { observed, accepted, dropped, pending } = books;
  if (!isOneAgent || (accepted === spans.length && observed === accepted + dropped && pending === 0)) return [];
  return [
    `self: of ${observed} records ${accepted} were accepted, ${dropped} dropped, ${pending} are pending, and ${spans.length} spans came`,
  ];
}
