/** The table of `flowspan top`. */
import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { bytesText, countText, edgeTable, microsecondsText } from "../../../../agent/cli/top/table.ts";
import type { EdgeSnapshot, Snapshot } from "../../../../agent/edges/snapshot.ts";
import { NONE_FAILED } from "../../edges/snapshots.ts";

type Change = Partial<EdgeSnapshot> & { readonly from?: string; readonly to?: string; readonly sendRate?: number };

/** A quiet edge with one open connection. */
function edge({ from = "shop/cart", to = "shop/db", sendRate = 0, ...change }: Change = {}): EdgeSnapshot {
  return {
    role: "client",
    overflow: false,
    local: { label: from, address: "10.0.0.1", cgroup: "7" },
    remote: { label: to, address: "10.0.0.2", kind: "pod", name: null, namespace: null, pod: null },
    serverPort: 5432,
    netns: 1,
    pending: null,
    bytesSent: 0,
    bytesReceived: 0,
    segmentsSent: 0,
    segmentsReceived: 0,
    retransmits: { syn: 0, fast: 0, timeout: 0, tailLossProbe: 0, nonCongestion: 0, other: 0, spurious: 0 },
    outOfOrder: 0,
    opened: 1,
    closed: 0,
    failed: NONE_FAILED,
    resets: { sent: 0, received: 0 },
    open: 1,
    limit: 0,
    drops: 0,
    rates: { bytesSentPerSecond: sendRate, bytesReceivedPerSecond: 0, openedPerSecond: 0 },
    rtt: { p50Us: null, p99Us: null },
    handshake: { p50Us: null, p99Us: null },
    ...change,
  };
}

const snapshot = (...edges: EdgeSnapshot[]): Snapshot => ({
  timeUnixMs: Date.UTC(2026, 10, 23, 5, 6, 7),
  intervalMs: 2_000,
  edges,
});

const plain = { columns: 170, rows: undefined, colour: false };

describe("the table", () => {
  test("busy edges come first, with both ends, role, port, rates, totals, round trips and troubles", () => {
    const table = edgeTable(
      snapshot(
        edge({ from: "listener", role: "listener", open: 2, limit: 128, drops: 23, opened: 0 }),
        edge({ from: "quiet", to: "10.0.0.9", serverPort: 80 }),
        edge({
          sendRate: 1_234_567,
          bytesSent: 9_999_999,
          bytesReceived: 512,
          open: 3,
          opened: 23,
          rtt: { p50Us: 87, p99Us: 1_234 },
          retransmits: { syn: 1, fast: 2, timeout: 3, tailLossProbe: 4, nonCongestion: 6, other: 5, spurious: 0 },
          failed: { ...edge().failed, refused: 23 },
        }),
      ),
      plain,
    );

    expect(table).toEqual([
      "05:06:07 UTC  3 edges  4 open connections  rates over 2.0 s",
      "LOCAL                     PEER                      ROLE    PORT   SENT/s   RECV/s     SENT     RECV     OPEN  OPENED  RTT p50      p99 RETRANS           FAILED",
      "shop/cart                 shop/db                   client  5432   1.2 MB        0  10.0 MB    512 B        3      23    87 µs   1.2 ms 1S 2F 3T 4P 6M 5? refused 23",
      "listener                                            listen  5432                                        2/128                -        -                   dropped 23",
      "quiet                     10.0.0.9                  client    80        0        0        0        0        1       1        -        -",
    ]);
  });

  test("no line is wider than the terminal, with and without colour", () => {
    const edges = [edge({ from: "a".repeat(300), to: "ü".repeat(300), failed: { ...edge().failed, timed_out: 1e9 } })];

    for (const columns of [20, 80, 100, 200]) {
      for (const colour of [false, true]) {
        const widths = edgeTable(snapshot(...edges), { columns, rows: 5, colour }).map(
          (line) => stripVTControlCharacters(line).length,
        );
        expect(Math.max(...widths)).toBeLessThanOrEqual(columns);
      }
    }
  });

  test("what does not fit the terminal's height is counted", () => {
    const edges = Array.from({ length: 23 }, (_, i) => edge({ from: `pod-${i}` }));

    const table = edgeTable(snapshot(...edges), { ...plain, rows: 10 });

    expect([table.length, table.at(-1)]).toEqual([10, "… 16 more"]);
  });

  test("names from outside cannot write to the terminal", () => {
    const [, , line] = edgeTable(snapshot(edge({ from: "a\x1b[2Jb", to: "c\u202ed\r\n" })), plain);

    expect(line).toMatch(/^a\?\[2Jb {2,}c\?d\?\? /);
  });

  test("the overflow edge and a time before the first exchange say what they are", () => {
    const nobodys = { label: "host", address: "::", cgroup: "0" };
    const before = { timeUnixMs: 0, intervalMs: 0, edges: [{ ...edge({ overflow: true }), local: nobodys }] };

    const [headline, , line] = edgeTable(before, plain);

    expect([headline, line?.slice(0, 15)]).toEqual(["waiting for the first exchange", "(no room left) "]);
  });

  test("the overflow edge of a cgroup says whose it is", () => {
    const [, , line] = edgeTable(snapshot(edge({ from: "shop/cart", overflow: true })), plain);

    expect(line).toMatch(/^shop\/cart {2,}\(beyond its share\) /);
  });
});

describe("numbers", () => {
  test("are short and keep their unit", () => {
    expect([0, 1, 999, 999.6, 1_500, 99_949, 99_951, 23e6, 7e15].map(bytesText)).toEqual([
      "0",
      "1 B",
      "999 B",
      "1.0 kB",
      "1.5 kB",
      "99.9 kB",
      "100 kB",
      "23.0 MB",
      "7.0 PB",
    ]);
    expect([0, 99_999, 123_456, 1_234_567].map(countText)).toEqual(["0", "99999", "123k", "1.2M"]);
    expect([null, 0, 999, 1_000, 123_456, 2_345_678].map(microsecondsText)).toEqual([
      "-",
      "0 µs",
      "999 µs",
      "1.0 ms",
      "123 ms",
      "2.3 s",
    ]);
  });
});
