/**
 * The kinds of field that a setting can be: each knows what it allows, how to read it from YAML and from
 * text (a flag or a variable), and says in words why it refuses. Null never gets here: in OTel's
 * configuration it means "the default".
 *
 * Pure: no file is opened and no name resolved here. Whether a path exists is for its user to find out.
 */

import { isIP } from "node:net";
import type { LogLevel } from "../shared/log.ts";
import {
  type Field,
  field,
  type Read,
  type Refusal,
  refuse,
  type Words,
  type Written,
  type WrittenAt,
} from "./field.ts";
import { isPem, PEM } from "./problem.ts";

/** A field that may be left out: the empty text means "not set", as a variable that is not there leaves behind. */
export function optional<T>(words: Words<T | undefined>, inner: Field<T>): Field<T | undefined> {
  return field<T | undefined>(words, {
    allowed: inner.allowed,
    placeholder: inner.placeholder,
    ...(inner.textual === undefined ? {} : { textual: inner.textual }),
    fromYaml: (value, written) => (value === "" ? { value: undefined } : inner.fromYaml(value, written)),
    fromText: (value) => (value === "" ? { value: undefined } : inner.fromText(value)),
  });
}

export function text(words: Words<string>, allowed = "text", placeholder = "TEXT"): Field<string> {
  return checkedText(words, allowed, placeholder, (value) => ({ value }));
}

/** A text that `check` takes or refuses. */
export function checkedText(
  words: Words<string>,
  allowed: string,
  placeholder: string,
  check: (text: string) => Read<string>,
): Field<string> {
  const read = (given: unknown, written?: WrittenAt): Read<string> => {
    const value = textOf(given, written?.(""));
    if (typeof value === "number" || typeof value === "boolean") return unquoted(value, written?.(""));
    if (typeof value !== "string" || value === "") return refuse();
    // A key or a certificate instead of its path must not be printed either.
    if (isPem(value)) return refuse({ foundWords: PEM, remedy: "write it to a file, and name that" });
    if (value.includes("\0")) return refuse({ remedy: "remove the NUL character" });
    return check(value);
  };
  return field(words, { allowed, placeholder, textual: true, fromYaml: read, fromText: read });
}

/** What a variable filled in is text where text is wanted, also where YAML would see a number in it. */
export function textOf(value: unknown, written: Written | undefined): unknown {
  if (written?.filled === undefined || written.isTyped || typeof value === "string") return value;
  return written.filled;
}

/** A number or a boolean where text is wanted: quotes belong around what stands in the file. */
export function unquoted(value: number | boolean, written: Written | undefined): Refusal {
  return refuse({ remedy: `put it in quotes: "${written?.source ?? value}"` });
}

export function absolutePath(words: Words<string>): Field<string> {
  return checkedText(words, "an absolute path", "PATH", (value) =>
    value.startsWith("/") ? { value } : refuse({ remedy: "begin it with a slash" }),
  );
}

/** The path of a file that holds a secret: what is no path may be the secret itself, and is not shown. */
export function secretPath(words: Words<string>): Field<string> {
  return checkedText(words, "an absolute path", "PATH", (value) =>
    value.startsWith("/")
      ? { value }
      : refuse({ foundWords: NO_PATH, remedy: "name the file that holds it, with a slash at the beginning" }),
  );
}

const NO_PATH = "something that is no absolute path, not shown";

/** A Unix socket's path: the kernel takes at most 107 bytes. */
export function socketPath(words: Words<string>): Field<string> {
  return checkedText(words, "an absolute path of at most 107 bytes", "PATH", (value) => {
    if (!value.startsWith("/")) return refuse({ remedy: "begin it with a slash" });
    return Buffer.byteLength(value) <= 107 ? { value } : refuse({ remedy: "choose a shorter directory" });
  });
}

export function integer(words: Words<number>, range: { min: number; max: number; unit?: string }): Field<number> {
  const { min, max, unit } = range;
  const check = (value: unknown): Read<number> => {
    if (typeof value === "string" && /^\s*-?\d+\s*$/.test(value)) return refuse({ remedy: "remove the quotes" });
    const milliseconds = unit === "milliseconds" ? durationHint(value) : undefined;
    if (milliseconds !== undefined) return refuse({ remedy: `write it in milliseconds: ${milliseconds}` });
    if (typeof value !== "number" || !Number.isInteger(value)) return refuse({ remedy: "write a whole number" });
    if (value < min) return refuse({ remedy: `write ${min} or more` });
    return value > max ? refuse({ remedy: `write ${max} or less` }) : { value };
  };
  return field(words, {
    allowed: `${unit === undefined ? "a whole number" : `${unit}, a whole number`} from ${min} to ${max}`,
    placeholder: unit === "milliseconds" ? "MS" : "N",
    fromYaml: check,
    fromText: (value) => check(/^\s*-?\d+\s*$/.test(value) ? Number(value) : value),
  });
}

/** A share of a whole. */
export function ratio(words: Words<number>): Field<number> {
  const check = (value: unknown): Read<number> => {
    if (typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)))
      return refuse({ remedy: "remove the quotes" });
    if (typeof value !== "number" || Number.isNaN(value)) return refuse({ remedy: "write a number, as 0.1" });
    return value < 0 || value > 1 ? refuse({ remedy: "write a share of 1: a tenth is 0.1" }) : { value };
  };
  return field(words, {
    allowed: "a number from 0 to 1",
    placeholder: "RATIO",
    fromYaml: check,
    fromText: (value) => check(value.trim() === "" ? value : Number(value)),
  });
}

/** Milliseconds, as everywhere in OTel's configuration. */
export function milliseconds(words: Words<number>, range: { min: number; max: number }): Field<number> {
  return integer(words, { ...range, unit: "milliseconds" });
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationHint(value: unknown): number | undefined {
  const match = typeof value === "string" ? /^\s*(\d{1,9})\s*(ms|s|m|h)\s*$/.exec(value) : null;
  return match === null ? undefined : Number(match[1]) * (DURATION_UNITS[match[2] as string] as number);
}

export function boolean(words: Words<boolean>): Field<boolean> {
  const wrong = refuse({ remedy: "write true or false" });
  return field(words, {
    allowed: "true or false",
    placeholder: undefined,
    fromYaml: (value) => (typeof value === "boolean" ? { value } : wrong),
    fromText: (value) => {
      const word = value.trim().toLowerCase();
      return word === "true" || word === "false" ? { value: word === "true" } : wrong;
    },
  });
}

export function choice<const T extends string>(words: Words<T>, values: readonly T[]): Field<T> {
  const read = (value: unknown): Read<T> => {
    const match = values.find((candidate) => candidate === value);
    return match === undefined
      ? refuse({ remedy: `write one of them; ${words.default} is the default` })
      : { value: match };
  };
  return field(words, {
    allowed: values.join(", "),
    placeholder: values.join("|"),
    fromYaml: read,
    fromText: (value) => read(value.trim().toLowerCase()),
  });
}

/** `host:port`; an empty host means all addresses. */
export function listenAddress(words: Words<string>): Field<string> {
  return checkedText(words, "HOST:PORT, as 127.0.0.1:9464, [::1]:9464 or :9464", "HOST:PORT", (value) => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s[\]]*):(\d{1,5})$/.exec(value);
    return match !== null && Number(match[2]) <= 65535
      ? { value }
      : refuse({ remedy: "write a host, a colon and a port of at most 65535" });
  });
}

/** A list of words; in text separated by commas. */
export function words(stated: Words<readonly string[]>, what = "a list of names"): Field<readonly string[]> {
  return list(stated, what, (item, written) => {
    if (typeof item === "number" || typeof item === "boolean") return unquoted(item, written);
    return typeof item === "string" && item.trim() !== "" ? { value: item.trim() } : refuse();
  });
}

/** A list of IP prefixes: `10.0.0.0/8`, `fd00::/8`; an address alone is a prefix of its full length. */
export function prefixes(stated: Words<readonly string[]>): Field<readonly string[]> {
  return list(stated, "a list of IP prefixes, as 10.0.0.0/8 or fd00::/8", readPrefix);
}

function list(
  stated: Words<readonly string[]>,
  allowed: string,
  item: (value: unknown, written: Written | undefined) => Read<string>,
): Field<readonly string[]> {
  const read = (values: unknown, written?: WrittenAt): Read<readonly string[]> => {
    if (!Array.isArray(values)) return refuse({ remedy: "write a list: [a, b]" });
    const taken: string[] = [];
    for (const [index, given] of values.entries()) {
      const here = written?.(`[${index}]`);
      const value = textOf(given, here);
      const result = item(value, here);
      if ("refused" in result)
        return { remedy: "mend or remove this entry", ...result, below: `[${index}]`, found: value };
      taken.push(result.value);
    }
    return { value: taken };
  };
  return field(stated, {
    allowed,
    placeholder: "A,B",
    fromYaml: read,
    fromText: (value) =>
      read(
        value
          .split(",")
          .map((part) => part.trim())
          .filter((part) => part !== ""),
      ),
  });
}

function readPrefix(value: unknown): Read<string> {
  if (typeof value !== "string") return refuse();
  const [address = "", length, ...rest] = value.trim().split("/");
  const version = isIP(address);
  const bits = version === 4 ? 32 : 128;
  if (version === 0 || address.includes("%") || rest.length > 0)
    return refuse({ remedy: "write ADDRESS/LENGTH with an IPv4 or IPv6 address" });
  if (length === undefined) return { value: `${address}/${bits}` };
  const fits = /^\d{1,3}$/.test(length) && Number(length) <= bits;
  return fits ? { value: `${address}/${Number(length)}` } : refuse({ remedy: `write a length from 0 to ${bits}` });
}

/** Names for prefixes: `office: [10.8.0.0/16]`. */
export type NamedPrefixes = Readonly<Record<string, readonly string[]>>;

export function namedPrefixes(stated: Words<NamedPrefixes>): Field<NamedPrefixes> {
  const read = (value: unknown, written?: WrittenAt): Read<NamedPrefixes> => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return refuse({ remedy: "write NAME: [PREFIX, ...]" });
    const inner = prefixes({ summary: "", default: [], live: true });
    const taken: [string, readonly string[]][] = [];
    for (const [name, entry] of Object.entries(value)) {
      const result = inner.fromYaml(entry, (below) => written?.(`.${name}${below}`));
      if (!("refused" in result)) taken.push([name, result.value]);
      else
        return {
          ...result,
          allowed: inner.allowed,
          found: result.found ?? entry,
          below: `.${name}${result.below ?? ""}`,
        };
    }
    return { value: Object.fromEntries(taken) };
  };
  return field(stated, {
    allowed: "names, each with a list of IP prefixes",
    placeholder: "NAME",
    fromYaml: read,
    fromText: () => refuse({ remedy: "set it in the configuration file" }),
  });
}

/** OTel's severities in the file (`debug2`), OTEL_LOG_LEVEL's words in text (`verbose`, `none`). */
export function logLevel(stated: Words<LogLevel>): Field<LogLevel> {
  const severity = (value: unknown): Read<LogLevel> => {
    const match = typeof value === "string" ? /^(trace|debug|info|warn|error|fatal)[2-4]?$/.exec(value) : null;
    return match === null
      ? refuse({ remedy: "write one of them; info is the default" })
      : { value: match[1] as LogLevel };
  };
  const words: Readonly<Record<string, LogLevel>> = {
    none: "silent",
    silent: "silent",
    verbose: "trace",
    all: "trace",
    warning: "warn",
  };
  return field(stated, {
    allowed: "trace, debug, info, warn, error, fatal",
    placeholder: "LEVEL",
    fromYaml: severity,
    fromText: (value) => {
      const word = value.trim().toLowerCase();
      const level = words[word];
      return level === undefined ? severity(word) : { value: level };
    },
  });
}
