import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { retryDelayMs } from "../../../agent/otlp/status.ts";
import { decodeMetrics } from "../../otlp/metric-points.ts";
import { Receiver } from "../../otlp/receiver.ts";

let receiver: Receiver;
let client: Client;

beforeEach(async () => {
  receiver = await Receiver.start({ unregistered: true });
  client = new Client(new URL(receiver.endpoint).host, credentials.createInsecure());
});

afterEach(async () => {
  client.close();
  await receiver.close();
});

test("an accepted request's points are kept, decoded", async () => {
  const error = await send(oneSum(23));

  expect([error, receiver.points]).toEqual([
    undefined,
    [
      {
        metric: "flowspan.tcp.io",
        resource: { "k8s.pod.name": "cart-0" },
        attributes: { "server.port": 80 },
        startUnixNs: 1n,
        timeUnixNs: 1_700_000_000_000_000_002n,
        kind: "cumulative",
        value: 23,
        scope: "flowspan",
        unit: "By",
        instrument: "sum",
        scale: undefined,
        count: undefined,
        exemplars: [],
      },
    ],
  ]);
});

test("a refused request is answered with its status and not kept", async () => {
  receiver.behaviour = { refuse: status.UNAVAILABLE };

  const error = await send(oneSum(23));

  expect([error?.code, receiver.points, receiver.refused]).toEqual([status.UNAVAILABLE, [], 1]);
});

test("a refusal may say when to come again, as RetryInfo, and every request is noted", async () => {
  receiver.behaviour = { refuse: status.RESOURCE_EXHAUSTED, retryAfterMs: 1_300 };

  const error = await send(oneSum(23));

  const details = error?.metadata.get("grpc-status-details-bin")[0];
  expect([error?.code, retryDelayMs(details as Buffer)]).toEqual([status.RESOURCE_EXHAUSTED, 1_300]);
  expect(receiver.arrivals.map(({ signal }) => signal)).toEqual(["metrics"]);
});

test("an answer that got lost leaves the points kept and the sender with an error", async () => {
  receiver.behaviour = { denyAccepted: status.UNAVAILABLE };

  const error = await send(oneSum(23));

  expect([error?.code, receiver.points.map(({ value }) => value)]).toEqual([status.UNAVAILABLE, [23]]);
});

test("points are kept before the answer that is held back", async () => {
  const { promise: mayAnswer, resolve } = Promise.withResolvers<void>();
  receiver.behaviour = { answerAfter: mayAnswer };
  const kept = new Promise<number>((keep) => receiver.onPoints((points) => keep(points.length)));

  const answered = send(oneSum(23)).then(() => "answered");
  const first = await Promise.race([kept, answered]);
  resolve();

  expect([first, await answered]).toEqual([1, "answered"]);
});

test("a slow request is not overtaken by one that came after it", async () => {
  const { promise: arrived, resolve } = Promise.withResolvers<void>();
  receiver.behaviour = {
    get delayMs() {
      resolve();
      return 100;
    },
  };
  const slow = send(oneSum(23));
  await arrived;
  receiver.behaviour = {};

  await Promise.all([slow, send(oneSum(29))]);

  expect(receiver.points.map(({ value }) => value)).toEqual([23, 29]);
});

test("bytes that are no request are refused as invalid", async () => {
  const error = await send(Buffer.from([0x0a, 0xff]));

  expect([error?.code, receiver.refused]).toEqual([status.INVALID_ARGUMENT, 1]);
});

test("an exponential histogram keeps its buckets and their place", () => {
  const [point] = decodeMetrics(oneHistogram());

  expect(point).toMatchObject({
    instrument: "exponential_histogram",
    value: 0.25,
    count: 6,
    scale: 2,
    buckets: new Map([
      [Number.NEGATIVE_INFINITY, 1],
      [-77, 3],
      [-75, 2],
    ]),
  });
});

/** The field numbers a second time: the decoder under test must not be checked against itself. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Request { repeated ResourceMetrics rm = 1; }
  message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics sm = 2; }
  message Resource { repeated KeyValue attributes = 1; }
  message KeyValue { string key = 1; Value value = 2; }
  message Value { oneof value { string text = 1; int64 number = 3; } }
  message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
  message Scope { string name = 1; }
  message Metric { string name = 1; string unit = 3; oneof data { Sum sum = 7; Histogram histogram = 10; } }
  message Sum { repeated Point points = 1; int32 temporality = 2; bool monotonic = 3; }
  message Point {
    fixed64 start = 2; fixed64 time = 3; sfixed64 as_int = 6; repeated KeyValue attributes = 7;
  }
  message Histogram { repeated HistogramPoint points = 1; int32 temporality = 2; }
  message HistogramPoint {
    fixed64 time = 3; fixed64 count = 4; double sum = 5; sint32 scale = 6; fixed64 zero = 7; Buckets positive = 8;
  }
  message Buckets { sint32 offset = 1; repeated uint64 counts = 2; }
`);

function requestWith(metric: object): Buffer {
  const resource = { attributes: [{ key: "k8s.pod.name", value: { text: "cart-0" } }] };
  const type = root.lookupType("Request");
  const value = { rm: [{ resource, sm: [{ scope: { name: "flowspan" }, metrics: [metric] }] }] };
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

function oneSum(value: number): Buffer {
  const attributes = [{ key: "server.port", value: { number: 80 } }];
  const point = { start: "1", time: "1700000000000000002", asInt: value, attributes };
  return requestWith({
    name: "flowspan.tcp.io",
    unit: "By",
    sum: { points: [point], temporality: 2, monotonic: true },
  });
}

function oneHistogram(): Buffer {
  const point = { time: "2", count: 6, sum: 0.25, scale: 2, zero: 1, positive: { offset: -77, counts: [3, 0, 2] } };
  return requestWith({ name: "flowspan.tcp.rtt", histogram: { points: [point], temporality: 2 } });
}

test("what is sent and is not in the registry is said when the receiver closes", async () => {
  const strict = await Receiver.start();
  const toStrict = new Client(new URL(strict.endpoint).host, credentials.createInsecure());

  await send(oneSum(23), toStrict);
  toStrict.close();

  await expect(strict.close()).rejects.toThrow("flowspan.tcp.io lacks flowspan.role, which it requires");
});

test("what a receiver accepts goes to one more endpoint too, where one is named", async () => {
  vi.stubEnv("FLOWSPAN_COPY_TO", receiver.endpoint);
  onTestFinished(() => void vi.unstubAllEnvs());
  const copying = await Receiver.start({ unregistered: true });
  const toCopying = new Client(new URL(copying.endpoint).host, credentials.createInsecure());

  await send(oneSum(23), toCopying);
  toCopying.close();
  await copying.close();

  expect([copying.points, receiver.points]).toEqual([
    [expect.objectContaining({ metric: "flowspan.tcp.io", value: 23 })],
    copying.points,
  ]);
});

function send(bytes: Buffer, by = client): Promise<ServiceError | undefined> {
  const same = (value: Buffer) => value;
  const path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
  return new Promise((resolve) => {
    by.makeUnaryRequest(path, same, same, bytes, (error) => resolve(error ?? undefined));
  });
}
