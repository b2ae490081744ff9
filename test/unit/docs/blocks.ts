/** Blocks of the documents that somebody copies: fenced with a language, or indented commands. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../../..");

export interface Block {
  /** From the tree's root. */
  readonly document: string;
  /** Of the fence; "" for a fence without one, "indented" for lines of four spaces. */
  readonly language: string;
  readonly text: string;
}

/** All of the tree's own documents. */
export function documents(): string[] {
  const below = (directory: string): string[] =>
    readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".md"))
      .map((path) => join(directory, path));
  const top = readdirSync(ROOT).filter((path) => path.endsWith(".md"));
  return [...top, ...below("docs"), ...below("deploy")].sort();
}

export function blocksOf(document: string): Block[] {
  return blocks(readFileSync(join(ROOT, document), "utf8")).map((block) => ({ document, ...block }));
}

/** A fence may stand in a list; an indented block follows an empty line, or one of its own. Notes of a footnote are text. */
export function blocks(markdown: string): Omit<Block, "document">[] {
  const found: { language: string; text: string }[] = [];
  let fence: { indent: string; block: { language: string; text: string } } | undefined;
  let indented: { language: string; text: string } | undefined;
  let isText = false;
  for (const line of markdown.split("\n")) {
    const [, indent = "", language = ""] = /^( *)(?:```|~~~)(.*)$/.exec(line) ?? [];
    const isFence = /^ *(```|~~~)/.test(line);
    if (fence !== undefined) {
      if (isFence) fence = undefined;
      else fence.block.text += `${line.slice(fence.indent.length)}\n`;
    } else if (isFence) {
      fence = { indent, block: { language: language.trim(), text: "" } };
      found.push(fence.block);
      indented = undefined;
    } else if (/^ {4}/.test(line) && !isText) {
      if (indented === undefined) {
        indented = { language: "indented", text: "" };
        found.push(indented);
      }
      indented.text += `${line.slice(4)}\n`;
    } else {
      if (line !== "") indented = undefined;
      isText = line !== "";
    }
  }
  return found;
}
