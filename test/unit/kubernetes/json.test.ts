/** Answers as values, and what is too deep for one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseJson } from "../../../agent/kubernetes/json.ts";

/** Long enough to be looked through before it is parsed. */
const padding = "x".repeat(20_000);

test("any JSON is what it was, brackets and escapes in its texts included", () => {
  const texts = fc.string({ unit: fc.constantFrom('"', "\\", "[", "]", "{", "}", "a") });
  const value = fc.oneof(fc.jsonValue(), fc.array(texts));
  fc.assert(
    fc.property(value, (value) => {
      const text = JSON.stringify([padding, value]);
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }),
  );
});

test.each([
  { depth: 199, deep: false },
  { depth: 200, deep: true },
])("$depth levels below the first are deep: $deep", ({ depth, deep }) => {
  const text = `["${padding}",${"[".repeat(depth)}${"]".repeat(depth)}]`;

  expect(parseJson(text) === undefined).toBe(deep);
});

test.each(["", "{", `"${padding}`, `${padding}`, `["\\"${padding}`])("what is no JSON is undefined", (text) => {
  expect(parseJson(text)).toBe(undefined);
});
