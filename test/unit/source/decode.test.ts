import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FLOWSPAN_PROTOCOL, FrameKind, frameHello } from "../../../agent/generated/layout.ts";
import { FRAME_DECODERS, FRAMES, FrameTable } from "../../../agent/source/decode.ts";
import { DECODE_FAILURES } from "../../../agent/source/frame-decoder.ts";
import type { Frame } from "../../../agent/source/frames.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import {
  beginFrame,
  cgroupFrame,
  endFrame,
  helloFrame,
  namespaceFrame,
  programFrame,
  settledFrame,
  statusFrame,
  troubleFrame,
} from "./frames-builder.ts";

/** Stands for what a record of another kind says. */
const EVENT = { kind: "settled", unknown: 0, refused: 0 } as const;

function decoded(frame: Frame) {
  return FRAMES.decode(frame.kind, Buffer.from(frame.payload), new RowPages(0));
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
      syncookiesSent: 73,
      syncookiesReceived: 79,
      syncookiesFailed: 83,
      pruneCalled: 89,
      rcvPruned: 97,
      tcpRcvQDrop: 101,
      tcpAbortOnMemory: 103,
      tcpMemoryPressures: 107,
      cgroup: 2n ** 53n + 3n,
      conntrack: { entries: 73, limit: 79, insertFailed: 83, drop: 89, earlyDrop: 97 },
    };

    expect(decoded(namespaceFrame(counters))).toEqual({ kind: "namespace", ...counters });
  });

  test("PROGRAM", () => {
    const stats = { name: "inet_sock_set_s", runs: 23, runTimeNs: 29, recursionMisses: 31 };

    expect(decoded(programFrame(stats))).toEqual({ kind: "program", ...stats });
  });

  test("TROUBLE, each bit by its name, and bits of a later probe left out", () => {
    expect(decoded(troubleFrame(0b101n))).toEqual({ kind: "trouble", troubles: ["pins", "filter"] });
    expect(decoded(troubleFrame(2n ** 63n + 2n))).toEqual({ kind: "trouble", troubles: ["hooks"] });
    expect(decoded(troubleFrame(0n))).toEqual({ kind: "trouble", troubles: [] });
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
        evidence_full_detail: 67,
        evidence_uncounted: 71,
        settle_refused: 41,
        hook_gap: 43,
        filter_gap: 0,
        edge_share_full_detail: 59,
      },
      edges: 23,
      edgeCapacity: 29,
      evicted: 31,
      cgroups: 37,
      records: 41,
      probeCpuUs: 43,
      probeRssBytes: 47,
      adopted: 53,
      tenantEdges: 61,
      tenantLimit: 67,
      memoryCharged: 73,
      memoryLimit: 79,
    };

    expect(decoded(statusFrame(status))).toEqual({ kind: "status", ...status });
  });

  test("SETTLED", () => {
    const settled = { rows: 23, unknown: 29, refused: 31 };

    expect(decoded(settledFrame(settled))).toEqual({ kind: "settled", ...settled });
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
      `two decoders for frames of kind ${FrameKind.FRAME_NEIGHBOUR_TABLE}`,
    );
  });
});

describe("a frame that cannot be used", () => {
  test("arbitrary payloads never throw and fail by one of the known names", () => {
    const kinds = fc.constantFrom(...Object.values(FrameKind), 0, 23, 999);
    const sized = fc
      .constantFrom(16, 40, 48, 80, 96, 104, 128, 152, 216, 232, 312, 320, 528)
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
    ["of an unknown kind", { kind: 23, payload: new Uint8Array(0) }, "unknown_kind"],
    ["that is a command", { kind: FrameKind.COMMAND_EXCHANGE, payload: new Uint8Array(0) }, "unknown_kind"],
    ["that is too short", { ...statusFrame(), payload: new Uint8Array(120) }, "wrong_length"],
    ["HELLO with another magic", helloFrame({ magic: 23n }), "wrong_magic"],
    ["with a number of 2^53", namespaceFrame({ inSegs: 2 ** 53 }), "number_too_large"],
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
