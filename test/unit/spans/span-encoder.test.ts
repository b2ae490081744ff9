/**
 * A record of the kernel as the bytes of an OTLP request, read back by a decoder that shares no code with the
 * serializer: what a Collector gets, whole. And any spans at all against the stock serializer's bytes.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ConnectionFlag, EventKind, SampleReason } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { FRAMES } from "../../../agent/source/decode.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import { Span } from "../../../agent/spans/span.ts";
import { SpanEncoder } from "../../../agent/spans/span-encoder.ts";
import { decodeSpans } from "../../otlp/spans.ts";
import { connectionFrame } from "../source/frames-builder.ts";
import { anySpans } from "./any-span.ts";
import { connectionOf, namesOf, OFFSET_NS, remoteOf, TRACE_ID } from "./builders.ts";
import { stockBytes } from "./stock.ts";

const SCOPE = { name: "flowspan", version: "1.2.3", schemaUrl: "https://opentelemetry.io/schemas/1.45.0" };
const UNIX = 1_700_000_000_000_000_000n;

const encoded = (spans: readonly Span[]) => new SpanEncoder(SCOPE).encode(spans);

function decoded(frame: ReturnType<typeof connectionFrame>): Connection {
  const event = FRAMES.decode(frame.kind, Buffer.from(frame.payload), new RowPages(0));
  if (typeof event === "string" || event.kind !== "connection") throw new Error(`not decoded: ${String(event)}`);
  return event;
}

test("the server's end of a connection with trouble arrives as the record said it", () => {
  const frame = connectionFrame({
    key: { role: "server", localAddress: "10.0.0.2", remoteAddress: "10.0.0.1" },
    traceId: Buffer.from(TRACE_ID, "hex"),
    startNs: 100_000_000_000n,
    establishedNs: 100_001_000_000n,
    endNs: 123_456_789_123n,
    bytesSent: 2 ** 40,
    bytesReceived: 23,
    sampleThreshold: 0xfd70_a000_0000_00n,
    segsOut: 31,
    segsIn: 37,
    retransmits: 7,
    retransmitsTimeout: 2,
    retransmitsFast: 5,
    spurious: 1,
    outOfOrder: 3,
    handshakeUs: 1_000,
    srttUs: 250_000,
    minRttUs: 125_000,
    lastRttUs: 500_000,
    busyUs: 4_000_000,
    rwndLimitedUs: 1_500_000,
    sndbufLimitedUs: 250_000,
    pid: 4711,
    interims: 2,
    localPort: 8080,
    remotePort: 40_001,
    error: 104,
    flags: 1 << ConnectionFlag.CONNECTION_RESET_RECEIVED,
    kept: (1 << SampleReason.SAMPLE_RANDOM) | (1 << SampleReason.SAMPLE_EVERY_NTH),
    state: 1,
    comm: "nginx",
    events: [
      { timeNs: 101_000_000_000n, kind: EventKind.EVENT_RETRANSMIT_TIMEOUT, segments: 2, state: 1, recovery: 4 },
      { timeNs: 123_456_000_000n, kind: EventKind.EVENT_RESET_RECEIVED, state: 1 },
    ],
  });

  const bytes = encoded([new Span(decoded(frame), namesOf(), OFFSET_NS)]);

  expect(decodeSpans(bytes)).toEqual([
    {
      scope: "flowspan",
      scopeVersion: "1.2.3",
      links: [],
      statusMessage: "",
      resource: { "service.name": "front" },
      traceId: TRACE_ID,
      spanId: "52ef58573fcc8590",
      parentSpanId: "e9f60328c73f4336",
      traceState: "ot=th:fd70a",
      name: "tcp connection",
      kind: "server",
      status: "error",
      // Sampled, random trace id; the parent is known to be remote.
      flags: 0x303,
      startUnixNs: UNIX + 100_000_000_000n,
      endUnixNs: UNIX + 123_456_789_123n,
      droppedEvents: 5,
      events: [
        { name: "flowspan.tcp.established", timeUnixNs: UNIX + 100_001_000_000n, attributes: {} },
        {
          name: "flowspan.tcp.retransmit",
          timeUnixNs: UNIX + 101_000_000_000n,
          attributes: {
            "flowspan.tcp.retransmit.type": "timeout",
            "flowspan.tcp.retransmit.segments": 2,
            "network.connection.state": "established",
            "flowspan.tcp.recovery.state": "loss",
          },
        },
        {
          name: "flowspan.tcp.reset",
          timeUnixNs: UNIX + 123_456_000_000n,
          attributes: { "flowspan.tcp.reset.by": "remote", "network.connection.state": "established" },
        },
        {
          name: "flowspan.tcp.close",
          timeUnixNs: UNIX + 123_456_789_123n,
          attributes: { "network.connection.state": "established" },
        },
      ],
      attributes: {
        "network.transport": "tcp",
        "network.type": "ipv4",
        "network.local.address": "10.0.0.2",
        "network.local.port": 8080,
        "network.peer.address": "10.0.0.1",
        "network.peer.port": 40_001,
        "server.address": "10.0.0.2",
        "server.port": 8080,
        "client.address": "10.0.0.1",
        "client.port": 40_001,
        "flowspan.tcp.verdict": "unknown",
        "flowspan.tcp.verdict.reason": "reset",
        "flowspan.tcp.verdict.value": 1,
        "service.peer.name": "cart",
        "service.peer.namespace": "shop",
        "flowspan.peer.kind": "pod",
        "flowspan.peer.k8s.pod.name": "cart-7d9f",
        "flowspan.tcp.bytes.sent": 2 ** 40,
        "flowspan.tcp.bytes.received": 23,
        "flowspan.tcp.segments.sent": 31,
        "flowspan.tcp.segments.received": 37,
        "flowspan.tcp.segments.out_of_order": 3,
        "flowspan.tcp.retransmit.count": 7,
        "flowspan.tcp.retransmit.fast": 5,
        "flowspan.tcp.retransmit.timeout": 2,
        "flowspan.tcp.retransmit.spurious": 1,
        "flowspan.tcp.rtt.min": 0.125,
        "flowspan.tcp.rtt.smoothed": 0.25,
        "flowspan.tcp.rtt.last": 0.5,
        "flowspan.tcp.handshake.time": 0.001,
        "flowspan.tcp.send.busy_time": 4,
        "flowspan.tcp.send.receive_window_limited_time": 1.5,
        "flowspan.tcp.send.send_buffer_limited_time": 0.25,
        "network.connection.state": "established",
        "error.type": "reset",
        "flowspan.tcp.reset.by": "remote",
        "flowspan.tcp.interim.count": 2,
        "flowspan.sampling.reasons": ["random", "every_nth"],
        "flowspan.task.pid": 4711,
        "flowspan.task.name": "nginx",
      },
    },
  ]);
});

test("spans of one Resource share it, and every span keeps its own", () => {
  const other = { ...namesOf(), local: { id: "b", label: "b", resource: { "service.name": "back" } } };
  const mine = namesOf();
  const spans = [mine, other, mine].map((names, pid) => new Span(connectionOf({ pid }), names, OFFSET_NS));

  const read = decodeSpans(encoded(spans));

  expect(read.map(({ resource, attributes }) => [resource["service.name"], attributes["flowspan.task.pid"]])).toEqual([
    ["front", undefined],
    ["front", 2],
    ["back", 1],
  ]);
});

test("a root has no parent, and no span of order has a status", () => {
  const [root] = decodeSpans(encoded([new Span(connectionOf(), namesOf(), OFFSET_NS)]));

  expect([root?.kind, root?.parentSpanId, root?.status, root?.flags]).toEqual(["client", "", "unset", 0x103]);
});

test("any spans are the bytes that the stock serializer makes of them", () => {
  const encoder = new SpanEncoder(SCOPE);
  fc.assert(
    fc.property(fc.array(anySpans, { minLength: 1, maxLength: 3 }), (requests) => {
      for (const spans of requests) {
        const [ours, stock] = [encoder.encode(spans), stockBytes(spans, SCOPE)];
        if (!Buffer.from(stock).equals(ours)) expect(decodeSpans(ours)).toEqual(decodeSpans(stock));
        expect(Buffer.from(ours).equals(stock)).toBe(true);
      }
    }),
  );
});

test("an edge whose peer has another name from now on is not called what it was", () => {
  const { key } = connectionOf();
  const encoder = new SpanEncoder(SCOPE);
  const names = ["cart", "basket", "cart"].map((name) => ({ local: namesOf().local, remote: remoteOf({ name }) }));

  const spans = names.map((each) => new Span({ ...connectionOf(), key }, each, OFFSET_NS));

  const read = spans.flatMap((span) => decodeSpans(encoder.encode([span])));
  expect(read.map(({ attributes }) => attributes["service.peer.name"])).toEqual(["cart", "basket", "cart"]);
});
