/** A file's change is seen however it is made; one that changed nothing is not. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FileWatch, watchFile } from "../../../agent/shared/watched-file.ts";

let directory: string;
let watch: FileWatch | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-watch-"));
});
afterEach(() => {
  watch?.close();
  rmSync(directory, { recursive: true });
});

/** As the kubelet mounts a ConfigMap: FILE → ..data/FILE, ..data → a directory of this version. */
function mountVersion(version: string, content: string): void {
  mkdirSync(join(directory, version));
  writeFileSync(join(directory, version, "flowspan.yaml"), content);
  symlinkSync(version, join(directory, "..data_tmp"));
  renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
}

const CHANGES: [string, (file: string) => void][] = [
  ["written in place", (file) => writeFileSync(file, "new")],
  [
    "replaced by a rename",
    (file) => {
      writeFileSync(`${file}.new`, "new");
      renameSync(`${file}.new`, file);
    },
  ],
  ["swapped through a ConfigMap's symlinks", () => mountVersion("..2", "new")],
];

test.each(CHANGES)("a file %s is seen", async (_name, change) => {
  mountVersion("..1", "old");
  const file = join(directory, "flowspan.yaml");
  symlinkSync("..data/flowspan.yaml", file);

  const changed = new Promise<void>((resolve) => {
    watch = watchFile(file, resolve, { pollMs: 20 });
  });
  change(file);

  await changed;
});

test("a file that was only touched, or is gone for a moment, has not changed", () => {
  const file = join(directory, "flowspan.yaml");
  writeFileSync(file, "same");
  let calls = 0;
  watch = watchFile(file, () => calls++, { pollMs: 3_600_000 });

  rmSync(file);
  watch.check();
  writeFileSync(file, "same");
  watch.check();

  expect(calls).toBe(0);
});
