import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EDGE_COUNTERS,
  type EdgeCountersField,
  EventKind,
  edgeKey,
  FLOWSPAN_PROTOCOL,
  FrameKind,
  frameConnection,
  frameEdge,
  frameHello,
  HistogramSlot,
} from "../../../agent/generated/layout.ts";
import { FRAME_DECODERS, FRAMES, FrameTable } from "../../../agent/source/decode.ts";
import { decodeEdge } from "../../../agent/source/decode-edge.ts";
import { decodeEdgeKey } from "../../../agent/source/edge-key.ts";
import { DECODE_FAILURES } from "../../../agent/source/frame-decoder.ts";
import type { Frame } from "../../../agent/source/frames.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import { TCP_EDGE } from "../../../agent/source/tcp-edge.ts";
import {
  beginFrame,
  cgroupFrame,
  connectionFrame,
  edgeGrowth,
  edgeRow,
  endFrame,
  helloFrame,
  keyBytes,
  namespaceFrame,
  programFrame,
  said,
  settledFrame,
  statusFrame,
} from "./frames-builder.ts";

/** Stands for what a record of another kind says. */
const EVENT = { kind: "settled", unknown: 0 } as const;

function decoded(frame: Frame) {
  return FRAMES.decode(frame.kind, Buffer.from(frame.payload), new RowPages(0));
}

/** The frame without its last bytes. */
function cut({ kind, payload }: Frame, bytes: number): Frame {
  return { kind, payload: payload.subarray(0, payload.length - bytes) };
}

function id(key: Parameters<typeof keyBytes>[0]): string {
  return keyBytes(key).toString("latin1");
}

/** Each counter has its own prime, so that two swapped fields cannot look right. */
const PRIMES = [
  23, 29, 31, 37, 41, 43, 47, 53, 163, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 167,
  173, 139, 149, 151, 157,
];

// biome-ignore format: one field of struct frame_edge a line
const PINNED_EDGE = [
  "9210000000000000",                 // key.cgroup = 4242
  "00000000000000000000ffff0a000001", // key.local_addr = 10.0.0.1
  "20010db8000000000000000000000001", // key.remote_addr = 2001:db8::1
  "000000f0",                         // key.netns = 4026531840
  "901f",                             // key.server_port = 8080
  "01",                               // key.role = ROLE_CLIENT
  "06",                               // key.protocol = IPPROTO_TCP
  "0700000000000000",                 // exchange = 7
  "00e40b5402000000",                 // since_ns = 10000000000
  "1700000000000000",                 // growth.bytes_sent = 23
  "1d00000000000000",                 // growth.bytes_received = 29
  "1f00000000000000",                 // growth.segs_out = 31
  "2500000000000000",                 // growth.segs_in = 37
  "2900000000000000",                 // growth.retransmits_syn = 41
  "2b00000000000000",                 // growth.retransmits_fast = 43
  "2f00000000000000",                 // growth.retransmits_timeout = 47
  "3500000000000000",                 // growth.retransmits_tlp = 53
  "a300000000000000",                 // growth.retransmits_non_congestion = 163
  "3b00000000000000",                 // growth.retransmits_other = 59
  "3d00000000000000",                 // growth.spurious = 61
  "4300000000000000",                 // growth.out_of_order = 67
  "4700000000000000",                 // growth.busy_us = 71
  "4900000000000000",                 // growth.rwnd_limited_us = 73
  "4f00000000000000",                 // growth.sndbuf_limited_us = 79
  "5300000000000000",                 // growth.opened = 83
  "5900000000000000",                 // growth.closed = 89
  "6100000000000000",                 // growth.reset_sent = 97
  "6500000000000000",                 // growth.reset_received = 101
  "6700000000000000",                 // growth.failed_refused = 103
  "6b00000000000000",                 // growth.failed_timed_out = 107
  "6d00000000000000",                 // growth.failed_reset = 109
  "7100000000000000",                 // growth.failed_host_unreachable = 113
  "7f00000000000000",                 // growth.failed_net_unreachable = 127
  "8300000000000000",                 // growth.failed_cancelled = 131
  "8900000000000000",                 // growth.failed_other = 137
  "a700000000000000",                 // growth.failed_no_local_port = 167
  "ad00000000000000",                 // growth.failed_not_sent = 173
  "8b00000000000000",                 // growth.listener_drops = 139
  "9500000000000000",                 // growth.handshake_us = 149
  "9700000000000000",                 // growth.rtt_us = 151
  "9d00000000000000",                 // growth.duration_us = 157
  "05000000",                         // open = 5
  "80000000",                         // limit = 128
  "02000000",                         // slot_count = 2
  "00000000",                         // zero
  "03000000" + "0b000000",            // slot 3 (handshake), count 11
  "e0000000" + "0d000000",            // slot 224 (first of duration), count 13
];

/** All that can be read of a row, which reads it where it lies. */
function allRead(row: unknown): object {
  if (typeof row !== "object" || row === null) throw new Error(`not decoded: ${String(row)}`);
  const fields = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(row)));
  const read = fields.filter(([, { get }]) => get !== undefined).map(([name]) => [name, Reflect.get(row, name)]);
  return Object.fromEntries(read);
}

describe("FRAME_EDGE", () => {
  const pinned = Buffer.from(PINNED_EDGE.join(""), "hex");

  test("has the bytes that contract.h gives it, field by field", () => {
    const edge = decodeEdge(pinned, new RowPages());

    if (typeof edge === "string") throw new Error(edge);
    expect(said(edge)).toEqual({
      id: pinned.toString("latin1", 0, 48),
      exchange: 7n,
      sinceNs: 10_000_000_000n,
      counters: Float64Array.from(PRIMES),
      slots: Uint32Array.of(3, 11, 224, 13),
      open: 5,
      limit: 128,
      row: pinned,
    });
    expect(decodeEdgeKey(pinned.toString("latin1", 0, 48))).toEqual({
      cgroup: 4242n,
      localAddress: "10.0.0.1",
      remoteAddress: "2001:db8::1",
      netns: 4026531840,
      serverPort: 8080,
      role: "client",
      overflow: false,
    });
  });

  test("is what the builder for other tests writes", () => {
    const counters = Object.fromEntries(EDGE_COUNTERS.map((name, index) => [name, PRIMES[index]]));
    const built = edgeRow({
      key: { remoteAddress: "2001:db8::1" },
      exchange: 7n,
      sinceNs: 10_000_000_000n,
      counters: counters as Record<EdgeCountersField, number>,
      slots: [
        [3, 11],
        [224, 13],
      ],
      open: 5,
      limit: 128,
    });

    expect(built.toString("hex")).toBe(PINNED_EDGE.join(""));
  });

  test("encoded again, a decoded row is the same bytes", () => {
    const count = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n });
    const row = fc.record({
      key: fc.record({
        cgroup: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        netns: fc.nat(2 ** 31),
        serverPort: fc.nat(65535),
        role: fc.constantFrom("client" as const, "server" as const, "listener" as const),
      }),
      exchange: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      sinceNs: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      counters: fc.dictionary(fc.constantFrom(...EDGE_COUNTERS), count),
      slots: fc.array(fc.tuple(fc.nat(HistogramSlot.SLOT_COUNT - 1), fc.nat(2 ** 31)), { maxLength: 20 }),
      open: fc.nat(2 ** 31),
      limit: fc.nat(2 ** 31),
    });
    fc.assert(
      fc.property(row, (values) => {
        const bytes = edgeRow(values);
        const growth = decodeEdge(bytes, new RowPages(0));

        if (typeof growth === "string") throw new Error(growth);
        expect(TCP_EDGE.encode(growth).equals(bytes)).toBe(true);
      }),
    );
  });

  test("rows keep what they say, however many share pages and whatever becomes of the chunk they came in", () => {
    const pages = new RowPages();
    const values = (i: number) => ({ counters: { bytesSent: i, durationUs: i }, slots: [[i % 7, i + 1]] as const });
    const rows = Array.from({ length: 2003 }, (_, i) => {
      const chunk = edgeRow(values(i));
      const row = decodeEdge(chunk, pages);
      chunk.fill(255);
      return row;
    });

    expect(rows.map((row) => (typeof row === "string" ? row : said(row)))).toEqual(
      rows.map((_, i) => said(edgeGrowth(values(i)))),
    );
  });

  test("a row whose pages were freed cannot be settled by mistake", () => {
    const pages = new RowPages();
    const row = decodeEdge(edgeRow(), pages);

    pages.free();

    expect(() => (typeof row === "string" ? row : row.row)).toThrow(TypeError);
  });

  test("a counter of 2^53 fails by name, one less passes", () => {
    const decode = (bytesSent: bigint) => decodeEdge(edgeRow({ counters: { bytesSent } }), new RowPages());
    const last = decode(2n ** 53n - 1n);

    expect(typeof last === "string" ? last : last.counter(0)).toBe(Number.MAX_SAFE_INTEGER);
    expect(decode(2n ** 53n)).toBe("number_too_large");
  });

  test.each<[string, Buffer, string]>([
    ["shorter than its struct", edgeRow().subarray(0, frameEdge.size - 1), "wrong_length"],
    ["with fewer slots than it says", edgeRow({ slots: [[1, 1]] }).subarray(0, frameEdge.size + 4), "wrong_length"],
    ["with bytes behind its slots", Buffer.concat([edgeRow(), Buffer.alloc(8)]), "wrong_length"],
    ["with a slot past the histograms", edgeRow({ slots: [[HistogramSlot.SLOT_COUNT, 1]] }), "slot_out_of_range"],
    ["with no known role", Buffer.alloc(frameEdge.size), "unknown_role"],
  ])("a row %s fails by name", (_, payload, failure) => {
    expect(FRAMES.decode(FrameKind.FRAME_EDGE, payload, new RowPages(0))).toBe(failure);
  });
});

describe("an edge's key", () => {
  test.each([
    ["client", { role: "client", overflow: true }, true],
    ["server", { role: "server", overflow: true }, true],
    ["listener", { role: "listener", overflow: true, serverPort: 0 }, true],
  ] as const)("without a local address is the overflow edge of role %s", (_, key, overflow) => {
    expect(decodeEdgeKey(id(key)).overflow).toBe(overflow);
  });

  test("of a listener bound to :: is no overflow edge", () => {
    const key = decodeEdgeKey(id({ role: "listener", localAddress: "::", serverPort: 80 }));

    expect({ overflow: key.overflow, localAddress: key.localAddress }).toEqual({ overflow: false, localAddress: "::" });
  });
});

describe("each frame of a fixed length", () => {
  test("HELLO", () => {
    expect(decoded(helloFrame())).toEqual({
      kind: "hello",
      protocol: FLOWSPAN_PROTOCOL,
      probePid: 4711,
      features: 0x7fn,
      bootNs: 100_000_000_000n,
      realtimeNs: 1_700_000_000_000_000_000n,
      exchange: 0n,
      startedNs: 90_000_000_000n,
      edgeCapacity: 65536,
      cpus: 2,
      kernel: "6.12.0",
    });
  });

  test.each([
    ["exchange-begin", beginFrame],
    ["exchange-end", endFrame],
  ] as const)("%s", (kind, frame) => {
    expect(decoded(frame({ exchange: 7n, bootNs: 1n, realtimeNs: 2n, walkNs: 3n, sockets: 5, edges: 11 }))).toEqual({
      kind,
      exchange: 7n,
      bootNs: 1n,
      realtimeNs: 2n,
      walkNs: 3n,
      sockets: 5,
      edges: 11,
    });
  });

  test("CGROUP, with its names from the leaf to the root", () => {
    const names = ["cri-containerd-23.scope", "kubepods-pod7.slice", "kubepods.slice"];

    expect(decoded(cgroupFrame({ id: 7n, seenNs: 11n, names }))).toEqual({
      kind: "cgroup",
      id: 7n,
      seenNs: 11n,
      names,
    });
  });

  test("CGROUP, with a name that fills its whole field", () => {
    const names = ["x".repeat(128), "y".repeat(128), "z", "w".repeat(128)];

    expect(decoded(cgroupFrame({ id: 7n, seenNs: 11n, names }))).toEqual({
      kind: "cgroup",
      id: 7n,
      seenNs: 11n,
      names,
    });
  });

  test("NAMESPACE", () => {
    const counters = {
      netns: 4026531840,
      pid: 23,
      cookie: 2n ** 53n + 1n,
      activeOpens: 29,
      passiveOpens: 31,
      attemptFails: 37,
      estabResets: 41,
      inSegs: 43,
      outSegs: 47,
      retransSegs: 53,
      outRsts: 59,
      listenOverflows: 61,
      listenDrops: 67,
      outNoRoutes: 71,
    };

    expect(decoded(namespaceFrame(counters))).toEqual({ kind: "namespace", ...counters });
  });

  test("PROGRAM", () => {
    const stats = { name: "inet_sock_set_s", runs: 23, runTimeNs: 29, recursionMisses: 31 };

    expect(decoded(programFrame(stats))).toEqual({ kind: "program", ...stats });
  });

  test("STATUS, with its losses by name", () => {
    const status = {
      losses: {
        edge_table_full_detail: 1,
        storage_failed: 2,
        counter_contended: 3,
        records_full: 5,
        cgroup_name_failed: 7,
        closed_untracked: 11,
        namespace_unreadable: 13,
        agent_gone_records: 17,
        records_shed: 19,
        close_missed: 23,
        handshake_untimed_detail: 29,
        not_adopted: 0,
        role_unknown_detail: 0,
        cgroup_name_cut_detail: 0,
        sockmap_bypass: 31,
        reset_undecided: 37,
        process_unknown_detail: 0,
        event_failed_detail: 0,
      },
      edges: 23,
      edgeCapacity: 29,
      evicted: 31,
      cgroups: 37,
      records: 41,
      probeCpuUs: 43,
      probeRssBytes: 47,
      adopted: 53,
    };

    expect(decoded(statusFrame(status))).toEqual({ kind: "status", ...status });
  });

  test("CONNECTION, with its events", () => {
    const values = {
      startNs: 1n,
      establishedNs: 2n,
      endNs: 3n,
      bytesSent: 23,
      bytesReceived: 29,
      sampleThreshold: 0xc0_0000_0000_0000n,
      segsOut: 31,
      segsIn: 37,
      retransmits: 41,
      retransmitsSyn: 2,
      retransmitsFast: 3,
      retransmitsTimeout: 5,
      retransmitsTlp: 7,
      retransmitsNonCongestion: 19,
      spurious: 11,
      outOfOrder: 13,
      handshakeUs: 17,
      srttUs: 43,
      minRttUs: 47,
      lastRttUs: 67,
      busyUs: 71,
      rwndLimitedUs: 73,
      sndbufLimitedUs: 79,
      pid: 53,
      interims: 83,
      localPort: 59,
      remotePort: 61,
      error: 111,
      flags: 5,
      kept: 6,
      comm: "curl",
    };
    const events = [
      { timeNs: 97n, kind: EventKind.EVENT_RETRANSMIT_TIMEOUT, segments: 2, state: 1, recovery: 4 },
      { timeNs: 101n, kind: EventKind.EVENT_RESET_RECEIVED, state: 8 },
    ];
    const traceId = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");

    const record = decoded(connectionFrame({ key: { serverPort: 443 }, ...values, traceId, state: 9, events }));

    expect(allRead(record)).toEqual({
      kind: "connection",
      key: decodeEdgeKey(id({ serverPort: 443 })),
      ...values,
      traceId: "000102030405060708090a0b0c0d0e0f",
      state: "last_ack",
      events: [
        { timeNs: 97n, kind: "retransmit_timeout", segments: 2, state: "established", recovery: "loss" },
        { timeNs: 101n, kind: "reset_received", segments: 0, state: "close_wait", recovery: "open" },
      ],
    });
  });

  test.each([
    ["ASCII", "a task with 16 B", "a task with 16 B"],
    ["UTF-8", "größe", "größe"],
    ["neither", Buffer.from([0x61, 0xff]), "a\ufffd"],
  ])("a task's name in %s", (_, comm, read) => {
    expect(decoded(connectionFrame({ comm: comm as string }))).toMatchObject({ comm: read });
  });

  test("a state that has no name is left open", () => {
    expect(decoded(connectionFrame({ state: 77 }))).toMatchObject({ kind: "connection", state: undefined });
  });

  test("SETTLED", () => {
    expect(decoded(settledFrame({ rows: 23, unknown: 29 }))).toEqual({ kind: "settled", rows: 23, unknown: 29 });
  });
});

describe("what comes later", () => {
  test("a kind of record is a decoder and its line: the others decode as before", () => {
    const query = { kind: 42, isRecord: true, decode: (payload: Buffer) => ({ ...EVENT, rows: payload.length }) };
    const table = new FrameTable([...FRAME_DECODERS, query]);
    const { kind, payload } = statusFrame({ edges: 29 });

    expect([42, kind, FrameKind.FRAME_CONNECTION].map((each) => table.isRecord(each))).toEqual([true, false, true]);
    expect(table.decode(42, Buffer.alloc(23), new RowPages(0))).toEqual({ ...EVENT, rows: 23 });
    expect(table.decode(kind, Buffer.from(payload), new RowPages(0))).toMatchObject({ kind: "status", edges: 29 });
  });

  test("two decoders for one kind are a mistake that shows at once", () => {
    expect(() => new FrameTable([...FRAME_DECODERS, ...FRAME_DECODERS.slice(-1)])).toThrow(
      `two decoders for frames of kind ${FrameKind.FRAME_CONNECTION}`,
    );
  });

  test("an edge of a protocol that nobody knows fails by name, however long its value is", () => {
    for (const length of [48, 72, 4096]) {
      const payload = Buffer.alloc(length);
      payload.set(keyBytes({ serverPort: 53 }));
      payload[edgeKey.fields.protocol.offset] = 17;

      expect(decodeEdge(payload, new RowPages(0))).toBe("unknown_protocol");
    }
  });
});

describe("a frame that cannot be used", () => {
  test("arbitrary payloads never throw and fail by one of the known names", () => {
    const kinds = fc.constantFrom(...Object.values(FrameKind), 0, 11, 999);
    const sized = fc
      .constantFrom(16, 40, 48, 96, 128, 152, 216, 232, 312, 320, 528)
      .chain((size) => fc.uint8Array({ minLength: size, maxLength: size }));
    fc.assert(
      fc.property(kinds, fc.oneof(sized, fc.uint8Array({ maxLength: 600 })), (kind, payload) => {
        const event = FRAMES.decode(kind, Buffer.from(payload), new RowPages(0));

        if (typeof event === "string") expect(DECODE_FAILURES).toContain(event);
        else expect(event.kind).toBeTypeOf("string");
      }),
      { numRuns: 500 },
    );
  });

  test.each<[string, Frame, string]>([
    ["of an unknown kind", { kind: 11, payload: new Uint8Array(0) }, "unknown_kind"],
    ["that is a command", { kind: FrameKind.COMMAND_EXCHANGE, payload: new Uint8Array(0) }, "unknown_kind"],
    ["that is too short", { ...statusFrame(), payload: new Uint8Array(120) }, "wrong_length"],
    ["HELLO with another magic", helloFrame({ magic: 23n }), "wrong_magic"],
    ["with a number of 2^53", namespaceFrame({ inSegs: 2 ** 53 }), "number_too_large"],
    [
      "CONNECTION without a role",
      { ...connectionFrame(), payload: new Uint8Array(frameConnection.size) },
      "unknown_role",
    ],
    ["CONNECTION of a listener", connectionFrame({ key: { role: "listener" } }), "unknown_role"],
    ["CONNECTION with fewer events than it says", cut(connectionFrame({ events: [{ kind: 1 }] }), 8), "wrong_length"],
    ["CONNECTION with an event of an unknown kind", connectionFrame({ events: [{ kind: 99 }] }), "unknown_event"],
    ["CONNECTION with 2^53 bytes", connectionFrame({ bytesSent: 2 ** 53 }), "number_too_large"],
  ])("%s fails by name", (_, frame, failure) => {
    expect(decoded(frame)).toBe(failure);
  });

  test.each([16, frameHello.size + 8])("a HELLO of another protocol tells it, also with %d bytes", (length) => {
    const payload = Buffer.alloc(length);
    Buffer.from(helloFrame({ protocol: 23 }).payload).copy(payload);

    expect(FRAMES.decode(FrameKind.FRAME_HELLO, payload, new RowPages(0))).toMatchObject({
      kind: "hello",
      protocol: 23,
    });
  });
});
