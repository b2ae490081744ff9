/**
 * Spans and attributes out of OTLP/JSON, as the Collector's file exporter writes it and Jaeger's query API
 * answers: one reading for both.
 *
 * What protobuf leaves out because it is empty is here in full, so that whole values can be compared.
 */
import type { Attributes, AttributeValue } from "../../agent/model/attribute.ts";

export type SpanKind = "unspecified" | "internal" | "server" | "client" | "producer" | "consumer";
export type SpanStatus = "unset" | "ok" | "error";

export interface SpanEvent {
  readonly name: string;
  readonly timeUnixNs: bigint;
  readonly attributes: Attributes;
}

export interface SpanLink {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState: string;
  readonly attributes: Attributes;
}

/** Ids are lower-case hex. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: SpanKind;
  readonly scope: { readonly name: string; readonly version: string };
  readonly resource: Attributes;
  readonly attributes: Attributes;
  readonly startUnixNs: bigint;
  readonly endUnixNs: bigint;
  readonly events: readonly SpanEvent[];
  readonly links: readonly SpanLink[];
  readonly status: { readonly code: SpanStatus; readonly message: string };
}

/* By their numbers in OTLP. */
const KINDS: readonly SpanKind[] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const STATUSES: readonly SpanStatus[] = ["unset", "ok", "error"];

/** @param request a trace request, or any other, which holds no spans */
export function spansOf({ resourceSpans = [] }: JsonTraceRequest): Span[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const about = attributesOf(resource?.attributes);
    return scopeSpans.flatMap(({ scope, spans = [] }) => {
      const by = { name: scope?.name ?? "", version: scope?.version ?? "" };
      return spans.map((span) => spanOf(span, about, by));
    });
  });
}

export function attributesOf(list: readonly JsonAttribute[] = []): Attributes {
  return Object.fromEntries(list.map(({ key, value }) => [key, attributeValue(value)]));
}

function spanOf(span: JsonSpan, resource: Attributes, scope: Span["scope"]): Span {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? "",
    traceState: span.traceState ?? "",
    name: span.name,
    kind: KINDS[span.kind ?? 0] ?? "unspecified",
    scope,
    resource,
    attributes: attributesOf(span.attributes),
    startUnixNs: BigInt(span.startTimeUnixNano),
    endUnixNs: BigInt(span.endTimeUnixNano),
    events: (span.events ?? []).map((event) => ({
      name: event.name,
      timeUnixNs: BigInt(event.timeUnixNano),
      attributes: attributesOf(event.attributes),
    })),
    links: (span.links ?? []).map(({ traceId, spanId, traceState = "", attributes }) => ({
      traceId,
      spanId,
      traceState,
      attributes: attributesOf(attributes),
    })),
    status: { code: STATUSES[span.status?.code ?? 0] ?? "unset", message: span.status?.message ?? "" },
  };
}

function attributeValue({ stringValue, intValue, doubleValue, boolValue, arrayValue }: JsonValue): AttributeValue {
  if (intValue !== undefined) return Number(intValue);
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map((value) => String(attributeValue(value)));
  return stringValue ?? doubleValue ?? boolValue ?? "";
}

/* OTLP/JSON, as far as it is read here: 64-bit integers are strings. */
export interface JsonTraceRequest {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: readonly JsonAttribute[] };
    readonly scopeSpans?: readonly {
      readonly scope?: { readonly name?: string; readonly version?: string };
      readonly spans?: readonly JsonSpan[];
    }[];
  }[];
}

interface JsonSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind?: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly JsonAttribute[];
  readonly events?: readonly {
    readonly name: string;
    readonly timeUnixNano: string;
    readonly attributes?: readonly JsonAttribute[];
  }[];
  readonly links?: readonly {
    readonly traceId: string;
    readonly spanId: string;
    readonly traceState?: string;
    readonly attributes?: readonly JsonAttribute[];
  }[];
  readonly status?: { readonly code?: number; readonly message?: string };
}

export interface JsonAttribute {
  readonly key: string;
  readonly value: JsonValue;
}

interface JsonValue {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values?: readonly JsonValue[] };
}
