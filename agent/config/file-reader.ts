/**
 * One YAML document in, the values of its fields or its problems out.
 *
 * Each field that flowspan reads is checked against the table, all at once and with its line.
 */
import type { Document, LineCounter } from "yaml";
import { isCollection, isMap, isScalar, isSeq } from "yaml";
import type { Written } from "./field.ts";
import {
  canonical,
  GROUPS,
  holdsSecret,
  insteadOf,
  isEncoding,
  isForeign,
  isUnused,
  knownBelow,
  protocolAt,
  ROW_BY_FORMER_PATH,
  ROW_BY_PATH,
} from "./field-paths.ts";
import { textOf } from "./fields.ts";
import { emptyLayer, type Layer, type Origin, take } from "./layer.ts";
import { foundText, type Problem, refusalProblem, suggest } from "./problem.ts";
import { OURS, type Row } from "./setting-rows.ts";
import { substitute } from "./substitute.ts";

const LIST = "a list: - at the start of each item";

/** Walks one document along the table. Used once. */
export class FileReader {
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #layer = emptyLayer();
  readonly #env: NodeJS.ProcessEnv;
  #written: ReadonlyMap<string, Written> = new Map();

  constructor(file: string, document: Document, lines: LineCounter, env: NodeJS.ProcessEnv) {
    this.#file = file;
    this.#document = document;
    this.#lines = lines;
    this.#env = env;
  }

  read(): Layer {
    this.#substitute();
    let root: unknown;
    try {
      root = this.#document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      // The message quotes the alias, which may be a password that begins with an asterisk.
      this.#problem([], "(file)", {
        found: `an alias that cannot be resolved (${(error as Error).name})`,
        allowed: "aliases that name an anchor above",
        remedy: "put a value that begins with * in quotes, or write out what the alias stands for",
      });
      return this.#layer;
    }
    if (typeof root !== "object" || root === null || Array.isArray(root)) {
      this.#problem([], "(file)", {
        found: foundText(root ?? null),
        allowed: "a group of fields",
        remedy: 'begin with file_format: "1.1"',
      });
      return this.#layer;
    }
    this.#readFormat(root);
    this.#readGroup(root, [], "");
    return this.#layer;
  }

  /** OTel's substitution, in values only; an unquoted one may become a number, a boolean or null. */
  #substitute(): void {
    const { written, malformed } = substitute(this.#document, this.#env, (path) => !path.startsWith(OURS));
    this.#written = written;
    for (const { path, offset, text } of malformed) {
      this.#layer.problems.push({
        source: `${this.#file}:${this.#lines.linePos(offset).line}`,
        path,
        found: holdsSecret(path) ? "(a secret, not shown)" : foundText(text),
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a substitution, for a person
        allowed: "${NAME}, ${NAME:-default}, ${env:NAME}; $$ for a dollar sign",
        remedy: "mend the substitution",
      });
    }
  }

  #readFormat(root: object): void {
    const format = (root as { file_format?: unknown }).file_format;
    const allowed = '"1.0" or "1.1", in quotes';
    if (format === undefined) {
      this.#problem([], "file_format", { found: "no such field", allowed, remedy: 'add the line file_format: "1.1"' });
    } else if (typeof format !== "string" || !/^1\.\d+(-.*)?$/.test(format)) {
      this.#problem(["file_format"], "file_format", {
        found: foundText(format),
        allowed,
        remedy: 'write file_format: "1.1"',
      });
    }
  }

  #readGroup(group: object, keys: readonly (string | number)[], path: string): void {
    const known = knownBelow(canonical(path));
    for (const [key, value] of Object.entries(group)) {
      const isItem = Array.isArray(group);
      const herePath = isItem ? `${path}[${key}]` : path === "" ? nameText(key) : `${path}.${key}`;
      this.#readField(value, [...keys, isItem ? Number(key) : key], herePath, known);
    }
  }

  #readField(value: unknown, keys: readonly (string | number)[], path: string, known: readonly string[]): void {
    this.#readProtocol(value, keys, path);
    const place = canonical(path);
    const renamed = ROW_BY_FORMER_PATH.get(place);
    if (renamed !== undefined) this.#layer.warnings.push(`${this.#file}: ${path} is called ${renamed.path} now`);
    const row = renamed ?? ROW_BY_PATH.get(place);
    if (row !== undefined) this.#readValue(row, value, keys, path);
    else if (path === "file_format" || isForeign(path) || value === null || isEncoding(path)) return;
    else if (isUnused(place)) this.#layer.warnings.push(`${this.#file}: ${path} has no effect on flowspan`);
    else if (!GROUPS.has(place)) this.#unknown(path, keys, known);
    else if (typeof value === "object") this.#readGroup(value as object, keys, path);
    else {
      const fields = knownBelow(place);
      const isList = fields.length === 0;
      this.#problem(keys, path, {
        // `headers_list:a=b`, without the space that makes it a field, is text.
        found: typeof value === "string" && holdsSecret(path) ? "text, not shown" : foundText(value),
        allowed: isList ? LIST : `a group of ${fields.join(", ")}`,
        remedy: isList ? "write it as a list, or remove it" : `write ${fields[0]}: on a line of its own below it`,
      });
    }
  }

  /** An exporter's name says its protocol, also where it has no fields. */
  #readProtocol(value: unknown, keys: readonly (string | number)[], path: string): void {
    const protocol = protocolAt(path);
    if (protocol !== undefined) take(this.#layer, protocol.keys, this.#where(keys, path), protocol);
    if (!isEncoding(path) || value === null || value === "protobuf") return;
    const remedy = "write protobuf, or remove it: flowspan sends no JSON";
    this.#problem(keys, path, { found: foundText(value), allowed: "protobuf", remedy });
  }

  #where(keys: readonly (string | number)[], path: string): Origin {
    const line = this.#lineOf(keys);
    return { source: line === undefined ? this.#file : `${this.#file}:${line}`, path };
  }

  #readValue(row: Row, value: unknown, keys: readonly (string | number)[], path: string): void {
    const { field } = row;
    const written = (below: string) => this.#written.get(path + below);
    // OTel: null is the default. A variable's text that reads as null is text.
    if (value === null && !(field.textual && textOf(value, written("")) !== null)) return;
    const other = this.#layer.origins.get(row.keys.join("."));
    if (other !== undefined) {
      const found = `the same setting under two names: ${other.path} is there too`;
      this.#problem(keys, path, {
        found,
        allowed: row.path,
        remedy: `remove ${path === row.path ? other.path : path}`,
      });
      return;
    }
    const result = field.fromYaml(value, written);
    const below = "refused" in result ? (result.below ?? "") : "";
    const where = this.#where([...keys, ...keysOf(below)], path + below);
    if (!("refused" in result)) take(this.#layer, row.keys, where, result);
    else this.#layer.problems.push(refusalProblem(where, field, result, value, written(below)));
  }

  #unknown(path: string, keys: readonly (string | number)[], known: readonly string[]): void {
    const name = String(keys.at(-1));
    const near = suggest(name, known);
    const instead = insteadOf(path);
    this.#problem(keys, path, {
      found: instead === undefined ? "a field that flowspan does not know" : "something that flowspan does not do",
      // No names are known below a list that is written as a group.
      allowed: known.length > 0 ? known.join(", ") : LIST,
      remedy: instead ?? (near === undefined ? "remove it" : `did you mean ${near}?`),
    });
  }

  #problem(keys: readonly (string | number)[], path: string, words: Omit<Problem, "source" | "path">): void {
    this.#layer.problems.push({ ...this.#where(keys, path), ...words });
  }

  /** The line of the innermost key that exists in the file itself (an alias's content stands elsewhere). */
  #lineOf(keys: readonly (string | number)[]): number | undefined {
    let node: unknown = this.#document.contents;
    let offset: number | undefined;
    for (const key of keys) {
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
        if (isScalar(pair?.key)) offset = pair.key.range?.[0] ?? offset;
        node = pair?.value;
      } else if (isSeq(node)) {
        node = node.items[Number(key)];
        if (isScalar(node) || isCollection(node)) offset = node.range?.[0] ?? offset;
      }
    }
    return offset === undefined ? undefined : this.#lines.linePos(offset).line;
  }
}

const nameText = (key: string): string => (key.trim() === "" ? JSON.stringify(key) : key);

/** `.office[1]` → `office`, 1. */
function keysOf(below: string): (string | number)[] {
  return [...below.matchAll(/\[(\d+)\]|\.([^.[]+)/g)].map(([, index, name]) => name ?? Number(index));
}
