/**
 * Reads model/*.yaml into a registry, or into the list of everything that is wrong with it.
 *
 * The only effect here is reading files; order is by file name, then as written, so output never jumps.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { LineCounter, parseDocument } from "yaml";
import { Checker } from "./check.ts";
import { MANIFEST } from "./manifest.ts";
import { type ModelFile, resolve } from "./resolve.ts";
import type { Problem, Registry } from "./types.ts";
import type { Upstream } from "./upstream.ts";

export type Loaded = { readonly registry: Registry } | { readonly problems: readonly Problem[] };

/** Model texts by file name, in the order in which they count; the manifest is none of them. */
export function readModel(directory: string): Map<string, string> {
  const files = readdirSync(directory).filter((file) => file.endsWith(".yaml") && file !== MANIFEST);
  return new Map(files.sort().map((file) => [file, readFileSync(join(directory, file), "utf8")]));
}

/** A registry only if nothing at all is wrong; otherwise every problem of the earliest step that found any. */
export function loadRegistry(texts: ReadonlyMap<string, string>, upstream: Upstream): Loaded {
  const problems: Problem[] = [];
  const files: ModelFile[] = [];
  for (const [file, text] of texts) {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines });
    for (const error of document.errors) {
      const { line } = lines.linePos(error.pos[0]);
      problems.push({ file, path: `line ${line}`, message: error.code, remedy: "mend the YAML" });
    }
    if (document.errors.length > 0) continue;
    const content: unknown = document.toJS();
    const checker = new Checker(file);
    checker.file(content);
    problems.push(...checker.problems);
    if (checker.problems.length > 0) continue;
    files.push({ ...(content as Pick<ModelFile, "groups" | "imports">), file, section: basename(file, ".yaml") });
  }
  if (problems.length > 0) return { problems };
  const resolved = resolve(files, upstream);
  return resolved.problems.length > 0 ? { problems: resolved.problems } : { registry: resolved.registry };
}
