/** scripts/vm as far as it goes without a virtual machine: what it would run, and what it refuses. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");

function vm(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(join(ROOT, "scripts/vm"), args, { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("the test files that scripts/vm runs without being told which are there", () => {
  const { status, stdout } = vm("--help");
  const parts = stdout
    .slice(stdout.indexOf("without one:"))
    .split("\n")
    .filter((line) => line.startsWith("  "))
    .map((line) => line.trim());

  expect(status).toBe(0);
  expect(parts).toEqual(expect.arrayContaining(["programs", "torture", "test/kernel/takeover.test.ts"]));
  expect(parts.filter((part) => part.includes("/") && !existsSync(join(ROOT, part)))).toEqual([]);
});

test.each([["test/unit/scripts/vm.test.ts"], ["test/lab/gone.test.ts"], ["--kernel", "newest"], ["--kernel"]])(
  "scripts/vm refuses %s %s before it starts anything",
  (...args) => {
    expect(vm(...args)).toMatchObject({ status: 2, stdout: "" });
  },
);
