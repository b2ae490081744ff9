/**
 * Fills `${VARIABLES}` into the values of one YAML document, as OTel's declarative configuration does, and keeps how
 * each value stood in the file: whoever mends it must read that and not what became of it.
 *
 * Changes the document. Names of fields are left alone, and no variable can bring in a list or a group.
 */
import { type Document, isMap, isScalar, isSeq, parseDocument, Scalar } from "yaml";
import type { Written } from "./field.ts";

export interface Substitution {
  /** By path (`a.b[0]`): values that variables were filled into, and those that YAML makes something of. */
  readonly written: ReadonlyMap<string, Written>;
  /** `${...}` that are no references. Their values are left out. */
  readonly malformed: readonly { readonly path: string; readonly offset: number; readonly text: string }[];
}

/** @param isTyped whether a schema goes by what YAML makes of the value at a path */
export function substitute(
  document: Document,
  env: NodeJS.ProcessEnv,
  isTyped: (path: string) => boolean,
): Substitution {
  const written = new Map<string, Written>();
  const malformed: { path: string; offset: number; text: string }[] = [];

  const visit = (node: unknown, path: string): void => {
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const name = String(isScalar(key) ? key.value : key);
        visit(value, path === "" ? name : `${path}.${name}`);
      }
    } else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) visit(item, `${path}[${index}]`);
    } else if (isScalar(node)) visitScalar(node, path);
  };

  const visitScalar = (node: Scalar, path: string): void => {
    const { value, source } = node;
    if (typeof value === "number" || typeof value === "boolean") {
      if (source !== undefined) written.set(path, { source, filled: undefined, isTyped: isTyped(path) });
      return;
    }
    if (typeof value !== "string") return;
    const { filled, wrong } = fill(value, env);
    if (wrong !== undefined) {
      malformed.push({ path, offset: node.range?.[0] ?? 0, text: wrong });
      node.value = null; // as if left out: one mistake, one problem
    } else if (filled !== value) {
      if (filled.trim() !== "") written.set(path, { source: value, filled, isTyped: isTyped(path) });
      node.value = node.type === Scalar.PLAIN ? coerce(filled) : filled;
    }
  };

  visit(document.contents, "");
  return { written, malformed };
}

/** @returns the text with its references filled in, and the first reference that is none */
function fill(text: string, env: NodeJS.ProcessEnv): { filled: string; wrong: string | undefined } {
  let wrong: string | undefined;
  const part = (piece: string) =>
    piece.replace(/\$\{(?:env:)?([^}]+)\}/g, (whole, reference: string) => {
      const match = /^([a-zA-Z_][a-zA-Z0-9_]*)(?::-([^\n}]*))?$/.exec(reference);
      if (match === null) wrong ??= whole;
      const value = env[match?.[1] ?? ""] ?? "";
      return value.trim() === "" ? (match?.[2] ?? "") : value;
    });
  const filled = text.split("$$").map(part).join("$");
  return { filled, wrong };
}

/** What YAML makes of the filled-in text where that is a number, a boolean or null; else the text. */
function coerce(filled: string): unknown {
  if (filled.trim() === "") return null;
  const { contents, errors } = parseDocument(filled, { version: "1.2", logLevel: "silent" });
  // A comment, a tag or an anchor would be part of the text.
  if (errors.length > 0 || !isScalar(contents) || contents.source !== filled.trim()) return filled;
  const { value } = contents;
  return value === null || typeof value === "number" || typeof value === "boolean" ? value : filled;
}
