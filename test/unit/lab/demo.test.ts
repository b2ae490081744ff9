import { expect, test } from "vitest";
import type { MetricDescriptor } from "../../../agent/generated/semconv.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_ROLE,
  ATTR_NETWORK_IO_DIRECTION,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
  ATTR_SERVICE_PEER_NAME,
  ATTR_SERVICE_PEER_NAMESPACE,
  METRIC_FLOWSPAN_LOSSES,
  METRIC_FLOWSPAN_PACKET_DROPS,
  METRIC_FLOWSPAN_TCP_CONNECTIONS,
  METRIC_FLOWSPAN_TCP_IO,
  METRIC_FLOWSPAN_TCP_RTT,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import { DemoFindings } from "../../lab/demo/demo-findings.ts";
import { DemoRows, quantile } from "../../lab/demo/demo-rows.ts";
import { bytesText, pictureLines, secondsText } from "../../lab/demo/demo-table.ts";
import type { ReceivedLog } from "../../otlp/logs.ts";
import type { ReceivedPoint } from "../../otlp/metric-points.ts";

const PLAIN = { columns: 200, lines: 50, colour: false };
const TRANSMIT = { [ATTR_NETWORK_IO_DIRECTION]: "transmit" };

function point(metric: MetricDescriptor, value: number, more: Partial<ReceivedPoint> = {}): ReceivedPoint {
  const { attributes, ...rest } = more;
  return {
    metric: metric.name,
    resource: { [ATTR_SERVICE_NAME]: "cart", [ATTR_SERVICE_NAMESPACE]: "shop" },
    attributes: {
      [ATTR_FLOWSPAN_ROLE]: "client",
      [ATTR_SERVER_PORT]: 5432,
      [ATTR_SERVICE_PEER_NAME]: "postgres",
      [ATTR_SERVICE_PEER_NAMESPACE]: "data",
      ...attributes,
    } as Attributes,
    startUnixNs: 1n,
    timeUnixNs: 2n,
    kind: "cumulative",
    value,
    scope: "flowspan",
    unit: metric.unit,
    instrument: "sum",
    scale: undefined,
    count: undefined,
    exemplars: [],
    ...rest,
  };
}

test("a rate is what a sum has grown by, per second", () => {
  const rows = new DemoRows();
  rows.add([point(METRIC_FLOWSPAN_TCP_IO, 1000, { attributes: TRANSMIT })]);
  rows.rows(0);

  rows.add([point(METRIC_FLOWSPAN_TCP_IO, 5000, { attributes: TRANSMIT })]);

  expect(rows.rows(2000)).toMatchObject([{ from: "shop/cart", to: "data/postgres", port: 5432, bytesOut: 2000 }]);
});

test("a series that starts over goes on from zero", () => {
  const rows = new DemoRows();
  rows.add([point(METRIC_FLOWSPAN_TCP_IO, 5000, { attributes: TRANSMIT })]);
  rows.rows(0);

  rows.add([point(METRIC_FLOWSPAN_TCP_IO, 3000, { attributes: TRANSMIT, startUnixNs: 9n })]);

  expect(rows.rows(1000)[0]?.bytesOut).toBe(3000);
});

test("two pods of one workload are one line, and the server's end is not a second one", () => {
  const rows = new DemoRows();
  const pod = (name: string) => ({
    [ATTR_SERVICE_NAME]: "cart",
    [ATTR_SERVICE_NAMESPACE]: "shop",
    "k8s.pod.name": name,
  });
  rows.rows(0);

  rows.add([
    point(METRIC_FLOWSPAN_TCP_CONNECTIONS, 23, { resource: pod("cart-0") }),
    point(METRIC_FLOWSPAN_TCP_CONNECTIONS, 2, {
      resource: pod("cart-1"),
      attributes: { [ATTR_ERROR_TYPE]: "refused" },
    }),
    point(METRIC_FLOWSPAN_TCP_CONNECTIONS, 23, { attributes: { [ATTR_FLOWSPAN_ROLE]: "server" } }),
  ]);

  expect(rows.rows(1000)).toMatchObject([{ from: "shop/cart", failed: new Map([["refused", 2]]) }]);
});

test("round-trip times are read from exponential buckets in seconds", () => {
  const rows = new DemoRows();
  // Scale 0: bucket -4 holds (1/16, 1/8].
  rows.add([
    point(METRIC_FLOWSPAN_TCP_RTT, 1, {
      instrument: "exponential_histogram",
      scale: 0,
      count: 3,
      buckets: new Map([
        [-4, 2],
        [0, 1],
      ]),
    }),
  ]);

  const [row] = rows.rows(1000);

  expect(row?.rttP50).toBeCloseTo(Math.sqrt(1 / 16 / 8));
  expect(row?.rttP99).toBeCloseTo(Math.SQRT2);
});

test("dropped packets make no line", () => {
  const rows = new DemoRows();

  rows.add([point(METRIC_FLOWSPAN_PACKET_DROPS, 23)]);

  expect(rows.rows(1000)).toEqual([]);
});

test("what was lost is said by its names", () => {
  const rows = new DemoRows();
  const before = rows.losses;

  const lost = (reason: string, value: number) =>
    point(METRIC_FLOWSPAN_LOSSES, value, { attributes: { "flowspan.loss.reason": reason } });
  rows.add([lost("span_gave_up", 23), lost("storage_failed", 0), lost("span_gave_up", 29)]);

  expect([before, rows.losses]).toEqual(["nothing lost", "lost: 29 span_gave_up"]);
});

test("a quantile of nothing is unknown", () => {
  expect(quantile(new Map(), 0.5)).toBeUndefined();
});

function finding(id: string, state: "start" | "end", more: Partial<ReceivedLog> = {}): ReceivedLog {
  const { attributes, ...rest } = more;
  return {
    eventName: "flowspan.finding.connect_refused",
    timeUnixNs: 1n,
    severity: "WARN",
    severityNumber: 13,
    body: "Something is wrong.",
    attributes: { "flowspan.finding.id": id, "flowspan.finding.state": state, ...attributes } as Attributes,
    resource: { "k8s.pod.name": "cart-0", "service.name": "cart", "service.namespace": "shop" },
    scope: "flowspan",
    ...rest,
  };
}

test("a finding is a line from its start to its end, errors first", () => {
  const findings = new DemoFindings();
  findings.add([
    finding("a", "start"),
    finding("b", "start"),
    finding("c", "start", { severity: "ERROR", body: "Bad. So it is." }),
  ]);

  findings.add([finding("b", "end")]);

  expect(findings.rows()).toEqual([
    { isError: true, text: "shop/cart: Bad. So it is." },
    { isError: false, text: "shop/cart: Something is wrong." },
  ]);
});

test.each<[string, Attributes, Attributes?]>([
  [
    "shop/cart → data/postgres:5432: Something is wrong.",
    { "service.peer.name": "postgres", "service.peer.namespace": "data", "server.port": 5432 },
  ],
  [
    "shop/cart:80: Something is wrong, 3 wait, limit 2.",
    { "server.port": 80, "flowspan.listener.queue.length": 3, "flowspan.listener.queue.limit": 2 },
  ],
  [
    "node-1: Something is wrong, at peer node node-2.",
    { "flowspan.finding.place": "peer_node", "flowspan.finding.place.name": "node-2" },
    { "k8s.node.name": "node-1" },
  ],
  [
    "shop/cart: Something is wrong, at peer node node-2 or pair shop/cart-0 > b.",
    {
      "flowspan.finding.place": "unknown",
      "flowspan.finding.place.candidates": ["peer_node node-2", "pair shop/cart-0 > b"],
    },
  ],
  [
    "node-1: Something is wrong, towards node-2.",
    { "flowspan.peer.k8s.node.name": "node-2" },
    { "k8s.node.name": "node-1" },
  ],
])("a finding's line says where: %s", (expected, attributes, resource) => {
  const findings = new DemoFindings();

  findings.add([finding("a", "start", { attributes, ...(resource === undefined ? {} : { resource }) })]);

  expect(findings.rows().map(({ text }) => text)).toEqual([expected]);
});

test("findings stand below the flows, in red where something does not work", () => {
  const findings = [
    { isError: true, text: "a" },
    { isError: false, text: "b" },
  ];

  const lines = pictureLines({ headline: "head", rows: [ROW], findings }, { columns: 200, lines: 50, colour: true });

  expect(lines.slice(-3)).toEqual(["", "\x1b[31m! a\x1b[0m", "\x1b[33m! b\x1b[0m"]);
});

const ROW = {
  from: "shop/cart",
  to: "data/postgres",
  port: 5432,
  bytesOut: 1234,
  bytesIn: 9_900_000,
  connections: 0.5,
  open: 6,
  rttP50: 0.0812,
  rttP99: 1.5,
  resent: 0.0123,
  failed: new Map([["refused", 23]]),
};

test("a line says who talks to whom, how fast, with what loss and which failures", () => {
  const lines = pictureLines({ headline: "head", rows: [ROW], findings: [] }, PLAIN);

  expect(lines).toEqual([
    "head",
    "",
    "WHO → TO WHOM                      OUT/s      IN/s  OPEN   NEW/s  RTT p50      p99  RESENT  FAILED",
    "shop/cart → data/postgres:5432    1.2 kB    9.9 MB     6     0.5  81.2 ms   1.50 s   1.23%  refused 23",
  ]);
});

test("no line is longer than the terminal is wide, nor are there more than it has", () => {
  const findings = Array.from({ length: 50 }, () => ({ isError: true, text: "shop/cart: ".repeat(9) }));
  const rows = Array.from({ length: 50 }, () => ROW);

  const lines = pictureLines({ headline: "head", rows, findings }, { columns: 40, lines: 10, colour: false });

  expect([lines.length, Math.max(...lines.map((line) => line.length))]).toEqual([10, 40]);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [123_456, "123 kB"],
  [9_900_000, "9.9 MB"],
])("%d bytes are written as %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [undefined, ""],
  [0.000145, "145 µs"],
  [0.0812, "81.2 ms"],
  [1.5, "1.50 s"],
])("%s seconds are written as '%s'", (seconds, text) => {
  expect(secondsText(seconds)).toBe(text);
});
