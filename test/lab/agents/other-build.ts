/**
 * Probe and agent of another version than this tree's: built from these sources with some lines changed, or from a commit of the
 * repository. Kept in build/other, and made anew where this tree's own build has changed.
 *
 * A build takes some 15 s of CPU and needs what `make build` needs.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../programs/run.ts";
import type { Build } from "./agents.ts";

const run = promisify(execFile);
const PLACE = join(ROOT, "build/other");
/** What a build reads of the tree. */
const SOURCES = ["agent", "bpf", "scripts", "package.json", "flowspan"];

/** @param edits by file, what takes the place of what; each must be there */
export async function editedBuild(
  name: string,
  edits: Readonly<Record<string, readonly (readonly [before: RegExp, after: string])[]>>,
): Promise<Build> {
  return built(
    `${name}-${ownSum(JSON.stringify(edits, (_, value) => (value instanceof RegExp ? value.source : value)))}`,
    (tree) => {
      for (const path of SOURCES) cpSync(join(ROOT, path), join(tree, path), { recursive: true });
      for (const [file, changes] of Object.entries(edits)) {
        let text = readFileSync(join(tree, file), "utf8");
        for (const [before, after] of changes) {
          if (!before.test(text)) throw new Error(`${file} has no ${before}`);
          text = text.replace(before, after);
        }
        writeFileSync(join(tree, file), text);
      }
    },
  );
}

/** @returns undefined where the history does not have the commit: a copy without it, or a shallow one */
export async function buildOf(commit: string): Promise<Build | undefined> {
  const git = (...args: string[]) => run("git", ["-C", ROOT, ...args]);
  const isThere = await git("cat-file", "-e", `${commit}^{commit}`).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  return built(commit, async (tree) => {
    await git("archive", "--output", `${tree}.tar`, commit, ...SOURCES);
    await run("tar", ["-xf", `${tree}.tar`, "-C", tree]);
    rmSync(`${tree}.tar`);
  });
}

/** Of what this tree has built. */
function ownSum(more: string): string {
  const sum = createHash("sha256").update(more);
  for (const file of ["flowspan-probe", "agent.mjs"]) sum.update(readFileSync(join(ROOT, "build", file)));
  return sum.digest("hex").slice(0, 12);
}

async function built(name: string, fill: (tree: string) => unknown): Promise<Build> {
  const place = join(PLACE, name);
  if (!existsSync(place)) {
    mkdirSync(PLACE, { recursive: true });
    // Whole or not at all, whoever else builds the same.
    const tree = mkdtempSync(`${place}-`);
    await fill(tree);
    symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
    symlinkSync(join(ROOT, ".tools"), join(tree, ".tools"));
    await run("make", ["--silent", "-C", join(tree, "bpf")]);
    await run(process.execPath, ["--disable-warning=ExperimentalWarning", join(tree, "scripts/bundle.ts")]);
    await run("chmod", ["755", tree]);
    await run("mv", ["--no-target-directory", "--no-clobber", tree, place]);
  }
  return { probe: join(place, "build/flowspan-probe"), launcher: join(place, "flowspan") };
}
