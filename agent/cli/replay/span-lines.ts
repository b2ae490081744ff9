/**
 * Spans as JSON lines, for people and scripts that replay a recording.
 *
 * Names are those of OTLP's JSON encoding, with the Resource on every line. Keys stand in a fixed order, so
 * that two runs can be compared as text.
 */
import type { Span } from "../../spans/span.ts";
import { sorted } from "./sorted.ts";

export function spanLine(span: Span): string {
  const { traceId, spanId, parentSpanId } = span.ids;
  return JSON.stringify({
    traceId,
    spanId,
    ...(parentSpanId === undefined ? {} : { parentSpanId }),
    ...(span.traceState === undefined ? {} : { traceState: span.traceState }),
    name: span.name,
    kind: span.kind,
    startTimeUnixNano: String(span.startUnixNs),
    endTimeUnixNano: String(span.endUnixNs),
    resource: sorted(span.resource),
    attributes: sorted(span.attributes),
    events: span.events.map(({ name, timeUnixNs, attributes }) => ({
      timeUnixNano: String(timeUnixNs),
      name,
      attributes: sorted(attributes),
    })),
    droppedEventsCount: span.droppedEvents,
    status: span.error ? "error" : "unset",
  });
}
