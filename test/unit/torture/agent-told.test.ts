/** OTLP as an agent writes it → the oracle's terms: what the agent was told comes out again, number by number. */
import { describe, expect, test } from "vitest";
import { ConnectionFlag, EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { FlowEncoder } from "../../../agent/otlp/encode.ts";
import { FLOW_METRICS } from "../../../agent/series/instruments.ts";
import { Span } from "../../../agent/spans/span.ts";
import { SpanEncoder } from "../../../agent/spans/span-encoder.ts";
import { decodeMetrics } from "../../otlp/metric-points.ts";
import { seriesTotals } from "../../otlp/oracle.ts";
import { decodeSpans, type ReceivedSpan } from "../../otlp/spans.ts";
import { containerId, type Owner, ownerOf } from "../../torture/agent-cgroups.ts";
import { edgesOf } from "../../torture/agent-edges.ts";
import { recordOf } from "../../torture/agent-records.ts";
import { sortTold } from "../../torture/agent-told.ts";
import { flow, histogram, SCOPE } from "../otlp/flows.ts";
import { connectionOf, eventOf, OFFSET_NS, remoteOf } from "../spans/builders.ts";

const OWNER: Owner = { batch: 3, program: 41, puppet: "b" };

function resourceOf(owner: Owner) {
  return { "container.id": containerId(owner), "host.name": "vm" };
}

function received(connection: Connection, owner = OWNER): ReceivedSpan {
  const local = { id: "", resource: resourceOf(owner), label: "" };
  const span = new Span(connection, { local, remote: remoteOf({ kind: "loopback" }) }, OFFSET_NS);
  return decodeSpans(new SpanEncoder(SCOPE).encode([span]))[0] as ReceivedSpan;
}

const flag = (...bits: number[]) => bits.reduce((flags, bit) => flags | (1 << bit), 0);
/** What no span says, as recordOf() has it. */
const UNSAID = { key: { cgroup: 1n, netns: 0 } };

const RECORDS: Readonly<Record<string, Parameters<typeof connectionOf>[0]>> = {
  "one in order": {},
  "one of a server": { key: { ...UNSAID.key, role: "server" }, localPort: 8080, remotePort: 40_000 },
  "one with every number": {
    ...{ bytesSent: 1009, bytesReceived: 2003, segsOut: 31, segsIn: 37, retransmits: 29, outOfOrder: 3, spurious: 2 },
    ...{
      retransmitsSyn: 2,
      retransmitsFast: 3,
      retransmitsTimeout: 5,
      retransmitsTlp: 7,
      retransmitsNonCongestion: 12,
    },
    ...{ handshakeUs: 1_000_003, srttUs: 11, minRttUs: 13, lastRttUs: 17 },
    ...{ busyUs: 4_000, rwndLimitedUs: 2_000, sndbufLimitedUs: 1_000, pid: 23, state: "close_wait", comm: "torture-b" },
  },
  "one that was refused": { establishedNs: 0n, error: 111, localPort: 0 },
  "one that timed out": { establishedNs: 0n, error: 110 },
  "one that met a reset": { establishedNs: 0n, error: 104, flags: flag(ConnectionFlag.CONNECTION_RESET_RECEIVED) },
  "one whose host cannot be reached": { establishedNs: 0n, error: 113 },
  "one whose network cannot be reached": { establishedNs: 0n, error: 101 },
  "one without a port": { establishedNs: 0n, error: 99 },
  "one that was given up": { establishedNs: 0n, error: 0 },
  "one that it reset": { error: 104, flags: flag(ConnectionFlag.CONNECTION_RESET_SENT) },
  "one that was adopted": { establishedNs: 100_000_000_000n, flags: flag(ConnectionFlag.CONNECTION_ADOPTED) },
  "one that was restored and taken off": {
    establishedNs: 100_000_000_000n,
    flags: flag(ConnectionFlag.CONNECTION_RESTORED, ConnectionFlag.CONNECTION_CHECKPOINTED),
  },
  "one in a sockmap": { flags: flag(ConnectionFlag.CONNECTION_IN_SOCKMAP) },
};

describe("a span of a record is that record", () => {
  for (const [name, values] of Object.entries(RECORDS))
    test(name, () => {
      const record = connectionOf({ ...values, key: { ...UNSAID.key, ...values?.key } });

      expect(recordOf(received(record), Number(OFFSET_NS))).toEqual(record);
    });
});

test("of a connection that both ends reset, both are told where both have an event", () => {
  const flags = flag(ConnectionFlag.CONNECTION_RESET_SENT, ConnectionFlag.CONNECTION_RESET_RECEIVED);
  const events = [eventOf({ kind: "reset_received", segments: 0 }), eventOf({ kind: "reset_sent", segments: 0 })];

  expect(recordOf(received(connectionOf({ flags, error: 104, events })), 0).flags).toBe(flags);
});

test("an attempt that sent nothing has a flag, and no error that anybody could name", () => {
  const flags = flag(ConnectionFlag.CONNECTION_NOT_SENT);

  expect(recordOf(received(connectionOf({ establishedNs: 0n, flags })), 0)).toMatchObject({ flags, error: -1 });
});

/** Each counter its own prime or so; times in microseconds. */
const COUNTERS = Object.fromEntries(EDGE_COUNTERS.map((name, i) => [name, 1_000_003 + 7 * i]));
const OF_LISTENERS: ReadonlySet<string> = new Set(["listenerDrops"]);

for (const temporality of ["cumulative", "delta"] as const)
  test(`every counter of an edge is in one ${temporality} point or another, and comes out as it went in`, () => {
    const common = { resource: { id: "b", attributes: resourceOf(OWNER) }, counters: COUNTERS };
    const attributes = { "server.port": 8000, "flowspan.peer.kind": "loopback" };
    const histograms = {
      handshake: histogram({ 3: 1 }, COUNTERS.handshakeUs),
      rtt: histogram({ 5: 1 }, COUNTERS.rttUs),
      duration: histogram({ 7: 1 }, COUNTERS.durationUs),
    };
    const flows = [
      flow({
        ...common,
        ...histograms,
        role: "client",
        attributes: { ...attributes, "flowspan.role": "client" },
        open: 3,
      }),
      flow({ ...common, role: "listener", attributes: { "server.port": 8001 }, open: 5, limit: 128 }),
    ];
    const encoder = new FlowEncoder({ metrics: FLOW_METRICS, temporality, scope: SCOPE });
    const points = [...encoder.encode(flows)].flatMap(({ bytes }) => decodeMetrics(bytes));

    const { edges, unknown } = edgesOf(seriesTotals(points));

    const of = (isListener: boolean) =>
      Object.fromEntries(
        EDGE_COUNTERS.map((name) => [name, OF_LISTENERS.has(name) === isListener ? COUNTERS[name] : 0]),
      );
    const key = { cgroup: 1n, localAddress: "", remoteAddress: "", netns: 0, overflow: false };
    expect(unknown).toEqual([]);
    expect(edges).toEqual([
      { key: { ...key, role: "client", serverPort: 8000 }, counters: of(false), slots: new Map(), open: 3, limit: 0 },
      {
        key: { ...key, role: "listener", serverPort: 8001 },
        counters: of(true),
        slots: new Map(),
        open: 5,
        limit: 128,
      },
    ]);
  });

test("a series that is no number of an edge is said", () => {
  const [point] = seriesTotals([
    {
      metric: "flowspan.tcp.connections",
      ...{ resource: resourceOf(OWNER), attributes: { "error.type": "bored" } },
      ...{ startUnixNs: 1n, timeUnixNs: 2n, kind: "cumulative", value: 3 },
    },
  ]);

  expect(point && edgesOf([point]).unknown).toEqual(["flowspan.tcp.connections bored"]);
});

test("spans and points go to the program whose container they are of, others are strangers; those of a batch before are left out", () => {
  const spans = [0, 1, 2].map((before) => received(connectionOf(), { ...OWNER, program: 0, batch: 4 - before }));
  const point = (metric: string, value: number, attributes = {}) => ({
    ...{ metric, value, attributes, resource: resourceOf({ ...OWNER, program: 1 }), startUnixNs: 1n, timeUnixNs: 2n },
    ...({
      kind: "moment",
      scope: "",
      unit: "",
      instrument: "gauge",
      scale: undefined,
      count: undefined,
      exemplars: [],
    } as const),
  });
  const points = [
    point("flowspan.tcp.io", 23),
    point("flowspan.coverage.connections", 0.5, { "flowspan.netns": 78 }),
    point("flowspan.coverage.connections", 1, { "flowspan.netns": 78 }),
  ];

  const { programs, strangers } = sortTold(spans, points, { batch: OWNER.batch, namespaces: [77, 78] });

  expect(programs.map((told) => [told.spans.length, told.points.length])).toEqual([
    [1, 0],
    [0, 1],
  ]);
  expect(programs.map(({ coverage }) => coverage["flowspan.coverage.connections"])).toEqual([undefined, 1]);
  expect(strangers).toEqual([
    `a span tcp connection of ${JSON.stringify(resourceOf({ ...OWNER, program: 0, batch: 4 }))}`,
  ]);
});

test("a container's id says whose it is, and another's does not", () => {
  const id = containerId({ batch: 0x12ab, program: 0xfe, puppet: "c" });

  expect([id.length, ownerOf({ "container.id": id })]).toEqual([64, { batch: 0x12ab, program: 0xfe, puppet: "c" }]);
  expect([ownerOf({ "container.id": "0".repeat(64) }), ownerOf({})]).toEqual([undefined, undefined]);
});
