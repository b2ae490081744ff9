/** What npm left out is named: a package for this kind of machine that is in the lock and not on the disk. */
import { expect, test } from "vitest";
import { leftOut } from "../../../scripts/left-out.ts";

const DEBIAN = { os: "linux", cpu: "x64", libc: "glibc" };

const lockOf = (packages: Readonly<Record<string, object>>) => JSON.stringify({ packages });

test.each([
  ["this system and processor", { os: ["linux"], cpu: ["x64"] }],
  ["this C library too", { os: ["linux"], cpu: ["x64"], libc: ["glibc"] }],
  ["every system but another", { os: ["!win32"] }],
  ["this processor, on any system", { cpu: ["x64", "arm64"] }],
])("a package for %s that is not there was left out", (_, locked) => {
  const lock = lockOf({ "": {}, "node_modules/plain": {}, "node_modules/native": { optional: true, ...locked } });

  expect(leftOut(lock, DEBIAN, () => false)).toEqual(["node_modules/native"]);
  expect(leftOut(lock, DEBIAN, () => true)).toEqual([]);
});

test.each([
  ["another system", { os: ["darwin"], cpu: ["x64"] }],
  ["another processor", { os: ["linux"], cpu: ["arm64"] }],
  ["another C library", { os: ["linux"], cpu: ["x64"], libc: ["musl"] }],
  ["every system but this", { os: ["!linux"] }],
  ["any machine", {}],
])("a package for %s is not missed", (_, locked) => {
  expect(leftOut(lockOf({ "node_modules/native": locked }), DEBIAN, () => false)).toEqual([]);
});
