/** Records, names and times at random, to the ends of what a record can hold. */
import fc from "fast-check";
import { ConnectionFlag, SAMPLE_NEVER } from "../../../agent/generated/layout.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import type { Connection, ConnectionEvent } from "../../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { RemoteEnd } from "../../../agent/model/names.ts";
import { Span } from "../../../agent/spans/span.ts";

const EDGE_32 = fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 2 ** 31, 2 ** 32 - 1);
const u16 = fc.oneof(fc.constantFrom(0, 1, 2 ** 16 - 1), fc.integer({ min: 0, max: 2 ** 16 - 1 }));
const u32 = fc.oneof(EDGE_32, fc.integer({ min: 0, max: 2 ** 32 - 1 }));
/** Microseconds: whole seconds are integers in OTLP, all others doubles. */
const microseconds = fc.oneof(
  u32,
  fc.integer({ min: 0, max: 4_000 }).map((seconds) => seconds * 1_000_000),
);
const safe = fc.oneof(EDGE_32, fc.constantFrom(2 ** 32, 2 ** 35 - 1, 2 ** 53 - 1), fc.maxSafeNat());
const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme", maxLength: 300 }));
const hexOf = (digits: number) =>
  fc.uint8Array({ minLength: digits / 2, maxLength: digits / 2 }).map((bytes) => Buffer.from(bytes).toString("hex"));
const address = fc.oneof(fc.ipV4(), fc.ipV6());
const state = fc.constantFrom("established", "syn_sent", "fin_wait_2", undefined);
/** Of a span, with the offset of its host: up to the last nanosecond that OTLP can tell. */
const ns = fc.bigInt({ min: 0n, max: 2n ** 62n });

const edgeKey: fc.Arbitrary<EdgeKey> = fc.record({
  cgroup: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  localAddress: address,
  remoteAddress: address,
  netns: u32,
  serverPort: u16,
  role: fc.constantFrom("client", "server"),
  overflow: fc.constant(false),
});

const event: fc.Arbitrary<ConnectionEvent> = fc.record({
  timeNs: ns,
  kind: fc.constantFrom(
    "retransmit_syn",
    "retransmit_fast",
    "retransmit_tlp",
    "reset_sent",
    "reset_received",
    "zero_window",
  ),
  segments: u32,
  state,
  recovery: fc.constantFrom("open", "loss", undefined),
});

const flags = fc
  .subarray(Object.values(ConnectionFlag))
  .map((bits) => bits.reduce((all: number, bit) => all | (1 << bit), 0));

const anyConnection: fc.Arbitrary<Omit<Connection, "key">> = fc.record({
  traceId: hexOf(32),
  startNs: ns,
  establishedNs: fc.oneof(fc.constant(0n), ns),
  endNs: ns,
  bytesSent: safe,
  bytesReceived: safe,
  sampleThreshold: fc.oneof(fc.constantFrom(0n, SAMPLE_NEVER), fc.bigInt({ min: 0n, max: SAMPLE_NEVER })),
  segsOut: u32,
  segsIn: u32,
  retransmits: u32,
  retransmitsSyn: u32,
  retransmitsFast: u32,
  retransmitsTimeout: u32,
  retransmitsTlp: u32,
  retransmitsNonCongestion: u32,
  spurious: u32,
  outOfOrder: u32,
  handshakeUs: microseconds,
  srttUs: microseconds,
  minRttUs: microseconds,
  lastRttUs: microseconds,
  busyUs: microseconds,
  rwndLimitedUs: microseconds,
  sndbufLimitedUs: microseconds,
  pid: u32,
  interims: u32,
  localPort: u16,
  remotePort: u16,
  error: fc.constantFrom(0, 1, 32, 104, 110, 111),
  flags,
  kept: fc.integer({ min: 0, max: 7 }),
  state,
  comm: fc.oneof(fc.constant(""), text),
  events: fc.array(event, { maxLength: 32 }),
});

const anyRemote: fc.Arbitrary<RemoteEnd> = fc.record({
  kind: fc.constantFrom("pod", "external", "unknown", "service"),
  name: fc.option(text, { nil: undefined }),
  namespace: fc.option(text, { nil: undefined }),
  podName: fc.option(text, { nil: undefined }),
  zone: fc.option(text, { nil: undefined }),
  label: fc.constant(""),
});

const number = fc.oneof(
  fc.constantFrom(0, -1, 2 ** 53, 2 ** 62, -(2 ** 63), 2 ** 63, -(2 ** 63) - 2048),
  fc.double({ noNaN: true }),
  fc.maxSafeInteger(),
);
const anyResource: fc.Arbitrary<Attributes> = fc.dictionary(
  // The SDK leaves out an attribute without a name.
  text.filter((key) => key !== "" && key !== "__proto__"),
  fc.oneof(text, number, fc.boolean(), fc.array(text)),
);

/** Spans of a few edges, peers and pods: some share all of them, some share an edge whose peer has another name. */
export const anySpans: fc.Arbitrary<readonly Span[]> = fc
  .record({
    keys: fc.array(edgeKey, { minLength: 1, maxLength: 3 }),
    remotes: fc.array(anyRemote, { minLength: 1, maxLength: 3 }),
    resources: fc.array(anyResource, { minLength: 1, maxLength: 3 }),
    picks: fc.array(fc.record({ record: anyConnection, key: fc.nat(), remote: fc.nat(), resource: fc.nat() }), {
      maxLength: 12,
    }),
    offsetNs: ns,
  })
  .map(({ keys, remotes, resources, picks, offsetNs }) => {
    const locals = resources.map((resource, i) => ({ id: String(i), resource, label: "" }));
    const one = <T>(of: readonly T[], pick: number) => of[pick % of.length] as T;
    return picks.map(({ record, key, remote, resource }) => {
      const names = { local: one(locals, resource), remote: one(remotes, remote) };
      return new Span({ ...record, key: one(keys, key) }, names, offsetNs);
    });
  });
