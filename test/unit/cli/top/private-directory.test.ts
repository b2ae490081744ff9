import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ADMIN_SOCKET, PROBE_SOCKET, removeDirectory } from "../../../../agent/cli/top/private-directory.ts";

let base: string;
let own: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "flowspan-top-test-"));
  own = join(base, "own");
  mkdirSync(join(own, "agent"), { recursive: true });
});
afterEach(() => rmSync(base, { recursive: true }));

test("a directory with what its probe and agent leave when they are killed is removed", () => {
  for (const name of [ADMIN_SOCKET, PROBE_SOCKET, `${PROBE_SOCKET}.new`]) writeFileSync(join(own, name), "");

  expect([removeDirectory(own), existsSync(own)]).toEqual([undefined, false]);
});

test("so is one in which nobody has made anything", () => {
  rmSync(join(own, "agent"), { recursive: true });

  expect([removeDirectory(own), existsSync(own)]).toEqual([undefined, false]);
});

test("what the agent's user has put there besides is neither removed nor followed: the answer names the directory", () => {
  mkdirSync(join(base, "victim"));
  writeFileSync(join(base, "victim/file"), "precious");
  symlinkSync(join(base, "victim"), join(own, ADMIN_SOCKET));
  mkdirSync(join(own, "agent/deep/deeper"), { recursive: true });

  expect(removeDirectory(own)).toMatch(new RegExp(`^${own} could not be removed: ENOTEMPTY.* '${own}/agent'$`));

  expect(readFileSync(join(base, "victim/file"), "utf8")).toBe("precious");
  expect([existsSync(join(own, ADMIN_SOCKET)), existsSync(join(own, "agent/deep/deeper"))]).toEqual([false, true]);
});

test("a directory in a socket's place is left as it is", () => {
  mkdirSync(join(base, "full"));
  writeFileSync(join(base, "full/file"), "precious");
  renameSync(join(base, "full"), join(own, ADMIN_SOCKET));

  expect(removeDirectory(own)).toMatch(`${own} could not be removed: `);

  expect(readFileSync(join(own, ADMIN_SOCKET, "file"), "utf8")).toBe("precious");
});
