/** A flood of lines that a peer causes is bounded and counted, and takes no room from others. */
import { expect, test } from "vitest";
import { createLog } from "../../../agent/shared/log.ts";
import { LogLimit } from "../../../agent/shared/log-limit.ts";

function logAt(clock: { nowMs: number }) {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { lines, log: createLog({ level: "info", write, nowMs: () => clock.nowMs }) };
}

test("of 100,000 lines that differ in what a peer chose, 20 are written, and the next ten seconds later has the rest's number", () => {
  const clock = { nowMs: 0 };
  const { lines, log } = logAt(clock);

  for (let i = 0; i < 100_000; i++) log.warn({ peer: i }, `refused "agent-${i}" (10.0.0.${i}): status ${i}`);
  clock.nowMs = 10_000;
  log.warn({ peer: "last" }, 'refused "x" (y): status 1');

  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toMatchObject({ peer: "last", leftOut: 99_980 });
  expect(lines.slice(0, 20).filter((line) => "leftOut" in line)).toEqual([]);
});

test("lines of another kind are written meanwhile", () => {
  const { lines, log } = logAt({ nowMs: 0 });
  for (let i = 0; i < 1_000; i++) log.warn({}, "one kind");

  log.error({}, "another kind");

  expect(lines.at(-1)).toMatchObject({ level: "error", msg: "another kind" });
});

test("a peer that makes up kinds takes no memory for them: those past 256 share one", () => {
  const limit = new LogLimit();
  const kinds = Array.from({ length: 10_000 }, (_, i) => String.fromCodePoint(0x4e00 + i));

  const passed = kinds.filter((kind) => limit.pass(kind, 0) !== undefined);

  expect(passed).toHaveLength(256 + 20);
});
