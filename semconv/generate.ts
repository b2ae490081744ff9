/**
 * Makes agent/generated/semconv.ts and findings.ts, bpf/contract/losses.h, docs/telemetry.md and docs/findings.md from
 * semconv/model/*.yaml (and reference.md and findings.md, the prose).
 *
 *   node semconv/generate.ts           writes them
 *   node semconv/generate.ts --check   writes nothing; exit code 1 names each file that is stale
 *
 * Exit code 2: the model itself is wrong; every problem is printed with its file, path and remedy.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readFindings, renderFindings } from "./findings.ts";
import { loadRegistry, readModel } from "./load.ts";
import { readLosses, renderEnum } from "./losses.ts";
import { checkManifest, MANIFEST } from "./manifest.ts";
import { renderCode } from "./render-code.ts";
import { renderDocs } from "./render-docs.ts";
import { renderFindingsPage } from "./render-findings.ts";
import type { Problem } from "./types.ts";
import { readUpstream } from "./upstream.ts";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, "..");

/** Generated texts by path from the root, or what is wrong with the model. */
export function generate():
  | { readonly texts: ReadonlyMap<string, string> }
  | { readonly problems: readonly Problem[] } {
  const upstream = readUpstream();
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  const manifest = readIfThere(join(HERE, "model", MANIFEST));
  const problems = checkManifest(manifest, { own: version, conventions: upstream.version });
  if (problems.length > 0) return { problems };
  const loaded = loadRegistry(readModel(join(HERE, "model")), upstream);
  if ("problems" in loaded) return loaded;
  const read = readLosses(loaded.registry);
  if ("problems" in read) return read;
  const found = readFindings(loaded.registry);
  if ("problems" in found) return found;
  const prose = (file: string) => readFileSync(join(HERE, file), "utf8");
  return {
    texts: new Map([
      ["agent/generated/semconv.ts", renderCode(loaded.registry, upstream.version)],
      ["docs/telemetry.md", renderDocs(prose("reference.md"), loaded.registry, read.losses, upstream.version)],
      ["bpf/contract/losses.h", renderEnum(read.losses)],
      ["agent/generated/findings.ts", renderFindings(found.findings)],
      ["docs/findings.md", renderFindingsPage(prose("findings.md"), loaded.registry, found.findings)],
    ]),
  };
}

export function formatProblem({ file, path, message, remedy }: Problem): string {
  return `semconv/model/${file}: ${path} ${message}: ${remedy}`;
}

/** Paths whose text on disk is not what the model gives. */
export function findStale(texts: ReadonlyMap<string, string>, root: string): string[] {
  return [...texts].filter(([path, text]) => readIfThere(join(root, path)) !== text).map(([path]) => path);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Does what the command line says, with files below `root`.
 *
 * @returns the exit code
 */
export function run(args: readonly string[], root: string, print: (line: string) => void): number {
  const generated = generate();
  if ("problems" in generated) {
    for (const problem of generated.problems) print(formatProblem(problem));
    return 2;
  }
  return writeOrCheck(generated.texts, args, root, print);
}

/**
 * Writes texts below `root`, or with `--check` names those that are stale.
 *
 * @returns the exit code
 */
export function writeOrCheck(
  texts: ReadonlyMap<string, string>,
  args: readonly string[],
  root: string,
  print: (line: string) => void,
): number {
  if (args.includes("--check")) {
    const stale = findStale(texts, root);
    for (const path of stale) print(`${path} is stale: run \`npm run generate\``);
    return stale.length === 0 ? 0 : 1;
  }
  for (const [path, text] of texts) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    print(`wrote ${path}`);
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = run(process.argv.slice(2), ROOT, (line) => console.error(line));
}
