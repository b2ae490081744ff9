/**
 * One configuration file in, the values of its fields or its problems out.
 *
 * The file is OTel declarative configuration, and @opentelemetry/configuration checks its schema. That stops at the
 * first mistake and knows nothing of our section, so file-reader.ts checks each field that flowspan reads.
 */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { LineCounter, parseDocument, type YAMLError } from "yaml";
import { othersFile, othersHand } from "./file-owner.ts";
import { FileReader } from "./file-reader.ts";
import { emptyLayer, type Layer } from "./layer.ts";
import type { Problem } from "./problem.ts";

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
    const open = openSync(file, "r");
    try {
      const found = othersHand(fstatSync(open), env);
      if (found !== undefined) return refusedFile(othersFile(file, found));
      bytes = readFileSync(open);
    } finally {
      closeSync(open);
    }
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
