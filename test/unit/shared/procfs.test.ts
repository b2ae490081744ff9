import { spawn, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { readIfThere, threadFiles } from "../../../agent/shared/procfs.ts";

test("every thread of a process is read", () => {
  const statuses = threadFiles("self", "status");

  expect(statuses.length).toBeGreaterThan(1);
  for (const status of statuses) expect(status).toContain(`\nTgid:\t${process.pid}\n`);
});

test("a process that has ended has no threads and no files", () => {
  const { pid } = spawnSync("true");

  expect(threadFiles(pid, "status")).toEqual([]);
  expect(readIfThere(`/proc/${pid}/status`)).toBeUndefined();
});

test("a process that ends while it is read is there, then gone, and never an error", async () => {
  for (let started = 0; started < 20; started++) {
    const { pid = 0 } = spawn("true");

    // There until this process has waited for it, which takes a turn of the event loop.
    expect(threadFiles(pid, "status")).toHaveLength(1);
    while (threadFiles(pid, "status").length > 0) await new Promise((resolve) => setImmediate(resolve));
  }
});

test("what cannot be read for another reason is an error", () => {
  expect(() => readIfThere("/proc/self/task")).toThrow("EISDIR");
});
