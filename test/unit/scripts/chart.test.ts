/** The chart's values as rows: what is made of them says the same. */
import { expect, test } from "vitest";
import { parse } from "yaml";
import { renderReadme } from "../../../scripts/chart/readme.ts";
import { renderSchema } from "../../../scripts/chart/schema.ts";
import { treeOf } from "../../../scripts/chart/tree.ts";
import { text, type Value } from "../../../scripts/chart/value.ts";
import { VALUES } from "../../../scripts/chart/values.ts";
import { renderValues } from "../../../scripts/chart/values-file.ts";

const ORIGIN = "Generated.";
const LONG = "Many words ".repeat(23).trim();

function value(path: string, fallback: unknown = "", description = "What it does."): Value {
  return { path, schema: text, default: fallback, description };
}

test("values.yaml has each default at its path, below its description", () => {
  const yaml = renderValues([value("a.b", "x: y"), value("c", [{ d: 1 }], LONG)], ORIGIN);

  expect(parse(yaml)).toEqual({ a: { b: "x: y" }, c: [{ d: 1 }] });
  const comment = yaml.split("\n").filter((line) => line.startsWith("# Many") || line.startsWith("# words"));
  expect(comment.length).toBeGreaterThan(1);
  expect(Math.max(...yaml.split("\n").map((line) => line.length))).toBeLessThanOrEqual(120);
});

test("the schema takes no other value, and has each description and default", () => {
  const { properties, additionalProperties } = JSON.parse(renderSchema([value("a.b", "x")], ORIGIN));

  expect(additionalProperties).toBe(false);
  expect(properties.a).toEqual({
    type: "object",
    properties: { b: { description: "What it does.", type: "string", default: "x" } },
    additionalProperties: false,
  });
});

test.each([
  ["is there twice", [value("a"), value("a")]],
  ["is below a value", [value("a"), value("a.b")]],
  ["is there twice", [value("a.b"), value("a")]],
])("a path that %s is refused", (message, values) => {
  expect(() => treeOf(values)).toThrow(message);
});

test("the README has one row for each value, and its prose must leave room for them", () => {
  const page = renderReadme("Prose.\n<!-- values -->\n", VALUES, ORIGIN);

  expect([...page.matchAll(/^\| `([^`]+)`/gm)].map(([, path]) => path)).toEqual(VALUES.map(({ path }) => path));
  expect(() => renderReadme("Prose.", VALUES, ORIGIN)).toThrow("<!-- values -->");
});
