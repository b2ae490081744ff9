import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EDGE_COUNTERS,
  type EdgeCountersField,
  edgeKey,
  FrameKind,
  frameEdge,
  HistogramSlot,
} from "../../../agent/generated/layout.ts";
import { FRAMES } from "../../../agent/source/decode.ts";
import { decodeEdge } from "../../../agent/source/decode-edge.ts";
import { decodeEdgeKey } from "../../../agent/source/edge-key.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import { TCP_EDGE } from "../../../agent/source/tcp-edge.ts";
import { edgeGrowth, edgeRow, keyBytes, said } from "./frames-builder.ts";

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
  test.each(["client", "server", "listener"] as const)(
    "without addresses and port is an overflow edge of role %s, of a cgroup or of none",
    (role) => {
      for (const cgroup of [0n, 4242n]) {
        const key = decodeEdgeKey(id({ role, cgroup, overflow: true }));
        expect({ overflow: key.overflow, cgroup: key.cgroup }).toEqual({ overflow: true, cgroup });
      }
    },
  );

  test.each([
    { role: "server", localAddress: "::", remoteAddress: "::", serverPort: 80 },
    { role: "client", localAddress: "::", remoteAddress: "10.0.0.2", serverPort: 0 },
    { role: "server", localAddress: "10.0.0.1", remoteAddress: "::", serverPort: 0 },
  ] as const)("that has an address or a port is no overflow edge: %o", (key) => {
    expect(decodeEdgeKey(id(key)).overflow).toBe(false);
  });

  test("of a listener bound to :: is no overflow edge", () => {
    const key = decodeEdgeKey(id({ role: "listener", localAddress: "::", serverPort: 80 }));

    expect({ overflow: key.overflow, localAddress: key.localAddress }).toEqual({ overflow: false, localAddress: "::" });
  });
});

test("an edge of a protocol that nobody knows fails by name, however long its value is", () => {
  for (const length of [48, 72, 4096]) {
    const payload = Buffer.alloc(length);
    payload.set(keyBytes({ serverPort: 53 }));
    payload[edgeKey.fields.protocol.offset] = 17;

    expect(decodeEdge(payload, new RowPages(0))).toBe("unknown_protocol");
  }
});
