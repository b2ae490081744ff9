import { expect, test } from "vitest";
import { coresBetween, readCpuTimes } from "../../bench/machine-load.ts";

/** Two CPUs. */
function stat(total: string): string {
  return `cpu  ${total}\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 7\n`;
}

test("busy is all but idle and waiting; what guests did is in it already", () => {
  expect(readCpuTimes(stat("1 2 4 1000 2000 8 16 32 1 2"))).toEqual({ busy: 63, idle: 3000, cpus: 2 });
});

test("busy cores are the busy share of the time of all CPUs", () => {
  const [before, after] = [stat("100 0 0 500 0 0 0 0 0 0"), stat("120 0 20 600 20 5 5 0 0 0")].map(readCpuTimes);

  expect(coresBetween(before as never, after as never)).toBeCloseTo((50 / 170) * 2, 12);
});

test("no time between two readings is no load, and a text without CPUs is refused", () => {
  const times = readCpuTimes(stat("1 2 3 4 5 6 7 8 0 0"));

  expect(coresBetween(times, times)).toBe(0);
  expect(() => readCpuTimes("intr 7\n")).toThrow("/proc/stat");
});
