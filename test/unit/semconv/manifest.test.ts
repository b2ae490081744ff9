/** The manifest that Weaver reads first names this tree's version and the conventions that the generator reads. */
import { expect, test } from "vitest";
import { checkManifest } from "../../../semconv/manifest.ts";

const VERSIONS = { own: "0.7.0", conventions: "1.45.0" };
const DEPENDENCY = {
  schema_url: "https://opentelemetry.io/schemas/1.45.0",
  registry_path: "https://example.com/conventions@v1.45.0[model]",
};
const MANIFEST = { schema_url: "https://example.com/schemas/0.7.0", dependencies: [DEPENDENCY] };

/** YAML is a superset of JSON. */
const problemsOf = (manifest: object) =>
  checkManifest(JSON.stringify(manifest), VERSIONS).map(({ path, message }) => `${path} ${message}`);

test("a manifest with both versions is right", () => {
  expect(problemsOf(MANIFEST)).toEqual([]);
});

test("a missing manifest is a problem", () => {
  expect(checkManifest(undefined, VERSIONS)).toEqual([
    {
      file: "manifest.yaml",
      path: "",
      message: "is missing",
      remedy: "Weaver reads it first: write schema_url and dependencies",
    },
  ]);
});

test.each([
  ["of another version", { schema_url: "https://example.com/schemas/0.6.9" }, "https://example.com/schemas/0.6.9"],
  ["that is none", { schema_url: "flowspan/0.7.0" }, "flowspan/0.7.0"],
  ["without a path", { schema_url: "https://example.com/0.7.0" }, "https://example.com/0.7.0"],
])("a schema URL %s is a problem", (_, fields, url) => {
  expect(problemsOf({ ...MANIFEST, ...fields })).toEqual([`schema_url is "${url}"`]);
});

test("no dependency is two problems: which, and where", () => {
  expect(problemsOf({ ...MANIFEST, dependencies: undefined })).toEqual([
    "dependencies are []",
    "dependencies[0].registry_path is undefined",
  ]);
});

test.each([
  ["other conventions", { schema_url: "https://opentelemetry.io/schemas/1.44.0" }, "dependencies are "],
  [
    "a place of another version",
    { registry_path: "https://example.com/conventions@v1.44.0[model]" },
    "dependencies[0]",
  ],
  ["no place", { registry_path: undefined }, "dependencies[0].registry_path is undefined"],
])("a dependency on %s is a problem", (_, fields, problem) => {
  expect(problemsOf({ ...MANIFEST, dependencies: [{ ...DEPENDENCY, ...fields }] })).toEqual([
    expect.stringContaining(problem),
  ]);
});

test("a manifest that is no YAML is a problem, not a stack trace", () => {
  expect(checkManifest("a: [", VERSIONS)).toEqual([expect.objectContaining({ remedy: "mend the YAML" })]);
});
