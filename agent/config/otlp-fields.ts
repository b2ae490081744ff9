/**
 * The kinds of field that only OTLP's exporters and resources have: pairs of name and value, as a list of the
 * file or as one text of a variable, and among them the headers, which are checked as gRPC will check them.
 *
 * gRPC prints a header's value when it refuses it; so none may get there that it refuses. Neither the name nor the
 * value of a header that is refused is shown: a token that was written without a name would be the name.
 */
import { type Field, field, type Read, type Refusal, refuse, type Words, type WrittenAt } from "./field.ts";
import { unquoted } from "./fields.ts";

/** A name and a value, as OTLP headers and resource attributes are. */
export type Pairs = Readonly<Record<string, string>>;

const LIST = { allowed: "a list of name and value", placeholder: "A=1" } as const;
const TEXT = { allowed: "NAME=VALUE pairs, separated by commas", placeholder: "A=1,B=2" } as const;

/** `a=1,b=2`, percent-encoded, as OTEL_RESOURCE_ATTRIBUTES is. */
export function pairsText(stated: Words<Pairs>): Field<Pairs> {
  const read = (value: unknown): Read<Pairs> => {
    const pairs = readPairs(value);
    return "refused" in pairs ? pairs : { value: Object.fromEntries(pairs) };
  };
  return field(stated, { ...TEXT, fromYaml: read, fromText: read });
}

/** The same for headers; those of several variables count together. */
export function headersText(stated: Words<Pairs>): Field<Pairs> {
  const read = (value: unknown): Read<Pairs> => {
    const pairs = readPairs(value);
    if ("refused" in pairs) return pairs;
    // `name=` is what a variable that was empty leaves behind.
    return readHeaders(
      pairs.filter(([, content]) => content !== ""),
      (index) => ({ remedy: `in pair ${index + 1}, ` }),
    );
  };
  const combine = (values: readonly Pairs[]) => Object.assign({}, ...values.toReversed()) as Pairs;
  return field(stated, { ...TEXT, fromYaml: read, fromText: read, combine });
}

function readPairs(value: unknown): [name: string, content: string][] | Refusal {
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
  return taken;
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
  const read = (value: unknown, written?: WrittenAt): Read<Pairs> => {
    const pairs = readList(value);
    if ("refused" in pairs) return pairs;
    // `${VERSION}` of 1.10 is not 1.1.
    const texts = pairs.map(([name, content, index]) => [
      name,
      written?.(`[${index}].value`)?.filled ?? pairText(content),
    ]);
    return { value: Object.fromEntries(texts) as Pairs };
  };
  return field(stated, { ...LIST, fromYaml: read, fromText: () => refuse() });
}

/** The same for headers: their values are text. */
export function headersList(stated: Words<Pairs>): Field<Pairs> {
  const read = (value: unknown, written?: WrittenAt): Read<Pairs> => {
    const pairs = readList(value);
    if ("refused" in pairs) return pairs;
    for (const [, content, index] of pairs) {
      const below = `[${index}].value`;
      const source = written?.(below);
      if (typeof content === "number" || typeof content === "boolean") {
        // What stands in the file may be the secret, or its default; a variable's name is none.
        const isReference = source?.filled !== undefined && !source.source.includes(":-");
        return { ...(isReference ? unquoted(content, source) : refuse({ remedy: "put it in quotes" })), below };
      }
      if (typeof content !== "string") return refuse({ below, remedy: "write text" });
    }
    return readHeaders(
      pairs.map(([name, content]) => [name, content as string]),
      (index) => ({ below: `[${pairs[index]?.[2]}]`, remedy: "" }),
    );
  };
  return field(stated, { ...LIST, fromYaml: read, fromText: () => refuse() });
}

/** The pairs that have a value, with their place in the list. */
function readList(value: unknown): [name: string, content: unknown, index: number][] | Refusal {
  if (!Array.isArray(value)) return refuse({ remedy: "write a list of - name: NAME, value: VALUE" });
  const taken: [string, unknown, number][] = [];
  for (const [index, entry] of value.entries()) {
    const pair = entry as { name?: unknown; value?: unknown } | null;
    const named = typeof pair === "object" && pair !== null && typeof pair.name === "string" && pair.name !== "";
    if (!named || pair.value === undefined)
      return refuse({ below: `[${index}]`, found: entry, remedy: "give it a name and a value" });
    if (pair.value !== null) taken.push([pair.name as string, pair.value, index]);
  }
  return taken;
}

const pairText = (value: unknown): string =>
  Array.isArray(value) || typeof value !== "object" ? String(value) : JSON.stringify(value);

/** HTTP/2 has no place for these; a request that carries one fails, some of them as fast as the CPU can try again. */
const NOT_IN_HTTP2 = [
  ...["connection", "content-length", "http2-settings", "keep-alive", "proxy-connection", "transfer-encoding"],
  "upgrade",
];

/**
 * Headers as gRPC takes them: names in small letters, values without white space around them.
 *
 * @param where of the pair with this index: the refusal's place, and the beginning of its remedy
 */
function readHeaders(
  pairs: readonly (readonly [name: string, content: string])[],
  where: (index: number) => { readonly below?: string; readonly remedy: string },
): Read<Pairs> {
  const taken: [string, string][] = [];
  let hasCut = false;
  for (const [index, [name, content]] of pairs.entries()) {
    const key = name.toLowerCase();
    const value = content.trim();
    const wrong = headerProblem(key, value);
    if (wrong !== undefined) {
      const { remedy, ...place } = where(index);
      return refuse({ ...place, remedy: remedy + wrong });
    }
    hasCut ||= value !== content;
    taken.push([key, value]);
  }
  const value = Object.fromEntries(taken);
  return hasCut ? { value, note: "white space around a value, as a line break at its end, is left out" } : { value };
}

function headerProblem(key: string, value: string): string | undefined {
  if (!/^[0-9a-z_.-]+$/.test(key)) return "write a name of letters, digits, - _ and . only";
  if (key.endsWith("-bin")) return "choose a name that does not end in -bin: gRPC takes only bytes there";
  if (NOT_IN_HTTP2.includes(key)) return `remove ${key}: HTTP/2 has no such header`;
  if (!/^[ -~]*$/.test(value)) return "write a value of printable ASCII characters, without line breaks";
  return undefined;
}

export type TemporalityPreference = "cumulative" | "delta" | "low_memory";

/** Sums since the series' start, or growth since the last export; the file and the variable call the third differently. */
export function temporality(stated: Words<TemporalityPreference>): Field<TemporalityPreference> {
  const read = (value: unknown): Read<TemporalityPreference> => {
    if (value === "low_memory" || value === "lowmemory") return { value: "low_memory" };
    if (value === "cumulative" || value === "delta") return { value };
    return refuse({ remedy: "write one of them; cumulative is the default" });
  };
  return field(stated, {
    allowed: "cumulative, delta, low_memory",
    placeholder: "cumulative|delta|low_memory",
    fromYaml: read,
    fromText: (value) => read(value.trim().toLowerCase()),
  });
}
