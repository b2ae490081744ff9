/** A kernel hook is its program, its row in `hooks[]`, and nothing else: a program without a row would be attached nowhere. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const BPF = fileURLToPath(new URL("../../../bpf", import.meta.url));

const read = (path: string) => readFileSync(join(BPF, path), "utf8");
const pairs = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map(([, one = "", other = ""]) => [one, other]).sort();

test("each program on a tracepoint has a row of that tracepoint in hooks[], and each row its program", () => {
  const headers = readdirSync(BPF, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".h"));
  const programs = pairs(headers.map(read).join("\n"), /^SEC\("tp_btf\/(\w+)"\)\nint BPF_PROG\((\w+),/gm).map(
    ([tracepoint, program]) => [program, tracepoint],
  );

  expect(programs.length).toBeGreaterThan(0);
  expect(pairs(read("load/features.c"), /^\t\{ "(\w+)", "(\w+)", (?:true|false),/gm)).toEqual(programs.sort());
});
