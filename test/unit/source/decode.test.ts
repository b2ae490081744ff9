/** Each frame but an edge's: decoded field by field, or refused by name. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EventKind,
  FLOWSPAN_PROTOCOL,
  FrameKind,
  frameConnection,
  frameHello,
} from "../../../agent/generated/layout.ts";
import { decodeEdgeKey, decodeFrame } from "../../../agent/source/decode.ts";
import type { Frame } from "../../../agent/source/frames.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import {
  beginFrame,
  cgroupFrame,
  connectionFrame,
  endFrame,
  helloFrame,
  keyBytes,
  namespaceFrame,
  programFrame,
  settledFrame,
  statusFrame,
} from "./frames-builder.ts";

function decoded(frame: Frame) {
  return decodeFrame(frame.kind, Buffer.from(frame.payload), new RowPages(0));
}

/** The frame without its last bytes. */
function cut({ kind, payload }: Frame, bytes: number): Frame {
  return { kind, payload: payload.subarray(0, payload.length - bytes) };
}

function id(key: Parameters<typeof keyBytes>[0]): string {
  return keyBytes(key).toString("latin1");
}

/** Each counter has its own prime, so that two swapped fields cannot look right. */
const _PRIMES = [
  23, 29, 31, 37, 41, 43, 47, 53, 163, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 167,
  173, 139, 149, 151, 157,
];

// biome-ignore format: one field of struct frame_edge a line
const _PINNED_EDGE = [
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

describe("a frame that cannot be used", () => {
  test("arbitrary payloads never throw and fail by one of the known names", () => {
    const kinds = fc.constantFrom(...Object.values(FrameKind), 0, 11, 999);
    const failures = [
      "unknown_kind",
      "wrong_length",
      "wrong_magic",
      "unknown_role",
      "slot_out_of_range",
      "number_too_large",
      "unknown_event",
    ];
    const sized = fc
      .constantFrom(16, 40, 48, 96, 128, 152, 216, 232, 312, 320, 528)
      .chain((size) => fc.uint8Array({ minLength: size, maxLength: size }));
    fc.assert(
      fc.property(kinds, fc.oneof(sized, fc.uint8Array({ maxLength: 600 })), (kind, payload) => {
        const event = decodeFrame(kind, Buffer.from(payload), new RowPages(0));

        if (typeof event === "string") expect(failures).toContain(event);
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

    expect(decodeFrame(FrameKind.FRAME_HELLO, payload, new RowPages(0))).toMatchObject({ kind: "hello", protocol: 23 });
  });
});
