/** What becomes of a record: kind, ids, parent, status, events and attributes of its span. */
import { describe, expect, test } from "vitest";
import { ConnectionFlag, SAMPLE_NEVER, SampleReason } from "../../../agent/generated/layout.ts";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import { connectionSpanId, interimSpanId } from "../../../agent/spans/ids.ts";
import { Span } from "../../../agent/spans/span.ts";
import { connectionOf, eventOf, namesOf, OFFSET_NS, SECOND_NS, TRACE_ID } from "./builders.ts";

const bit = (...bits: number[]) => bits.reduce((sum, one) => sum | (1 << one), 0);
const UNIX = (ns: bigint) => ns + OFFSET_NS;

/** A span with what it makes of its record only when it is asked. */
function whole(span: Span): object {
  const { ids, name, kind, startUnixNs, endUnixNs, error } = span;
  const { resource, traceState, droppedEvents, events, attributes } = span;
  const own = { ...ids, name, kind, startUnixNs, endUnixNs, error };
  return { ...own, resource, traceState, droppedEvents, events, attributes };
}

describe("a connection that opened and closed in order", () => {
  test("is one span with everything that the record says", () => {
    expect(whole(new Span(connectionOf(), namesOf(), OFFSET_NS))).toEqual({
      traceId: TRACE_ID,
      spanId: connectionSpanId(TRACE_ID, "client"),
      parentSpanId: undefined,
      traceState: "ot=th:0",
      name: "tcp connection",
      kind: "client",
      startUnixNs: UNIX(100n * SECOND_NS),
      endUnixNs: UNIX(101n * SECOND_NS),
      resource: { "service.name": "front" },
      error: false,
      droppedEvents: 0,
      events: [
        { name: "flowspan.tcp.established", timeUnixNs: UNIX(100_002_000_000n), attributes: {} },
        {
          name: "flowspan.tcp.close",
          timeUnixNs: UNIX(101n * SECOND_NS),
          attributes: { "network.connection.state": "fin_wait_2" },
        },
      ],
      attributes: {
        "network.transport": "tcp",
        "network.type": "ipv4",
        "network.local.address": "10.0.0.1",
        "network.local.port": 40_000,
        "network.peer.address": "10.0.0.2",
        "network.peer.port": 8080,
        "server.address": "10.0.0.2",
        "server.port": 8080,
        "service.peer.name": "cart",
        "service.peer.namespace": "shop",
        "flowspan.peer.kind": "pod",
        "flowspan.peer.k8s.pod.name": "cart-7d9f",
        "flowspan.tcp.bytes.sent": 23,
        "flowspan.tcp.bytes.received": 29,
        "flowspan.tcp.segments.sent": 7,
        "flowspan.tcp.segments.received": 5,
        "flowspan.tcp.retransmit.count": 0,
        "flowspan.tcp.rtt.min": 0.00125,
        "flowspan.tcp.rtt.smoothed": 0.0015,
        "flowspan.tcp.rtt.last": 0.00175,
        "flowspan.tcp.handshake.time": 0.002,
        "network.connection.state": "fin_wait_2",
        "flowspan.task.pid": 4711,
        "flowspan.task.name": "curl",
      },
    });
  });

  test("is the server's span in the same trace, with the client's span as its parent and the client's address", () => {
    const key = { role: "server", localAddress: "2001:db8::2", remoteAddress: "2001:db8::1" } as const;
    const record = connectionOf({ key, localPort: 8080, remotePort: 40_000 });

    const { ids, kind, attributes } = new Span(record, namesOf(), OFFSET_NS);

    const client = new Span(connectionOf(), namesOf(), 0n).ids;
    expect([ids.traceId, kind, ids.parentSpanId, ids.spanId === client.spanId]).toEqual([
      client.traceId,
      "server",
      client.spanId,
      false,
    ]);
    expect(attributes).toMatchObject({
      "network.type": "ipv6",
      "server.address": "2001:db8::2",
      "server.port": 8080,
      "client.address": "2001:db8::1",
      "client.port": 40_000,
    });
  });

  test("has its own port as the server's where nobody knows which end opened an adopted connection", () => {
    const key = { role: "server", serverPort: 0 } as const;
    const record = connectionOf({ key, localPort: 40_001, remotePort: 40_000 });

    const { kind, attributes } = new Span(record, namesOf(), OFFSET_NS);

    expect({ kind, port: attributes["server.port"], client: attributes["client.port"] }).toEqual({
      kind: "server",
      port: 40_001,
      client: 40_000,
    });
  });

  test("has no round trip where no segment of its end was measured: what the kernel has is of the handshake", () => {
    const record = connectionOf({ srttUs: 875_000, minRttUs: 1_000_000, lastRttUs: 0 });

    const names = Object.keys(new Span(record, namesOf(), OFFSET_NS).attributes);

    expect(names.filter((name) => name.includes(".rtt."))).toEqual([]);
  });

  test("has no addresses or ids of a handshake's sequence numbers among its attributes", () => {
    const names = Object.keys(new Span(connectionOf(), namesOf(), OFFSET_NS).attributes);

    expect(names.filter((name) => /isn|seq/.test(name))).toEqual([]);
  });
});

describe("the parent of a server's span", () => {
  const server = { key: { role: "server" } } as const;

  test.each<[RemoteEnd["kind"], boolean]>([
    ["pod", true],
    ["node", true],
    ["service", true],
    ["host", true],
    ["loopback", true],
    ["cidr", false],
    ["external", false],
    ["unknown", false],
  ])("of a client that is %s: %s", (kind, has) => {
    const { parentSpanId } = new Span(connectionOf(server), namesOf({ kind }), OFFSET_NS).ids;

    expect(parentSpanId).toBe(has ? connectionSpanId(TRACE_ID, "client") : undefined);
  });

  test("is missing where the connection never came to be: its trace id is its own", () => {
    const record = connectionOf({ ...server, establishedNs: 0n, error: 104 });

    expect(new Span(record, namesOf(), OFFSET_NS).ids.parentSpanId).toBeUndefined();
  });

  test("is there for an adopted connection, whose beginning nobody saw", () => {
    const flags = bit(ConnectionFlag.CONNECTION_ADOPTED);
    const { ids, attributes, error } = new Span(
      connectionOf({ ...server, establishedNs: 0n, flags }),
      namesOf(),
      OFFSET_NS,
    );

    expect([ids.parentSpanId, attributes["flowspan.tcp.adopted"], error]).toEqual([
      connectionSpanId(TRACE_ID, "client"),
      true,
      false,
    ]);
  });
});

describe("how it ended", () => {
  const { CONNECTION_RESET_SENT: SENT, CONNECTION_RESET_RECEIVED: RECEIVED } = ConnectionFlag;
  const { CONNECTION_NOT_SENT: NOT_SENT } = ConnectionFlag;
  const FAILED = { establishedNs: 0n };

  test.each([
    ["in order", {}, undefined, undefined],
    ["refused", { ...FAILED, error: 111 }, "refused", undefined],
    ["refused by a reset that was seen", { ...FAILED, error: 111, flags: bit(RECEIVED) }, "refused", "remote"],
    ["without an answer", { ...FAILED, error: 110 }, "timed_out", undefined],
    ["without a route to the host", { ...FAILED, error: 113 }, "host_unreachable", undefined],
    ["without a route to the network", { ...FAILED, error: 101 }, "net_unreachable", undefined],
    ["given up by the application", FAILED, "cancelled", undefined],
    ["for want of a local port", { ...FAILED, error: 99, flags: bit(NOT_SENT) }, "no_local_port", undefined],
    ["before a SYN was sent", { ...FAILED, flags: bit(NOT_SENT) }, "not_sent", undefined],
    ["by another error", { ...FAILED, error: 1 }, "_OTHER", undefined],
    ["reset by the peer in mid-stream", { error: 104, flags: bit(RECEIVED) }, "reset", "remote"],
    ["reset by the peer after it closed", { error: 32, flags: bit(RECEIVED) }, "reset", "remote"],
    ["by an operator who ends the socket", { error: 103, flags: bit(SENT) }, "reset", "local"],
    ["reset by this end", { flags: bit(SENT) }, "reset", "local"],
    ["by a timeout in mid-stream", { error: 110 }, "timed_out", undefined],
  ])("%s", (_, values, errorType, resetBy) => {
    const { error, attributes } = new Span(connectionOf(values), namesOf(), OFFSET_NS);

    expect([error, attributes["error.type"], attributes["flowspan.tcp.reset.by"]]).toEqual([
      errorType !== undefined,
      errorType,
      resetBy,
    ]);
  });

  test.each([
    ["reset_received", "remote"],
    ["reset_sent", "local"],
  ] as const)("where both ends reset it, the first one counts: %s", (kind, by) => {
    const other = kind === "reset_sent" ? "reset_received" : "reset_sent";
    const events = [eventOf({ kind, segments: 0 }), eventOf({ kind: other, segments: 0 })];

    const { attributes } = new Span(connectionOf({ flags: bit(SENT, RECEIVED), events }), namesOf(), OFFSET_NS);

    expect(attributes["flowspan.tcp.reset.by"]).toBe(by);
  });

  test("a connection that never came to be has no established event, and its SYNs as events", () => {
    const syn = (second: bigint) => eventOf({ kind: "retransmit_syn", state: "syn_sent", timeNs: second * SECOND_NS });
    const record = connectionOf({
      ...FAILED,
      error: 110,
      state: "syn_sent",
      retransmits: 2,
      retransmitsSyn: 2,
      events: [syn(101n), syn(103n)],
      endNs: 107n * SECOND_NS,
    });

    expect(new Span(record, namesOf(), OFFSET_NS).events.map(({ name, timeUnixNs }) => [name, timeUnixNs])).toEqual([
      ["flowspan.tcp.retransmit", UNIX(101n * SECOND_NS)],
      ["flowspan.tcp.retransmit", UNIX(103n * SECOND_NS)],
      ["flowspan.tcp.close", UNIX(107n * SECOND_NS)],
    ]);
  });
});

describe("events", () => {
  test("say what happened, in order of time, the established one among them", () => {
    const events = [
      eventOf({ kind: "retransmit_syn", state: "syn_received", recovery: "open", timeNs: 100_001_000_000n }),
      eventOf({ kind: "retransmit_fast", segments: 3, recovery: "recovery", timeNs: 100_500_000_000n }),
      eventOf({ kind: "zero_window", segments: 0, timeNs: 100_600_000_000n }),
      eventOf({ kind: "reset_received", segments: 0, timeNs: 100_900_000_000n }),
    ];

    const span = new Span(connectionOf({ events, retransmits: 4 }), namesOf(), 0n);

    expect(span.events).toEqual([
      {
        name: "flowspan.tcp.retransmit",
        timeUnixNs: 100_001_000_000n,
        attributes: {
          "flowspan.tcp.retransmit.type": "syn",
          "flowspan.tcp.retransmit.segments": 1,
          "network.connection.state": "syn_received",
          "flowspan.tcp.recovery.state": "open",
        },
      },
      { name: "flowspan.tcp.established", timeUnixNs: 100_002_000_000n, attributes: {} },
      {
        name: "flowspan.tcp.retransmit",
        timeUnixNs: 100_500_000_000n,
        attributes: {
          "flowspan.tcp.retransmit.type": "fast",
          "flowspan.tcp.retransmit.segments": 3,
          "network.connection.state": "established",
          "flowspan.tcp.recovery.state": "recovery",
        },
      },
      {
        name: "flowspan.tcp.zero_window",
        timeUnixNs: 100_600_000_000n,
        attributes: { "network.connection.state": "established" },
      },
      {
        name: "flowspan.tcp.reset",
        timeUnixNs: 100_900_000_000n,
        attributes: { "flowspan.tcp.reset.by": "remote", "network.connection.state": "established" },
      },
      {
        name: "flowspan.tcp.close",
        timeUnixNs: 101_000_000_000n,
        attributes: { "network.connection.state": "fin_wait_2" },
      },
    ]);
    expect(span.droppedEvents).toBe(0);
  });

  test("that found no room are counted by what was sent again", () => {
    const events = [eventOf({ segments: 2 }), eventOf({ kind: "zero_window", segments: 0 })];

    expect(new Span(connectionOf({ retransmits: 23, events }), namesOf(), OFFSET_NS).droppedEvents).toBe(21);
  });
});

test("an interim record is a child of the connection's own span, with what grew since the last and neither end nor status", () => {
  const flags = bit(ConnectionFlag.CONNECTION_INTERIM, ConnectionFlag.CONNECTION_RESET_RECEIVED);
  const record = connectionOf({ flags, interims: 3, state: "established", error: 104 });

  const { ids, name, kind, error, events, attributes } = new Span(record, namesOf(), OFFSET_NS);

  expect({ ...ids, name, kind, error, events }).toEqual({
    name: "tcp connection interim",
    kind: "internal",
    traceId: TRACE_ID,
    spanId: interimSpanId(TRACE_ID, "client", 3),
    parentSpanId: connectionSpanId(TRACE_ID, "client"),
    error: false,
    events: [],
  });
  expect(attributes).toMatchObject({ "flowspan.tcp.interim.index": 3, "flowspan.tcp.bytes.sent": 23 });
  expect(attributes).not.toHaveProperty("error.type");
  expect(attributes).not.toHaveProperty("flowspan.tcp.handshake.time");
});

test("the connection's own span says how many interim records there were", () => {
  const { attributes } = new Span(connectionOf({ interims: 4 }), namesOf(), OFFSET_NS);

  expect(attributes["flowspan.tcp.interim.count"]).toBe(4);
});

test("why it was kept is said, and a threshold only where a probability can be told", () => {
  const { SAMPLE_EVERY_NTH, SAMPLE_RANDOM, SAMPLE_ADAPTIVE } = SampleReason;
  const spans = [
    connectionOf({ kept: bit(SAMPLE_ADAPTIVE), sampleThreshold: 0n }),
    connectionOf({ kept: bit(SAMPLE_RANDOM, SAMPLE_EVERY_NTH), sampleThreshold: 0xc0_0000_0000_0000n }),
    connectionOf({ kept: bit(SAMPLE_EVERY_NTH), sampleThreshold: SAMPLE_NEVER }),
  ].map((record) => new Span(record, namesOf(), OFFSET_NS));

  expect(spans.map(({ traceState, attributes }) => [traceState, attributes["flowspan.sampling.reasons"]])).toEqual([
    ["ot=th:0", ["adaptive"]],
    ["ot=th:c", ["random", "every_nth"]],
    [undefined, ["every_nth"]],
  ]);
});

test("what was never measured is left out, not said to be 0", () => {
  const nothing = {
    minRttUs: 0xffff_ffff,
    srttUs: 0,
    lastRttUs: 0,
    handshakeUs: 0,
    pid: 0,
    comm: "",
    state: undefined,
  };

  const { attributes } = new Span(
    connectionOf(nothing),
    namesOf({ name: undefined, namespace: undefined, podName: undefined }),
    OFFSET_NS,
  );

  const left = /rtt|handshake|task|service\.peer|k8s|state/;
  expect(Object.keys(attributes).filter((name) => left.test(name))).toEqual([]);
});

test("an end before the start, as two CPUs' clocks may say, is a span of no length", () => {
  const { startUnixNs, endUnixNs } = new Span(connectionOf({ endNs: 100n * SECOND_NS - 5n }), namesOf(), OFFSET_NS);

  expect(endUnixNs).toBe(startUnixNs);
});
