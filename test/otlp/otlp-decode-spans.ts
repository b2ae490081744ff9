/**
 * OTLP trace requests as plain spans, decoded by hand from opentelemetry-proto's field numbers, like
 * otlp-decode.ts: no code is shared with the serializer that wrote them.
 */
import type { Attributes } from "../../agent/model/attribute.ts";
import { attributes, type Fields, hex, message, messages, readFields, scalar, text } from "./otlp-decode.ts";

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
  readonly status: (typeof STATUSES)[number];
  /** The low byte is the trace flags. */
  readonly flags: number;
  readonly resource: Attributes;
  readonly scope: string;
}

export interface ReceivedEvent {
  readonly name: string;
  readonly timeUnixNs: bigint;
  readonly attributes: Attributes;
}

/* By their numbers in OTLP. */
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"] as const;
const STATUSES = ["unset", "ok", "error"] as const;

/** @param bytes an ExportTraceServiceRequest */
export function decodeSpans(bytes: Uint8Array): ReceivedSpan[] {
  return messages(readFields(bytes), 1).flatMap((resourceSpans) => {
    const resource = attributes(message(resourceSpans, 1), 1);
    return messages(resourceSpans, 2).flatMap((scopeSpans) => {
      const scope = text(message(scopeSpans, 1), 1);
      return messages(scopeSpans, 2).map((span) => ({ ...spanOf(span), resource, scope }));
    });
  });
}

function spanOf(span: Fields): Omit<ReceivedSpan, "resource" | "scope"> {
  return {
    traceId: hex(span, 1),
    spanId: hex(span, 2),
    parentSpanId: hex(span, 4),
    traceState: text(span, 3),
    name: text(span, 5),
    kind: KINDS[Number(scalar(span, 6))] ?? "unspecified",
    startUnixNs: scalar(span, 7),
    endUnixNs: scalar(span, 8),
    attributes: attributes(span, 9),
    events: messages(span, 11).map((event) => ({
      name: text(event, 2),
      timeUnixNs: scalar(event, 1),
      attributes: attributes(event, 3),
    })),
    droppedEvents: Number(scalar(span, 12)),
    status: STATUSES[Number(scalar(message(span, 15), 3))] ?? "unset",
    flags: Number(scalar(span, 16)),
  };
}
