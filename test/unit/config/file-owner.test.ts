/** A configuration file that root goes by, in the hands of somebody else. */
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { othersHand } from "../../../agent/config/file-owner.ts";
import { loadConfig } from "../../../agent/config/load.ts";
import { needs } from "../../machine/needs.ts";
import { directory, ours } from "./given.ts";

const BY_SUDO = { SUDO_UID: "1000", SUDO_GID: "1000" };

describe("root", () => {
  test.each([
    ["a file of root's", { uid: 0, gid: 0, mode: 0o100664 }, {}, undefined],
    ["its caller's file, with sudo", { uid: 1000, gid: 1000, mode: 0o100664 }, BY_SUDO, undefined],
    ["the same file, without sudo", { uid: 1000, gid: 1000, mode: 0o100644 }, {}, "a file of user 1000"],
    ["a third one's file, with sudo", { uid: 1001, gid: 1000, mode: 0o100600 }, BY_SUDO, "a file of user 1001"],
    ["a file that a group shares", { uid: 0, gid: 4, mode: 0o100660 }, {}, "a file that group 4 may write to"],
    ["a file of everybody's", { uid: 0, gid: 0, mode: 0o100646 }, BY_SUDO, "a file that everybody may write to"],
  ])("finds of %s what is wrong with it", (_, file, env, found) => {
    expect(othersHand(file, env, true)).toBe(found);
  });
});

test("whoever is not root may go by any file that it can read", () => {
  expect(othersHand({ uid: 0, gid: 0, mode: 0o100666 }, {}, false)).toBeUndefined();
});

needs("root")("a file of another user is refused before any of it counts, until root owns it", () => {
  const file = join(directory, "others.yaml");
  writeFileSync(file, ours("probe: {path: /tmp/a-program-of-theirs}"));
  const load = () => loadConfig({ env: {}, flags: { config: file } }).settings.probe.path;

  chownSync(file, 65532, 65532);
  expect(load).toThrow(`${file}: (file)
  found:   a file of user 65532
  allowed: a file that nobody but root, or you with sudo, may write to: root starts the probe that it names
  remedy:  look through it, then: chown root: ${file}; chmod go-w ${file}`);

  chownSync(file, 0, 0);
  chmodSync(file, 0o666);
  expect(load).toThrow("found:   a file that everybody may write to");

  chmodSync(file, 0o644);
  expect(load()).toBe("/tmp/a-program-of-theirs");
});
