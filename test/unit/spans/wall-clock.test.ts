/** The wall clock as it was: steps, suspend and probes that come and go. */
import { expect, test } from "vitest";
import { WallClock } from "../../../agent/spans/wall-clock.ts";

const S = 1_000_000_000n;

function clockWith(...readings: readonly (readonly [bootNs: bigint, realtimeNs: bigint])[]): WallClock {
  const clock = new WallClock(() => 0);
  for (const [bootNs, realtimeNs] of readings) clock.read({ bootNs, realtimeNs });
  return clock;
}

test("before the first reading nothing is known", () => {
  expect(clockWith().offsetNs(1n)).toBeUndefined();
});

test("a time is mapped as the clock stood then, not as it was set later", () => {
  const clock = clockWith([100n * S, 1_000n * S], [115n * S, 1_015n * S], [130n * S, 4_630n * S]);

  expect([99n, 100n, 120n, 129n, 130n, 140n].map((at) => clock.offsetNs(at * S))).toEqual([
    900n * S,
    900n * S,
    900n * S,
    900n * S,
    4_500n * S,
    4_500n * S,
  ]);
});

test("suspend changes nothing: both clocks went on", () => {
  const clock = clockWith([100n * S, 1_000n * S], [7_300n * S, 8_200n * S]);

  expect([clock.offsetNs(150n * S), clock.offsetNs(7_300n * S)]).toEqual([900n * S, 900n * S]);
});

test("a reading that comes late is left out", () => {
  const clock = clockWith([130n * S, 1_030n * S], [115n * S, 9_999n * S]);

  expect(clock.offsetNs(140n * S)).toBe(900n * S);
});

test("however many readings there were, the newest are known", () => {
  const clock = clockWith(...Array.from({ length: 1_009 }, (_, i) => [BigInt(i) * S, BigInt(2 * i) * S] as const));

  expect([clock.offsetNs(1_008n * S), clock.offsetNs(1_000n * S)]).toEqual([1_008n * S, 1_000n * S]);
});

test("boot time goes on between readings", () => {
  let nowMs = 5_000;
  const clock = new WallClock(() => nowMs);
  clock.read({ bootNs: 100n * S, realtimeNs: 0n });
  nowMs += 1_500;

  expect([clock.nowNs(), clock.nowMs()]).toEqual([101_500_000_000n, 101_500]);
});
