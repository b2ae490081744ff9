/**
 * Makes a failing program small: leaves out ever smaller runs of lines for as long as what is left still fails, and then
 * makes numbers small. Many candidates are tried at once, since a batch takes no longer than its slowest program.
 */
import type { Program } from "./program.ts";

/** @returns for each candidate whether it still fails in the same way */
export type Trial = (candidates: readonly Program[]) => Promise<readonly boolean[]>;

export async function shrink(program: Program, fails: Trial): Promise<Program> {
  let small = program;
  let size = Math.ceil(small.length / 2);
  while (size >= 1) {
    const next = await withoutRuns(small, size, fails);
    if (next.length < small.length) small = next;
    else if (size === 1) break;
    else size = Math.ceil(size / 2);
    if (size > small.length) size = Math.max(1, Math.ceil(small.length / 2));
  }
  return simplify(small, fails);
}

/** Leaves out every run of that size which the failure does not need; all at once where they go together. */
async function withoutRuns(program: Program, size: number, fails: Trial): Promise<Program> {
  const starts = Array.from({ length: Math.ceil(program.length / size) }, (_, i) => i * size);
  const verdicts = await fails(starts.map((start) => without(program, [start], size)));
  const spare = starts.filter((_, i) => verdicts[i]);
  if (spare.length === 0) return program;
  const half = spare.filter((_, i) => i % 2 === 0);
  const together = [
    without(program, spare, size),
    without(program, half, size),
    without(program, spare.slice(0, 1), size),
  ];
  const kept = await fails(together);
  return together.find((_, i) => kept[i]) ?? program;
}

function without(program: Program, starts: readonly number[], size: number): Program {
  return program.filter((_, i) => !starts.some((start) => i >= start && i < start + size));
}

/** Words behind the fourth are options and sizes: each may be missing, or be smaller. */
async function simplify(program: Program, fails: Trial): Promise<Program> {
  let small = program;
  for (let line = 0; line < small.length; line++) {
    const candidates = simpler(small[line] ?? "").map((text) => small.map((each, i) => (i === line ? text : each)));
    if (candidates.length === 0) continue;
    const verdicts = await fails(candidates);
    small = candidates.find((_, i) => verdicts[i]) ?? small;
  }
  return small;
}

function simpler(line: string): string[] {
  const words = line.split(" ");
  const [, name] = words;
  if (name === "sock" && words.length > 4) return [words.slice(0, 4).join(" ")];
  if (name === "send" && Number(words[3]) > 23)
    return ["1", "23", "1009"].map((size) => [...words.slice(0, 3), size].join(" "));
  return [];
}
