/** Any file at all: nothing crashes the reader, and what it refuses it names. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { parseConfigBytes } from "../../../agent/config/file.ts";
import { OURS, ROWS } from "../../../agent/config/setting-rows.ts";

const RUNS = { numRuns: 300 };
const bytes = (text: string) => new TextEncoder().encode(text);

/** Names that the table knows, and some that it does not. */
const names = [
  ...new Set(ROWS.flatMap(({ path }) => path.split(/[.[\]]+/)).filter(Boolean)),
  "x",
  "__proto__",
  "constructor",
];

const tree = fc.letrec((tie) => ({
  node: fc.oneof({ depthSize: "small" }, tie("leaf"), tie("group"), fc.array(tie("node"), { maxLength: 3 })),
  leaf: fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
  group: fc.dictionary(fc.constantFrom(...names), tie("node"), { maxKeys: 5 }),
}));

describe("a configuration file", () => {
  test("arbitrary bytes never crash the reader", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (content) => {
        const { problems } = parseConfigBytes("f", content, {});
        for (const problem of problems) expect(Object.values(problem)).not.toContain("");
      }),
      RUNS,
    );
  });

  test("arbitrary text never crashes the reader", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab:-[]\n \"'&*!|>%@`#,?$", ..."{}~0.") }), (content) => {
        parseConfigBytes("f", bytes(content), { a: "1" });
      }),
      RUNS,
    );
  });

  test("arbitrary values under known names never crash the reader, and every problem has a place in the file", () => {
    fc.assert(
      fc.property(tree.group, (content) => {
        const text = stringify({ file_format: "1.1", ...(content as object) });
        const { problems } = parseConfigBytes("f", bytes(text), {});
        for (const problem of problems) {
          expect(problem.source).toMatch(/^f(:\d+)?$/);
          expect(Object.values(problem)).not.toContain("");
        }
      }),
      RUNS,
    );
  });

  test("whatever a field of ours refuses is refused under that field's own path", () => {
    const rows = ROWS.filter(({ path }) => path.startsWith(OURS));
    const wrong = fc.oneof(
      // A share of 1 is what a ratio allows.
      fc.double({ noInteger: true, noNaN: true }).filter((value) => value < 0 || value > 1),
      fc.constant([[1]]),
      fc.constant({ a: { b: 1 } }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...rows), wrong, ({ path }, value) => {
        const content = path.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;
        const { problems } = parseConfigBytes("f", bytes(stringify({ file_format: "1.1", ...content })), {});
        expect(problems.map((problem) => problem.path)).toEqual([
          expect.stringMatching(new RegExp(`^${path.replaceAll(".", "\\.")}`)),
        ]);
      }),
      RUNS,
    );
  });
});
