/**
 * Trace requests, as bytes or as OTLP/JSON, as plain spans: one reading for receivers of tests, the Collector's files and
 * Jaeger's answers. What was left out because it is empty is here in full, so that whole values can be compared.
 */
import type { Attributes } from "../../agent/model/attribute.ts";
import { attributesOf, type JsonSpan, type JsonTraceRequest } from "./otlp-json.ts";
import { traceRequestOf } from "./protobuf.ts";

/** Ids are lower-case hex. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  readonly startUnixNs: bigint;
  readonly endUnixNs: bigint;
  readonly attributes: Attributes;
  readonly events: readonly ReceivedEvent[];
  readonly droppedEvents: number;
  readonly links: readonly ReceivedLink[];
  readonly status: (typeof STATUSES)[number];
  readonly statusMessage: string;
  /** The low byte is the trace flags. */
  readonly flags: number;
  readonly resource: Attributes;
  readonly scope: string;
  readonly scopeVersion: string;
}

export interface ReceivedEvent {
  readonly name: string;
  readonly timeUnixNs: bigint;
  readonly attributes: Attributes;
}

export interface ReceivedLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  readonly attributes: Attributes;
}

/* By their numbers in OTLP. */
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;
const STATUSES = ["unset", "ok", "error"] as const;

/** @param bytes an ExportTraceServiceRequest */
export function decodeSpans(bytes: Uint8Array): ReceivedSpan[] {
  return spansOf(traceRequestOf(bytes));
}

/** @param request a trace request, or any other, which holds no spans */
export function spansOf({ resourceSpans = [] }: JsonTraceRequest): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const about = attributesOf(resource?.attributes);
    return scopeSpans.flatMap(({ scope, spans = [] }) => {
      const by = { scope: scope?.name ?? "", scopeVersion: scope?.version ?? "" };
      return spans.map((span) => ({ ...spanOf(span), resource: about, ...by }));
    });
  });
}

function spanOf(span: JsonSpan): Omit<ReceivedSpan, "resource" | "scope" | "scopeVersion"> {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? "",
    traceState: span.traceState ?? "",
    name: span.name,
    kind: KINDS[span.kind ?? 0] ?? "unspecified",
    startUnixNs: BigInt(span.startTimeUnixNano),
    endUnixNs: BigInt(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    events: (span.events ?? []).map((event) => ({
      name: event.name,
      timeUnixNs: BigInt(event.timeUnixNano),
      attributes: attributesOf(event.attributes),
    })),
    droppedEvents: span.droppedEventsCount ?? 0,
    links: (span.links ?? []).map(({ traceId, spanId, traceState = "", attributes }) => ({
      traceId,
      spanId,
      traceState,
      attributes: attributesOf(attributes),
    })),
    status: STATUSES[span.status?.code ?? 0] ?? "unset",
    statusMessage: span.status?.message ?? "",
    flags: span.flags ?? 0,
  };
}
