/**
 * scripts/setup in small trees with one package and a cache of their own: what one tree has fetched the next one takes
 * from the cache, without npm, and an archive that is damaged is fetched anew.
 */
import { execFile } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const SCRIPTS = fileURLToPath(new URL("../../../scripts", import.meta.url));
/** Of npm on a machine that does much else. */
const SET_UP_MS = 60_000;
const MISSING = "npm is not here";

let place: string;
/** As the first tree has left it. */
let archive: string;

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "flowspan-setup-"));
  mkdirSync(join(place, "without-npm"));
  writeFileSync(join(place, "without-npm/npm"), `#!/bin/sh\necho ${MISSING} >&2\nexit 1\n`);
  chmodSync(join(place, "without-npm/npm"), 0o755);
  await setUp(tree("first"), "cache");
  [archive = ""] = readdirSync(join(place, "cache"));
}, SET_UP_MS);

afterAll(() => rmSync(place, { recursive: true }));

test("what one tree has fetched the next one has without npm", async () => {
  const next = tree("next");
  const { code } = await setUp(next, "cache", "without-npm");

  expect(code).toBe(0);
  expect(readdirSync(join(next, "node_modules"))).toContain("part");
});

test("other packages than those of the cache are fetched, and then the cache has these alone", async () => {
  cpSync(join(place, "cache"), join(place, "other"), { recursive: true });
  const refused = await setUp(tree("without", "2.0.0"), "other", "without-npm");
  await setUp(tree("with", "2.0.0"), "other");

  expect(refused).toMatchObject({ code: 1, words: expect.stringContaining(MISSING) });
  expect(readdirSync(join(place, "other"))).toEqual([expect.not.stringMatching(archive)]);
});

test("a damaged archive is named and fetched anew", async () => {
  mkdirSync(join(place, "damaged"));
  writeFileSync(join(place, "damaged", archive), "no archive");
  const root = tree("after-damage");
  const { code, words } = await setUp(root, "damaged");

  expect(code).toBe(0);
  expect(words).toContain(`${archive} is damaged`);
  expect(readdirSync(join(root, "node_modules"))).toContain("part");
});

/** What scripts/setup reads, and a package that lies beside it. */
function tree(name: string, version = "1.0.0"): string {
  const root = join(place, name);
  const dependencies = { part: "file:part" };
  mkdirSync(join(root, "part"), { recursive: true });
  cpSync(SCRIPTS, join(root, "scripts"), { recursive: true });
  const write = (path: string, content: object) => writeFileSync(join(root, path), JSON.stringify(content));
  write("part/package.json", { name: "part", version });
  write("package.json", { name: "tree", version, type: "module", dependencies });
  write("package-lock.json", {
    ...{ name: "tree", version, lockfileVersion: 3, requires: true },
    packages: {
      "": { name: "tree", version, dependencies },
      "node_modules/part": { resolved: "part", link: true },
      part: { name: "part", version },
    },
  });
  return root;
}

/** @param before a directory of programs that come first */
async function setUp(root: string, cache: string, before = "") {
  const path = [join(place, before), dirname(process.execPath), process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH: path, FLOWSPAN_CACHE: join(place, cache) };
  return new Promise<{ code: unknown; words: string }>((resolve) => {
    execFile(join(root, "scripts/setup"), ["build"], { env }, (error, _, words) => {
      resolve({ code: error?.code ?? 0, words });
    });
  });
}
