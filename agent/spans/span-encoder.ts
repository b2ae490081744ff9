/**
 * Spans → the bytes of one OTLP ExportTraceServiceRequest:
 *
 *      request ─ ResourceSpans (one a Resource) ─ ScopeSpans (ours) ─ Span
 *
 * What many spans have in common is encoded once: the Resource of a pod, and the attributes of an edge's ends. Both hang
 * on the objects that they are made of, so that new names are new objects and nothing is ever out of date. Field numbers
 * are those of opentelemetry-proto 1.x; `test/unit/spans/` holds the bytes against the stock serializer's, byte by byte.
 */

import type { Attributes } from "../model/attribute.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { RemoteEnd } from "../model/names.ts";
import { encodeAttributes, FIRST_FIELD_TAG, writeAttribute, writeAttributes } from "../otlp/attribute-bytes.ts";
import { encodeScope, type InstrumentationScope } from "../otlp/plan.ts";
import { encodeMessage, encodeText, WireWriter } from "../otlp/wire.ts";
import { type AttributeSink, addEnds, attributesOf } from "./attributes.ts";
import type { EventSink } from "./events.ts";
import type { Span } from "./span.ts";

const ATTRIBUTE_TAG = 0x4a;
const EVENT_ATTRIBUTE_TAG = 0x1a;
/** SpanKind. */
const KINDS = { internal: 1, server: 2, client: 3 } as const;
/** What a span takes besides texts, attributes and events; an event likewise. */
const SPAN_ROOM = 160;
const EVENT_ROOM = 40;
/** Bytes that lengths are expected to take: of a span, of an event. */
const SPAN_LENGTH = 2;
const EVENT_LENGTH = 1;

/**
 * The flags of a span: sampled, and the low 56 bits of its trace id are random (W3C Trace Context level 2: a keyed hash is
 * as good as random to whoever has no key), and it is known whether its parent is another process's.
 */
const FLAGS = 0x01 | 0x02 | 0x100;
const PARENT_IS_REMOTE = 0x200;

interface EncodedEnds {
  readonly remote: RemoteEnd;
  readonly bytes: Uint8Array;
}

/** Not reentrant: the buffer is shared. */
export class SpanEncoder {
  readonly #scope: Uint8Array;
  readonly #scopeTail: Uint8Array;
  readonly #writer = new WireWriter();
  readonly #resources = new WeakMap<Attributes, Uint8Array>();
  readonly #ends = new WeakMap<EdgeKey, EncodedEnds>();
  readonly #own: AttributeSink = {
    add: (name, value) => writeAttribute(this.#writer, ATTRIBUTE_TAG, name, value),
  };
  readonly #events: EventSink = {
    add: (name, timeUnixNs, attributes) => this.#writeEvent(name, timeUnixNs, attributes),
  };

  constructor(scope: InstrumentationScope) {
    this.#scope = encodeScope(scope);
    this.#scopeTail = encodeText(0x1a, scope.schemaUrl);
  }

  /**
   * Those of one Resource stand together, in the order in which they came.
   *
   * @returns bytes that the caller owns
   */
  encode(spans: readonly Span[]): Uint8Array {
    const w = this.#writer;
    w.at = 0;
    for (const [resource, members] of byResource(spans)) {
      const bytes = this.#resourceBytes(resource);
      w.reserve(bytes.length + this.#scope.length + SPAN_ROOM);
      w.byte(0x0a);
      const resourceSpans = w.open();
      w.raw(bytes);
      w.byte(0x12);
      const scopeSpans = w.open();
      w.raw(this.#scope);
      for (const span of members) this.#writeSpan(span);
      w.reserve(this.#scopeTail.length);
      w.raw(this.#scopeTail);
      w.close(scopeSpans);
      w.close(resourceSpans);
    }
    return w.take();
  }

  #writeSpan(span: Span): void {
    const w = this.#writer;
    const { traceState } = span;
    const { traceId, spanId, parentSpanId } = span.ids;
    const ends = this.#endsBytes(span);
    w.reserve(SPAN_ROOM + ends.length);
    w.byte(0x12);
    const start = w.open(SPAN_LENGTH);
    w.byte(0x0a);
    w.hex(traceId);
    w.byte(0x12);
    w.hex(spanId);
    if (traceState !== undefined) {
      w.byte(0x1a);
      w.text(traceState);
    }
    w.reserve(SPAN_ROOM + ends.length);
    if (parentSpanId !== undefined) {
      w.byte(0x22);
      w.hex(parentSpanId);
    }
    w.byte(0x2a);
    w.text(span.name);
    w.reserve(SPAN_ROOM + ends.length);
    w.byte(0x30);
    w.byte(KINDS[span.kind]);
    w.byte(0x39);
    w.bigFixed64(span.startUnixNs);
    w.byte(0x41);
    w.bigFixed64(span.endUnixNs);
    w.raw(ends);
    span.addOwn(this.#own);
    w.reserve(SPAN_ROOM);
    w.byte(0x50);
    w.byte(0);
    span.addEvents(this.#events);
    this.#writeRest(span, parentSpanId !== undefined);
    w.close(start, SPAN_LENGTH);
  }

  /** The stock serializer writes counts that are 0, and a status that is unset: so do we. */
  #writeRest({ droppedEvents, error, kind }: Span, hasParent: boolean): void {
    const w = this.#writer;
    w.reserve(SPAN_ROOM);
    w.byte(0x60);
    w.varint(droppedEvents);
    w.byte(0x70);
    w.byte(0);
    w.byte(0x7a);
    w.byte(2);
    w.byte(0x18);
    w.byte(error ? 2 : 0);
    w.byte(0x85);
    w.byte(0x01);
    w.fixed32(kind === "server" && hasParent ? FLAGS | PARENT_IS_REMOTE : FLAGS);
  }

  #writeEvent(name: string, timeUnixNs: bigint, attributes: Attributes): void {
    const w = this.#writer;
    w.reserve(EVENT_ROOM);
    w.byte(0x5a);
    const start = w.open(EVENT_LENGTH);
    w.byte(0x09);
    w.bigFixed64(timeUnixNs);
    w.byte(0x12);
    w.text(name);
    writeAttributes(w, attributes, EVENT_ATTRIBUTE_TAG);
    w.reserve(EVENT_ROOM);
    w.byte(0x20);
    w.byte(0);
    w.close(start, EVENT_LENGTH);
  }

  /** The attributes of both ends. */
  #endsBytes({ connection: { key }, names: { remote } }: Span): Uint8Array {
    const known = this.#ends.get(key);
    if (known?.remote === remote) return known.bytes;
    const attributes = attributesOf((into) => addEnds(into, key, remote));
    const bytes = encodeAttributes(attributes, ATTRIBUTE_TAG);
    this.#ends.set(key, { remote, bytes });
    return bytes;
  }

  /** ResourceSpans.resource, tag, length and a count of 0 dropped attributes included. */
  #resourceBytes(attributes: Attributes): Uint8Array {
    let bytes = this.#resources.get(attributes);
    if (bytes === undefined) {
      const resource = Buffer.concat([encodeAttributes(attributes, FIRST_FIELD_TAG), Uint8Array.of(0x10, 0)]);
      bytes = encodeMessage(0x0a, resource);
      this.#resources.set(attributes, bytes);
    }
    return bytes;
  }
}

/** By the Resource's object, in the order of first sight. */
function byResource(spans: readonly Span[]): Map<Attributes, Span[]> {
  const groups = new Map<Attributes, Span[]>();
  for (const span of spans) {
    const { resource } = span;
    const group = groups.get(resource);
    if (group === undefined) groups.set(resource, [span]);
    else group.push(span);
  }
  return groups;
}
