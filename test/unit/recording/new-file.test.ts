/**
 * The file of a recording, where others may write to the directory. Links of strangers are made as user 65534, so those
 * tests need root.
 */
import {
  closeSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openNewFile } from "../../../agent/recording/new-file.ts";
import { Recorder } from "../../../agent/recording/recorder.ts";
import { needs } from "../../machine/needs.ts";

const STRANGER = 65534;
const log = { info() {}, warn() {}, error() {} };

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-new-file-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("a file that was there is replaced by one that only its owner may read", () => {
  const path = join(directory, "a");
  writeFileSync(path, "before", { mode: 0o644 });

  const file = openNewFile(path);
  writeSync(file, "after");
  closeSync(file);

  expect([readFileSync(path, "utf8"), lstatSync(path).mode & 0o7777]).toEqual(["after", 0o600]);
});

test("a recording is not written through a link, and neither the link nor its file is touched", () => {
  const victim = join(directory, "victim");
  const path = join(directory, "flows.rec");
  writeFileSync(victim, "precious");
  symlinkSync(victim, path);

  expect(() => new Recorder({ path, log })).toThrow(`${path} is a link of user ${process.geteuid?.()}, and no file`);

  expect([readFileSync(victim, "utf8"), lstatSync(path).isSymbolicLink()]).toEqual(["precious", true]);
});

test("nor to a directory or a device", () => {
  expect(() => openNewFile(directory)).toThrow(`${directory} is a directory, and no file`);
  expect(() => openNewFile("/dev/null")).toThrow("/dev/null is a device, pipe or socket, and no file");
});

needs("root")("a directory that is a stranger's link is not followed: the file behind it stays", () => {
  const [behind, link] = [join(directory, "behind"), join(directory, "link")];
  mkdirSync(behind);
  writeFileSync(join(behind, "shadow"), "precious");
  symlinkSync(behind, link);
  lchownSync(link, STRANGER, STRANGER);

  expect(() => new Recorder({ path: join(link, "shadow"), log })).toThrow(
    `${link} is a link that belongs to user ${STRANGER}: remove it, or name the directory itself`,
  );

  expect(readFileSync(join(behind, "shadow"), "utf8")).toBe("precious");
});

test("a link of one's own on the way is followed, relative or absolute", () => {
  mkdirSync(join(directory, "real"));
  symlinkSync("real", join(directory, "relative"));
  symlinkSync(join(directory, "relative"), join(directory, "absolute"));

  closeSync(openNewFile(join(directory, "absolute/../absolute/file")));

  expect(lstatSync(join(directory, "real/file")).isFile()).toBe(true);
});

test("a directory that is not there is named", () => {
  expect(() => openNewFile(join(directory, "no/such/file"))).toThrow(
    `${join(directory, "no")}: there is no such directory`,
  );
});
