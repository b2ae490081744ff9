/**
 * Spans → the bytes of one OTLP request, by the stock serializer: what ours are held against.
 *
 * Spans of one Resource must come with the same object: the serializer groups by identity. Sampled and
 * random trace flags are set (W3C Trace Context level 2): a keyed hash is as good as random to whoever has no key.
 */
import {
  type HrTime,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type TraceState,
} from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { Attributes } from "../../../agent/model/attribute.ts";
import type { InstrumentationScope } from "../../../agent/otlp/plan.ts";
import type { SpanEvent } from "../../../agent/spans/events.ts";
import type { Span } from "../../../agent/spans/span.ts";

type ReadableSpan = Parameters<typeof ProtobufTraceSerializer.serializeRequest>[0][number];
type StockAttributes = ReadableSpan["attributes"];
type StockResource = ReadableSpan["resource"];

const KINDS = { client: SpanKind.CLIENT, server: SpanKind.SERVER, internal: SpanKind.INTERNAL } as const;
/** Level 2's flag: the low 56 bits of the trace id are random. */
const RANDOM_TRACE_ID = 0x02;
const TRACE_FLAGS = TraceFlags.SAMPLED | RANDOM_TRACE_ID;
const NS = 1_000_000_000n;

/** The stock form of a Resource, once for each object that attributes are kept in. */
const resources = new WeakMap<Attributes, StockResource>();

export function stockBytes(spans: readonly Span[], scope: InstrumentationScope): Uint8Array {
  const bytes = ProtobufTraceSerializer.serializeRequest(spans.map((span) => readable(span, scope)));
  if (bytes === undefined) throw new Error("the serializer gave no bytes");
  return bytes;
}

function readable(span: Span, scope: InstrumentationScope): ReadableSpan {
  const { attributes, error, startUnixNs, endUnixNs } = span;
  const { traceId, spanId, parentSpanId } = span.ids;
  const traceState = span.traceState === undefined ? undefined : writtenState(span.traceState);
  const context: SpanContext = { traceId, spanId, traceFlags: TRACE_FLAGS, ...(traceState && { traceState }) };
  return {
    name: span.name,
    kind: KINDS[span.kind],
    spanContext: () => context,
    // Of a server's span it is another agent's.
    ...(parentSpanId === undefined
      ? {}
      : {
          parentSpanContext: {
            traceId,
            spanId: parentSpanId,
            traceFlags: TRACE_FLAGS,
            isRemote: span.kind === "server",
          },
        }),
    startTime: hrTime(startUnixNs),
    endTime: hrTime(endUnixNs),
    duration: hrTime(endUnixNs - startUnixNs),
    status: { code: error ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: attributes as StockAttributes,
    events: span.events.map(stockEvent),
    links: [],
    ended: true,
    resource: stockResource(span.resource),
    instrumentationScope: scope,
    droppedAttributesCount: 0,
    droppedEventsCount: span.droppedEvents,
    droppedLinksCount: 0,
  };
}

function stockEvent({ name, timeUnixNs, attributes }: SpanEvent): ReadableSpan["events"][number] {
  return { name, time: hrTime(timeUnixNs), attributes: attributes as StockAttributes, droppedAttributesCount: 0 };
}

function stockResource(attributes: Attributes): StockResource {
  const known = resources.get(attributes);
  if (known !== undefined) return known;
  const resource = resourceFromAttributes(attributes as StockAttributes);
  resources.set(attributes, resource);
  return resource;
}

/** Only ever written out: nobody looks into it or changes it. */
function writtenState(text: string): TraceState {
  const state: TraceState = {
    serialize: () => text,
    get: () => undefined,
    set: () => state,
    unset: () => state,
  };
  return state;
}

function hrTime(unixNs: bigint): HrTime {
  return [Number(unixNs / NS), Number(unixNs % NS)];
}
