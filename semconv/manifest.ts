/**
 * Checks the model's manifest, which says to OpenTelemetry's own tool (Weaver) which registry this is and which
 * released conventions its `ref`s are of. Pure: text in, problems out.
 *
 * Versions must be those of this tree, so that what Weaver checks is what the generator takes names from.
 */
import { parseDocument } from "yaml";
import { schemaUrl } from "./render-code.ts";
import type { Problem } from "./types.ts";

export const MANIFEST = "manifest.yaml";

/** `https://SERVER/PATH/VERSION`, as the specification has schema URLs. */
const SCHEMA_URL = /^https?:\/\/[^/\s]+\/\S+\/(\d+\.\d+\.\d+)$/;

export interface Versions {
  readonly own: string;
  readonly conventions: string;
}

/** @param text undefined: there is no such file */
export function checkManifest(text: string | undefined, { own, conventions }: Versions): readonly Problem[] {
  const say = (path: string, message: string, remedy: string) => ({ file: MANIFEST, path, message, remedy });
  if (text === undefined) return [say("", "is missing", "Weaver reads it first: write schema_url and dependencies")];
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) return [say("", error.code, "mend the YAML")];
  const manifest: unknown = document.toJS();
  const { schema_url, dependencies } = isFields(manifest) ? manifest : {};
  const problems: Problem[] = [];
  if (typeof schema_url !== "string" || SCHEMA_URL.exec(schema_url)?.[1] !== own) {
    const remedy = `write a schema URL that ends in package.json's version: /${own}`;
    problems.push(say("schema_url", `is ${JSON.stringify(schema_url)}`, remedy));
  }
  const list: readonly unknown[] = Array.isArray(dependencies) ? dependencies : [];
  const urls = list.map((dependency) => (isFields(dependency) ? dependency.schema_url : undefined));
  if (urls.length !== 1 || urls[0] !== schemaUrl(conventions)) {
    const remedy = `write one, of the conventions that the generator reads: ${schemaUrl(conventions)}`;
    problems.push(say("dependencies", `are ${JSON.stringify(urls)}`, remedy));
  }
  const path = isFields(list[0]) ? list[0].registry_path : undefined;
  if (typeof path !== "string" || !path.includes(`@v${conventions}[`)) {
    const remedy = `say where version ${conventions} is: REPOSITORY@v${conventions}[model]`;
    problems.push(say("dependencies[0].registry_path", `is ${JSON.stringify(path)}`, remedy));
  }
  return problems;
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
