/**
 * One configuration file in, the values of its fields or its problems out.
 *
 * The file is OTel declarative configuration: @opentelemetry/configuration substitutes variables and
 * checks the schema. It stops at the first mistake and knows nothing of our section, so each field that
 * flowspan reads is checked here against the table, all at once and with its line.
 */
import { readFileSync } from "node:fs";
import type { Document } from "yaml";
import { isCollection, isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { Written } from "./field.ts";
import { textOf } from "./fields.ts";
import { emptyLayer, type Layer, take } from "./layer.ts";
import { foundText, type Problem, refusalProblem, suggest } from "./problem.ts";
import type { Row } from "./setting-rows.ts";
import { OURS, ROWS } from "./setting-rows.ts";
import { substitute } from "./substitute.ts";

/** A file's size is bounded: a mistaken path must not fill the memory. */
const FILE_MAX_BYTES = 4 * 1024 * 1024;

/** What `@opentelemetry/configuration` says about the file: its complaint, or undefined. */
export type SchemaCheck = (file: string) => string | undefined;

/**
 * Reads `file`. Never throws: an unreadable file is a problem like any other.
 *
 * @param env for `${VARIABLE}` in the file's values
 */
export function readConfigFile(file: string, env: NodeJS.ProcessEnv, checkSchema: SchemaCheck): Layer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const found = (error as NodeJS.ErrnoException).code ?? String(error);
    return refusedFile({
      source: file,
      path: "(file)",
      found,
      allowed: "a file that this user can read",
      remedy: `ls -l ${file}`,
    });
  }
  const parsed = parseConfigBytes(file, bytes, env);
  if (parsed.problems.length > 0) return parsed;
  const complaint = checkSchema(file);
  if (complaint !== undefined) parsed.problems.push(schemaProblem(file, complaint));
  return parsed;
}

/** The same without a file system and without the schema's own check. */
export function parseConfigBytes(file: string, bytes: Uint8Array, env: NodeJS.ProcessEnv): Layer {
  const whole = { source: file, path: "(file)" };
  if (bytes.length > FILE_MAX_BYTES) {
    const found = `${bytes.length} bytes`;
    return refusedFile({
      ...whole,
      found,
      allowed: `at most ${FILE_MAX_BYTES} bytes`,
      remedy: "check OTEL_CONFIG_FILE",
    });
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refusedFile({
      ...whole,
      found: "bytes that are not UTF-8",
      allowed: "YAML 1.2 in UTF-8",
      remedy: "save it as UTF-8",
    });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, {
    version: "1.2",
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "silent",
  });
  // A tag that nobody knows is a warning to the parser: what it stood before would be lost.
  const mistakes = [...document.errors, ...document.warnings];
  if (mistakes.length === 0) return new FileReader(file, document, lines, env).read();
  const layer = emptyLayer();
  for (const [index, error] of mistakes.entries()) {
    // Where the parser has lost its way, all that follows is unexpected to it.
    const isConsequence = mistakes
      .slice(0, index)
      .some(({ code }) => code === "UNEXPECTED_TOKEN" && code === error.code);
    if (isConsequence) continue;
    const source = `${file}:${lines.linePos(error.pos[0]).line}`;
    layer.problems.push({ ...whole, source, ...syntaxWords(error) });
  }
  return layer;
}

/** What the parser says, without the piece of the file that it quotes: that may be a secret. */
function syntaxWords({ code, message }: YAMLError): Pick<Problem, "found" | "allowed" | "remedy"> {
  const found =
    code === "BAD_COLLECTION_TYPE"
      ? "a tag that does not fit what it stands before"
      : message.replace(/(?<=\S): .*|(?<=escape sequence).*/s, "");
  const isMarked = code === "TAG_RESOLVE_FAILED" || code === "BAD_SCALAR_START" || code === "BAD_ALIAS";
  const quotes = "put the value in quotes: ! & * @ % and others mean something else at its beginning";
  return { found, allowed: "YAML 1.2", remedy: isMarked ? quotes : "mend the syntax at this line" };
}

function refusedFile(problem: Problem): Layer {
  const layer = emptyLayer();
  layer.problems.push(problem);
  return layer;
}

/** `/meter_provider/readers/0 must have required property 'x'` as a problem. */
function schemaProblem(file: string, complaint: string): Problem {
  const words = complaint.replace("Invalid OpenTelemetry config file: ", "").replace(`${file}: `, "");
  const match = /^(\/\S*)? (.*)$/s.exec(words);
  const path = (match?.[1] ?? "")
    .slice(1)
    .replace(/\/(\d+)/g, "[$1]")
    .replaceAll("/", ".");
  return {
    source: file,
    path: path === "" ? "(file)" : path,
    found: match === null ? words : "a value outside of OTel's schema",
    allowed: match?.[2] ?? "what opentelemetry-configuration 1.1 allows",
    remedy: "compare with https://opentelemetry.io/docs/specs/otel-config/types/",
  };
}

const LIST = "a list: - at the start of each item";

/** OTel's own parts that flowspan has no use for, as patterns on paths. */
const UNUSED = [
  /^(attribute_limits|logger_provider|propagator)$/,
  /^tracer_provider\.(limits|tracer_configurator\/development)$/,
  /^tracer_provider\.processors\[0\]\.batch\.export_timeout$/,
  /^instrumentation\/development$/,
  /^resource\.(schema_url|detection\/development)$/,
  /^meter_provider\.(views|exemplar_filter|meter_configurator\/development)$/,
  /^meter_provider\.readers\[0\]\.periodic\.(timeout|producers|cardinality_limits|max_export_batch_size\/development)$/,
  /\.otlp_grpc\.default_histogram_aggregation$/,
];

/** OTel's ways to do what flowspan does in one way only. */
const INSTEAD: readonly (readonly [RegExp, string])[] = [
  [
    /^meter_provider\.readers\[0\]\.pull$/,
    "flowspan pushes: use periodic with an otlp_grpc exporter, and let the Collector serve Prometheus",
  ],
  [/\.exporter\.(otlp_http|otlp_file\/development|console)$/, "use otlp_grpc, and port 4317 of the Collector"],
  [/^tracer_provider\.sampler$/, "set distribution.flowspan.spans.sampling"],
  [/^tracer_provider\.processors\[0\]\.simple$/, "use batch with an otlp_grpc exporter"],
  [/^tracer_provider\.processors\[[1-9]\d*\]$/, "keep one processor; let the Collector send to several places"],
  [/^meter_provider\.readers\[[1-9]\d*\]$/, "keep one reader; let the Collector send to several places"],
];

/** Walks one document along the table. Used once. */
class FileReader {
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
        found:
          SECRETS.some((secret) => path.startsWith(secret)) || hasSecretBelow(path)
            ? "(a secret, not shown)"
            : foundText(text),
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
    const known = knownBelow(path);
    for (const [key, value] of Object.entries(group)) {
      const isItem = Array.isArray(group);
      const herePath = isItem ? `${path}[${key}]` : path === "" ? nameText(key) : `${path}.${key}`;
      this.#readField(value, [...keys, isItem ? Number(key) : key], herePath, known);
    }
  }

  #readField(value: unknown, keys: readonly (string | number)[], path: string, known: readonly string[]): void {
    const renamed = RENAMED.get(path);
    if (renamed !== undefined) this.#layer.warnings.push(`${this.#file}: ${path} is called ${renamed} now`);
    const row = ROW_BY_PATH.get(renamed ?? path);
    if (row !== undefined) this.#readValue(row, value, keys, path);
    else if (path === "file_format" || isForeign(path) || value === null) return;
    else if (UNUSED.some((pattern) => pattern.test(path)))
      this.#layer.warnings.push(`${this.#file}: ${path} has no effect on flowspan`);
    else if (!GROUPS.has(path)) this.#unknown(path, keys, known);
    else if (typeof value === "object") this.#readGroup(value as object, keys, path);
    else {
      const fields = knownBelow(path);
      const isList = fields.length === 0;
      this.#problem(keys, path, {
        // `headers_list:a=b`, without the space that makes it a field, is text.
        found: typeof value === "string" && hasSecretBelow(path) ? "text, not shown" : foundText(value),
        allowed: isList ? LIST : `a group of ${fields.join(", ")}`,
        remedy: isList ? "write it as a list, or remove it" : `write ${fields[0]}: on a line of its own below it`,
      });
    }
  }

  #readValue(row: Row, value: unknown, keys: readonly (string | number)[], path: string): void {
    const { field } = row;
    const written = (below: string) => this.#written.get(path + below);
    // OTel: null is the default. A variable's text that reads as null is text.
    if (value === null && !(field.textual && textOf(value, written("")) !== null)) return;
    const result = field.fromYaml(value, written);
    const below = "refused" in result ? (result.below ?? "") : "";
    const line = this.#lineOf([...keys, ...keysOf(below)]);
    const where = { source: line === undefined ? this.#file : `${this.#file}:${line}`, path: path + below };
    if (!("refused" in result)) take(this.#layer, row.keys, where, result);
    else this.#layer.problems.push(refusalProblem(where, field, result, value, written(below)));
  }

  #unknown(path: string, keys: readonly (string | number)[], known: readonly string[]): void {
    const name = String(keys.at(-1));
    const near = suggest(name, known);
    const instead = INSTEAD.find(([pattern]) => pattern.test(path))?.[1];
    this.#problem(keys, path, {
      found: instead === undefined ? "a field that flowspan does not know" : "something that flowspan does not do",
      // No names are known below a list that is written as a group.
      allowed: known.length > 0 ? known.join(", ") : LIST,
      remedy: instead ?? (near === undefined ? "remove it" : `did you mean ${near}?`),
    });
  }

  #problem(keys: readonly (string | number)[], path: string, words: Omit<Problem, "source" | "path">): void {
    const line = this.#lineOf(keys);
    this.#layer.problems.push({ source: line === undefined ? this.#file : `${this.#file}:${line}`, path, ...words });
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

const ROW_BY_PATH = new Map(ROWS.filter(({ path }) => path !== "").map((row) => [row.path, row]));

/** Fields under the names that they had in 0.1: read, with a warning. */
const RENAMED = new Map([["distribution.flowspan.spans.stretch", "distribution.flowspan.spans.active_timeout"]]);

const SECRETS = ROWS.filter(({ field }) => field.secret).map(({ path }) => path);

const hasSecretBelow = (path: string): boolean => SECRETS.some((secret) => secret.startsWith(path));

/** Every path that has fields below it: `distribution`, `meter_provider.readers`, `meter_provider.readers[0]`, … */
const GROUPS = new Set([...ROW_BY_PATH.keys()].flatMap(prefixesOf));

/** `a.b[0].c` → `a`, `a.b`, `a.b[0]`. */
function prefixesOf(path: string): string[] {
  return [...path.matchAll(/\.|\[/g)].map((match) => path.slice(0, match.index));
}

/** `.office[1]` → `office`, 1. */
function keysOf(below: string): (string | number)[] {
  return [...below.matchAll(/\[(\d+)\]|\.([^.[]+)/g)].map(([, index, name]) => name ?? Number(index));
}

/** The names that may stand below a path, in the table's order. */
function knownBelow(path: string): string[] {
  if (path === "distribution") return [OURS.split(".")[1] as string];
  const start = path === "" ? "" : `${path}.`;
  const below = [...(path === "" ? ["file_format"] : []), ...ROW_BY_PATH.keys()].filter((candidate) =>
    candidate.startsWith(start),
  );
  return [...new Set(below.map((candidate) => candidate.slice(start.length).split(/[.[]/)[0] as string))];
}

/** Another distribution's section, or a field of a kind that OTel leaves to others. */
function isForeign(path: string): boolean {
  return (
    /^distribution\.[^.]+$/.test(path) &&
    !path.startsWith(OURS) &&
    suggest(path.split(".")[1] ?? "", ["flowspan"]) === undefined
  );
}
