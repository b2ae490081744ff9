/** Active findings above the table: what, where, since when, why, and how to look. */
import { describe, expect, test } from "vitest";
import { findingLines } from "../../../../agent/cli/top/finding-lines.ts";
import { topLines } from "../../../../agent/cli/top/table.ts";
import type { FindingSnapshot } from "../../../../agent/model/active-finding.ts";

const NOW_MS = 1_700_000_100_000;

function findingOf(changes: Partial<FindingSnapshot> = {}): FindingSnapshot {
  return {
    name: "connect_refused",
    id: "5b8efff798038103",
    severity: "error",
    subject: "shop/cart",
    sinceUnixMs: NOW_MS - 45_000,
    meaning: "Connects are refused.",
    cause: "Nothing listens.",
    command: "ss -ltn",
    evidence: { "server.port": 80, "flowspan.connect.refused": 23, "flowspan.share": 0.123456 },
    ...changes,
  };
}

const snapshotOf = (...findings: FindingSnapshot[]) => ({
  timeUnixMs: NOW_MS,
  intervalMs: 15_000,
  edges: [],
  findings,
});
const WIDE = { columns: 200, rows: undefined, colour: false };

test("a finding says what, where, since when, its numbers, its likely cause and the command", () => {
  expect(findingLines(snapshotOf(findingOf()), WIDE)).toEqual([
    "! shop/cart  Connects are refused.  for 45 s  server.port=80 connect.refused=23 share=0.123",
    "  Nothing listens. Look: ss -ltn",
  ]);
});

test("errors come before warnings, and of these the newest first", () => {
  const warning = findingOf({ severity: "warn", subject: "b", id: "1" });
  const old = findingOf({ subject: "old", sinceUnixMs: NOW_MS - 9e6, id: "2" });

  const lines = findingLines(snapshotOf(warning, old, findingOf()), WIDE).filter((line) => line.startsWith("!"));

  expect(lines.map((line) => line.split(" ")[1])).toEqual(["shop/cart", "old", "b"]);
});

test("findings take a third of the screen at most, and say how many more there are", () => {
  const many = Array.from({ length: 23 }, (_, i) => findingOf({ id: String(i).padStart(2, "0") }));

  const lines = topLines(snapshotOf(...many), { columns: 80, rows: 24, colour: false });

  expect(lines.length).toBeLessThanOrEqual(24);
  expect(lines.filter((line) => line.startsWith("!"))).toHaveLength(4);
  expect(lines).toContain("  … 19 more findings");
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
});

describe("a peer's text", () => {
  test("cannot write to the terminal", () => {
    const evil = findingOf({ subject: "a\x1b[2Jb", evidence: { "service.peer.name": "c\x07d" } });

    expect(findingLines(snapshotOf(evil), WIDE)[0]).toBe(
      "! a?[2Jb  Connects are refused.  for 45 s  service.peer.name=c?d",
    );
  });
});

test("an agent without findings, also one of an earlier version, has the table alone", () => {
  const { findings: _, ...earlier } = snapshotOf();

  expect(topLines(earlier, WIDE)).toEqual(topLines(snapshotOf(), WIDE));
});
