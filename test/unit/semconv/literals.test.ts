/**
 * No metric or attribute name stands in the agent's own code: names come from agent/generated/semconv.ts,
 * so that a rename is one line of the model.
 */
import { globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { loadRegistry, readModel } from "../../../semconv/load.ts";
import { readUpstream } from "../../../semconv/upstream.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

const NAMES = registryNames();

test("no source file of the agent spells a metric's or attribute's name", () => {
  const files = globSync("agent/**/*.ts", { cwd: ROOT, exclude: (path) => path.includes("generated") });

  const found = files.sort().flatMap((file) => findNames(file, readFileSync(resolve(ROOT, file), "utf8")));

  expect(files.length).toBeGreaterThan(0);
  expect(found).toEqual([]);
});

test.each([
  ["a name of ours", 'const a = "flowspan.tcp.io";'],
  ["a name of ours that the model does not have", "const a = 'flowspan.tcp.paint';"],
  ["a released name that the model uses", 'const a = { "service.name": 1 };'],
  ["the front of a family of names", "const a = `k8s.pod.label.$" + "{key}`;"],
])("%s in a string is found with its line", (_, line) => {
  expect(findNames("a.ts", `\n${line}\n`)).toEqual([expect.stringMatching(/^a\.ts:2: /)]);
});

test.each([
  ["a comment", " * Sends `flowspan.tcp.io`."],
  ["a file's name", 'import { a } from "./flowspan.ts";'],
  ["a sentence", 'log("flowspan.tcp.io is new");'],
  ["a path of the configuration", 'field("distribution.flowspan.interval");'],
])("a name in %s is no finding", (_, line) => {
  expect(findNames("a.ts", line)).toEqual([]);
});

/** `FILE:LINE: the string` of every string literal that is a name or, in a template, begins one. */
function findNames(file: string, text: string): string[] {
  return text.split("\n").flatMap((line, index) => {
    if (/^\s*(\/\/|\/\*|\*)/.test(line)) return [];
    const strings = line.matchAll(/(["'`])((?:\\.|(?!\1).)*)\1/g);
    return [...strings].flatMap(([, , content = ""]) =>
      isName(content) ? [`${file}:${index + 1}: take "${content}" from agent/generated/semconv.ts`] : [],
    );
  });
}

function isName(content: string): boolean {
  const name = content.replace(/\.?\$\{.*$/, "");
  return NAMES.has(name) || (/^flowspan(\.[a-z0-9_]+)+$/.test(name) && !name.endsWith(".ts"));
}

function registryNames(): Set<string> {
  const loaded = loadRegistry(readModel(resolve(ROOT, "semconv/model")), readUpstream());
  if ("problems" in loaded) throw new Error("the model is wrong: run node semconv/generate.ts");
  return new Set([...loaded.registry.attributes.keys(), ...loaded.registry.metrics.map(({ name }) => name)]);
}
