/** Rows → values.yaml: each value with its default, below its description. */
import { stringify } from "yaml";
import { type Group, isValue, treeOf } from "./tree.ts";
import type { Value } from "./value.ts";

const WIDTH = 118;

export function renderValues(values: readonly Value[], origin: string): string {
  return [`# ${origin}`, "# README.md has all values as a table.", ...linesOf(treeOf(values), ""), ""].join("\n");
}

function linesOf(group: Group, indent: string): string[] {
  return Object.entries(group).flatMap(([name, entry]) => {
    if (!isValue(entry)) return [...(indent === "" ? [""] : []), `${indent}${name}:`, ...linesOf(entry, `${indent}  `)];
    const yaml = stringify({ [name]: entry.default }, { lineWidth: 0 }).trimEnd();
    return [...comment(entry.description, indent), ...yaml.split("\n").map((line) => indent + line)];
  });
}

function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${indent}# ${word}`);
  }
  return lines;
}
