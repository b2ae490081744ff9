/** What the process may use of the machine's memory: a cgroup's limit, or none. */
import { expect, test } from "vitest";
import { memoryLimit } from "../../../agent/telemetry/common-readings.ts";

const MIB = 2 ** 20;

test.each([
  ["a cgroup's limit is one", 256 * MIB, 256 * MIB],
  ["what Node does not know is none", 0, undefined],
  ["a limit beyond the machine's memory, as cgroups have it without one, is none", 2 ** 63, undefined],
])("%s", (_, constrained, limit) => {
  expect(memoryLimit(constrained, 8192 * MIB)).toBe(limit);
});
