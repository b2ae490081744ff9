/**
 * The kinds of field that a setting can be: each knows what it allows, how to read it from YAML and from
 * text (a flag or a variable), and says in words why it refuses. Null never gets here: in OTel's
 * configuration it means "the default".
 *
 * Pure: no file is opened and no name resolved here. Whether a path exists is for its user to find out.
 */
import { isIP } from "node:net";
import { bracketed } from "./bare-host.ts";

/** Why a value was not taken. Words that are missing are filled in by the field. */
export interface Refusal {
  readonly refused: true;
  /** Path below the field: `[2].value`. */
  readonly below?: string;
  readonly found?: unknown;
  readonly allowed?: string;
  readonly remedy?: string;
}

export type Read<T> = { readonly value: T } | Refusal;

/** What every setting states, besides its kind. */
export interface Words<T> {
  readonly summary: string;
  readonly default: T;
  /** The default in words, where the value itself says too little. */
  readonly defaultText?: string;
  /** True: a changed file takes effect at once. False: the agent has to be started again. */
  readonly live: boolean;
  /** The command line flag, without dashes. */
  readonly flag?: string;
  /** Variables that set it, the first one set wins. */
  readonly env?: readonly string[];
  /** Where the OTel schema puts it in the file; else it is ours, named after its key. */
  readonly standard?: string;
  /** True: its value is never printed. */
  readonly secret?: boolean;
}

export interface Field<T> extends Words<T> {
  readonly kind: "field";
  readonly allowed: string;
  /** The placeholder in `--help`; undefined for a flag that takes no value. */
  readonly placeholder: string | undefined;
  fromYaml(value: unknown): Read<T>;
  fromText(text: string): Read<T>;
}

const refuse = (refusal: Omit<Refusal, "refused"> = {}): Refusal => ({ refused: true, ...refusal });

interface Kind<T> {
  readonly allowed: string;
  readonly placeholder: string | undefined;
  fromYaml(value: unknown): Read<T>;
  fromText(text: string): Read<T>;
}

function field<T>(words: Words<T>, kind: Kind<T>): Field<T> {
  return { kind: "field", ...words, ...kind };
}

/** A field that may be left out: the empty text means "not set", as a variable that is not there leaves behind. */
export function optional<T>(words: Words<T | undefined>, inner: Field<T>): Field<T | undefined> {
  return field<T | undefined>(words, {
    allowed: inner.allowed,
    placeholder: inner.placeholder,
    fromYaml: (value) => (value === "" ? { value: undefined } : inner.fromYaml(value)),
    fromText: (value) => (value === "" ? { value: undefined } : inner.fromText(value)),
  });
}

export function text(words: Words<string>, allowed = "text", placeholder = "TEXT"): Field<string> {
  const read = (value: unknown): Read<string> => {
    if (typeof value === "number") return refuse({ remedy: `put it in quotes: "${value}"` });
    if (typeof value !== "string" || value === "") return refuse();
    return value.includes("\0") ? refuse({ remedy: "remove the NUL character" }) : { value };
  };
  return field(words, { allowed, placeholder, fromYaml: read, fromText: read });
}

export function absolutePath(words: Words<string>): Field<string> {
  const inner = text(words, "an absolute path", "PATH");
  const read = (value: unknown): Read<string> => {
    const result = inner.fromYaml(value);
    if ("refused" in result) return result;
    return result.value.startsWith("/") ? result : refuse({ remedy: "begin it with a slash" });
  };
  return { ...inner, fromYaml: read, fromText: read };
}

/** A Unix socket's path: the kernel takes at most 107 bytes. */
export function socketPath(words: Words<string>): Field<string> {
  const inner = absolutePath(words);
  const read = (value: unknown): Read<string> => {
    const result = inner.fromYaml(value);
    if ("refused" in result) return result;
    return Buffer.byteLength(result.value) <= 107 ? result : refuse({ remedy: "choose a shorter directory" });
  };
  return { ...inner, allowed: "an absolute path of at most 107 bytes", fromYaml: read, fromText: read };
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
  const inner = text(words, "HOST:PORT, as 127.0.0.1:9464, [::1]:9464 or :9464", "HOST:PORT");
  const read = (value: unknown): Read<string> => {
    const result = inner.fromYaml(value);
    if ("refused" in result) return result;
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:\s[\]]*):(\d{1,5})$/.exec(result.value);
    const port = Number(match?.[2]);
    return match !== null && port <= 65535
      ? result
      : refuse({ remedy: "write a host, a colon and a port of at most 65535" });
  };
  return { ...inner, fromYaml: read, fromText: read };
}

/** An OTLP endpoint, as the exporter takes it. */
export function endpoint(words: Words<string>): Field<string> {
  const allowed = "http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:PATH";
  const inner = text(words, allowed, "URL");
  const read = (value: unknown): Read<string> => {
    const result = inner.fromYaml(value);
    if ("refused" in result) return result;
    const trimmed = bracketed(result.value.trim());
    if (trimmed.startsWith("unix:") || /^([\w.-]+|\[[0-9a-f:.]+\]):\d{1,5}$/i.test(trimmed)) return { value: trimmed };
    if (!/^https?:\/\//.test(trimmed)) {
      return refuse({
        remedy: `write the scheme too: http://${trimmed.replace(/^\w+:\/\//, "")} without TLS, https:// with`,
      });
    }
    return URL.canParse(trimmed)
      ? { value: trimmed }
      : refuse({ remedy: "write http://HOST:PORT, an IPv6 address in brackets: http://[fd00::5]:4317" });
  };
  return { ...inner, fromYaml: read, fromText: read };
}

/** A list of words; in text separated by commas. */
export function words(stated: Words<readonly string[]>, what = "a list of names"): Field<readonly string[]> {
  return list(stated, what, (item) =>
    typeof item === "string" && item.trim() !== "" ? { value: item.trim() } : refuse(),
  );
}

/** A list of IP prefixes: `10.0.0.0/8`, `fd00::/8`; an address alone is a prefix of its full length. */
export function prefixes(stated: Words<readonly string[]>): Field<readonly string[]> {
  return list(stated, "a list of IP prefixes, as 10.0.0.0/8 or fd00::/8", readPrefix);
}

function list(
  stated: Words<readonly string[]>,
  allowed: string,
  item: (value: unknown) => Read<string>,
): Field<readonly string[]> {
  const read = (values: unknown): Read<readonly string[]> => {
    if (!Array.isArray(values)) return refuse({ remedy: "write a list: [a, b]" });
    const taken: string[] = [];
    for (const [index, value] of values.entries()) {
      const result = item(value);
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
  const read = (value: unknown): Read<NamedPrefixes> => {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return refuse({ remedy: "write NAME: [PREFIX, ...]" });
    const inner = prefixes({ summary: "", default: [], live: true });
    const taken: [string, readonly string[]][] = [];
    for (const [name, entry] of Object.entries(value)) {
      const result = inner.fromYaml(entry);
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

/** A name and a value, as OTLP headers and resource attributes are. */
export type Pairs = Readonly<Record<string, string>>;

/** `a=1,b=2`, percent-encoded, as OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS are. */
export function pairsText(stated: Words<Pairs>): Field<Pairs> {
  const read = (value: unknown): Read<Pairs> => {
    if (typeof value !== "string") return refuse();
    const taken: [string, string][] = [];
    for (const pair of value.split(",").filter((part) => part.trim() !== "")) {
      const equals = pair.indexOf("=");
      const name = equals < 0 ? "" : percentDecode(pair.slice(0, equals));
      const content = percentDecode(pair.slice(equals + 1));
      if (name === undefined || name === "" || content === undefined) {
        return refuse({ remedy: "write NAME=VALUE,NAME=VALUE; percent-encode commas and equals signs" });
      }
      taken.push([name, content]);
    }
    return { value: Object.fromEntries(taken) };
  };
  return field(stated, {
    allowed: "NAME=VALUE pairs, separated by commas",
    placeholder: "A=1,B=2",
    fromYaml: read,
    fromText: read,
  });
}

function percentDecode(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded.trim());
  } catch {
    return undefined; // malformed: the caller refuses the whole list, as the specification asks
  }
}

/** OTel's list form: `- {name: a, value: b}`. Values that are not text become text. */
export function pairsList(stated: Words<Pairs>): Field<Pairs> {
  const read = (value: unknown): Read<Pairs> => {
    if (!Array.isArray(value)) return refuse({ remedy: "write a list of - name: NAME, value: VALUE" });
    const taken: [string, string][] = [];
    for (const [index, entry] of value.entries()) {
      const pair = entry as { name?: unknown; value?: unknown } | null;
      const named = typeof pair === "object" && pair !== null && typeof pair.name === "string" && pair.name !== "";
      if (!named || pair.value === undefined)
        return refuse({ below: `[${index}]`, found: entry, remedy: "give it a name and a value" });
      if (pair.value !== null) taken.push([pair.name as string, pairText(pair.value)]);
    }
    return { value: Object.fromEntries(taken) };
  };
  return field(stated, {
    allowed: "a list of name and value",
    placeholder: "A=1",
    fromYaml: read,
    fromText: () => refuse(),
  });
}

const pairText = (value: unknown): string =>
  Array.isArray(value) || typeof value !== "object" ? String(value) : JSON.stringify(value);

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

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

/** Sums since the series' start, or growth since the last export; OTel's low memory preference means growth here. */
export function temporality(stated: Words<"cumulative" | "delta">): Field<"cumulative" | "delta"> {
  const read = (value: unknown): Read<"cumulative" | "delta"> => {
    if (value === "low_memory" || value === "lowmemory") return { value: "delta" };
    if (value === "cumulative" || value === "delta") return { value };
    return refuse({ remedy: "write one of them; cumulative is the default" });
  };
  return field(stated, {
    allowed: "cumulative, delta, low_memory",
    placeholder: "cumulative|delta",
    fromYaml: read,
    fromText: (value) => read(value.trim().toLowerCase()),
  });
}
