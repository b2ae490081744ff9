// biome-ignore-all lint/suspicious/noTemplateCurlyInString: substitutions of configuration files
/**
 * Configurations as users bring them about, by table and at random: a file, variables and flags with right, wrong and
 * hostile values in every place, and one random secret wherever a secret may be given.
 */
import fc from "fast-check";
import { stringify } from "yaml";
import { ROWS, type Row } from "../../agent/config/setting-rows.ts";

export interface Situation {
  /** In none of what is printed may it appear. */
  readonly secret: string;
  readonly file: Uint8Array | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly flags: Readonly<Record<string, string | boolean>>;
}

/** Files that settings may name, each with something else wrong. */
export type Fixtures = readonly string[];

/** What values are made of. */
interface Given {
  readonly secret: string;
  readonly fixtures: Fixtures;
  /** Only values that belong where they stand: so that flowspan gets to run with them. */
  readonly isTame: boolean;
}

const WORDS = [
  ...["", " ", "x", "true", "yes", "null", "~", "0", "-1", "1e3", "0x1f", "007", "1.10", "NaN", "Infinity", ".inf"],
  ...["15s", "10.0.0.0/8", "fd00::/8", "10.0.0.0/33", ":9464", "localhost:0", "/", "/tmp/x", "a,b", "a=1", "on", "off"],
  ...[
    "${X}",
    "${NONE:-7}",
    "${a b}",
    "$$",
    "%zz",
    "*a",
    "!a",
    "&a",
    "- a",
    "{a: b}",
    "[1, 2]",
    "# x",
    "'",
    '"',
    "|",
    ">",
  ],
  ...["\u001b[31m", "\u2028", "💥", "ä", "\t", "a\nb", "__proto__", "constructor", "x".repeat(5_000), "none", "gzip"],
];

const word = fc.constantFrom(...WORDS);
const scalar = fc.oneof(
  word,
  fc.integer({ min: -2, max: 100_000 }),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const anything = fc.oneof(
  { weight: 6, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.dictionary(fc.oneof(word, fc.constant("name")), scalar, { maxKeys: 2 }) },
);

/** The secret as it is pasted: bare, with a scheme, with a line break, with what YAML, URLs and shells read otherwise. */
const FORMS: readonly ((secret: string) => string)[] = [
  (secret) => secret,
  (secret) => `Bearer ${secret}`,
  (secret) => `${secret}\n`,
  (secret) => `${secret}==`,
  (secret) => ` ${secret}\r\nx`,
  (secret) => `*${secret}`,
  (secret) => `!${secret}`,
  (secret) => `&${secret} x`,
  (secret) => `@${secret}/:@#?`,
  (secret) => `"${secret}`,
  (secret) => `\${${secret}}`,
  (secret) => `\${X:-${secret}}`,
  (secret) => `${secret}ä`,
  (secret) => `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`,
];
const pasted = (secret: string) => fc.constantFrom(...FORMS.map((form) => form(secret)), "${SECRET}");
/** As a password in an address: what looks like a variable's name is one, and names are shown. */
const inAddress = (secret: string) => pasted(secret).filter((text) => text !== `\${${secret}}`);

const HEADER_NAMES = ["authorization", "x-api-key", "a b", "token-bin", "connection", "ä", ""];

/** What stands in a row of the table: mostly what belongs there, sometimes anything. */
function wildValueOf(row: Row, given: Given): fc.Arbitrary<unknown> {
  if (given.isTame) return tameValueOf(row, given);
  const { secret, fixtures } = given;
  const path = row.path || row.keys.join(".");
  const often = (arbitrary: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 3, arbitrary }, { weight: 1, arbitrary: anything });
  if (/\.headers$/.test(path)) {
    const name = fc.constantFrom(...HEADER_NAMES);
    const entry = fc.oneof(fc.record({ name, value: pasted(secret) }), fc.record({ name }), pasted(secret), scalar);
    return often(fc.oneof(fc.array(entry, { maxLength: 3 }), fc.dictionary(name, pasted(secret)), pasted(secret)));
  }
  if (/headers_list$/.test(path)) {
    const pair = fc.tuple(fc.constantFrom(...HEADER_NAMES), pasted(secret), fc.boolean());
    const text = pair.map(([name, value, encodes]) => `${name}=${encodes ? encodeURIComponent(value) : value}`);
    return often(
      fc.oneof(
        text,
        pasted(secret),
        fc.array(text, { maxLength: 3 }).map((pairs) => pairs.join(",")),
      ),
    );
  }
  if (/endpoint$/.test(path)) return often(endpointOf(secret));
  if (/(key|token)_file$/.test(path)) return often(fc.oneof(fc.constantFrom(...fixtures), pem(secret)));
  if (/_file$|kubeconfig$/.test(path)) return often(fc.constantFrom(...fixtures));
  return often(fc.constantFrom(...wordsOf(row)));
}

/** The words that a field chooses from; of any other its default. */
function wordsOf({ field }: Row): readonly unknown[] {
  const { placeholder = "" } = field;
  return placeholder.includes("|") ? placeholder.split("|") : [field.default ?? "x"];
}

/** What belongs there. */
function tameValueOf(row: Row, { secret, fixtures }: Given): fc.Arbitrary<unknown> {
  const path = row.path || row.keys.join(".");
  const values = fc.constantFrom(`Bearer ${secret}`, `${secret}\n`, secret, "${SECRET_PLAIN}");
  if (/\.headers$/.test(path)) return values.map((value) => [{ name: "authorization", value }]);
  if (/headers_list$/.test(path)) return values.map((value) => `authorization=${encodeURIComponent(value)}`);
  if (/endpoint$/.test(path)) {
    return fc.constantFrom(
      `http://user:${secret}@127.0.0.1:1`,
      `http://127.0.0.1:1/v1/metrics?token=${secret}`,
      "https://127.0.0.1:1",
      `${secret}@localhost:1`,
      "localhost:1",
    );
  }
  if (/_file$/.test(path)) return fc.constantFrom(...fixtures);
  if (/kubeconfig$/.test(path)) return fc.constantFrom(...fixtures.filter((file) => file.includes("kubeconfig")));
  if (/attributes$/.test(path)) return fc.constant([{ name: "a", value: "1" }]);
  if (/attributes_list$/.test(path)) return fc.constant("a=1");
  if (/address$/.test(path)) return fc.constant("127.0.0.1:0");
  if (/probability$|samplerArg$/.test(path)) return fc.constant(0.5);
  if (/sampler$/.test(path)) return fc.constant("always_on");
  if (row.field.allowed.startsWith("an absolute path")) return fc.constant("/tmp/flowspan-hostile-x");
  if (row.field.placeholder?.includes("|")) return fc.constantFrom(...wordsOf(row));
  return fc.constant(row.field.default ?? row.field.allowed.match(/\d+/)?.[0] ?? "x");
}

const pem = (secret: string) =>
  fc.constant(`-----BEGIN EC PRIVATE KEY-----\n${secret}\n-----END EC PRIVATE KEY-----\n`);

function endpointOf(secret: string): fc.Arbitrary<string> {
  const scheme = fc.constantFrom("http://", "https://", "", "HTTP://", "grpc://", "unix:", "unix://", "://", "http:/");
  const user = fc.oneof(
    fc.constant(""),
    inAddress(secret).map((password) => `user:${password}@`),
    inAddress(secret).map((token) => `${token}@`),
  );
  const host = fc.constantFrom(
    "127.0.0.1",
    "localhost",
    "[::1]",
    "::1",
    "collector",
    "a b",
    "",
    "4317",
    "é",
    "[::1",
    "10.0.0.5.",
  );
  const rest = fc.constantFrom(
    "",
    ":4317",
    ":1",
    ":0",
    ":99999",
    ":",
    ":x",
    "/v1/metrics",
    ":1/v1?x=1#y",
    ":80",
    ":443",
  );
  // A socket's path has no user.
  return fc
    .tuple(scheme, user, host, rest)
    .map(([first, second, ...others]) => [first, first.startsWith("unix:") ? "" : second, ...others].join(""));
}

/** `a.b[0].c` set in a tree. */
function put(tree: Record<string, unknown>, path: string, value: unknown): void {
  const keys = path.replace(/\[0\]/g, ".0").split(".");
  let here: Record<string, unknown> | unknown[] = tree;
  for (const [i, key] of keys.entries()) {
    const at = here as Record<string, unknown>;
    if (i === keys.length - 1) at[key] = value;
    else {
      if (typeof at[key] !== "object" || at[key] === null) at[key] = keys[i + 1] === "0" ? [] : {};
      here = at[key] as Record<string, unknown>;
    }
  }
}

const IN_FILE = ROWS.filter(({ path }) => path !== "");
const BY_VARIABLE = ROWS.filter(({ field }) => field.env !== undefined);
const BY_FLAG = ROWS.filter(({ field }) => field.flag !== undefined);

/** Some rows of the table with a value each. */
function some(rows: readonly Row[], given: Given) {
  const chosen = fc.uniqueArray(fc.constantFrom(...rows), { maxLength: 6 });
  return chosen.chain((picked) =>
    fc.tuple(...picked.map((row) => wildValueOf(row, given).map((value) => [row, value] as const))),
  );
}

/** A character that means something to YAML, put in, taken out or put in another's place. */
const slip = fc.tuple(
  fc.nat(),
  fc.constantFrom(..."\n -:[]{}#&*!|>'\"%@`,$\u0000\t"),
  fc.constantFrom("none", "none", "insert", "remove", "replace"),
);

/** Exporters of OTLP over HTTP have the fields of those over gRPC: each file has one of them, or both. */
const exporters = fc.array(fc.constantFrom("otlp_grpc", "otlp_http"), { minLength: 1, maxLength: 3 });

function treeOf(rows: readonly (readonly [Row, unknown])[], names: readonly string[], format: unknown) {
  const tree: Record<string, unknown> = { file_format: format };
  for (const [i, [{ path }, value]] of rows.entries())
    put(tree, path.replace("otlp_grpc", names[i % names.length] ?? ""), value);
  return tree;
}

function fileOf(given: Given): fc.Arbitrary<Uint8Array> {
  if (given.isTame) {
    const sameNames = exporters.map(([name = ""]) => [name]);
    return fc
      .tuple(some(IN_FILE, given), sameNames)
      .map(([rows, names]) => Buffer.from(stringify(treeOf(rows, names, "1.1"))));
  }
  const unknown = fc.tuple(fc.constantFrom("distribution.flowspan.", "", "meter_provider."), word, anything);
  return fc
    .tuple(
      fc.tuple(some(IN_FILE, given), exporters, fc.constantFrom("1.1", "1.0", 1.1, "2", null)),
      fc.option(unknown, { freq: 6 }),
      slip,
    )
    .map(([written, stranger, [at, character, act]]) => {
      const tree: Record<string, unknown> = treeOf(...written);
      if (stranger !== null) put(tree, stranger[0] + (stranger[1].trim() || "x"), stranger[2]);
      const text = stringify(tree);
      const cut = at % (text.length + 1);
      // Without its @ a password is the address.
      if (text[cut] === "@") return Buffer.from(text);
      const [before, after] = [text.slice(0, cut), text.slice(cut)];
      const slipped = { none: text, insert: before + character + after, remove: before + after.slice(1) };
      return Buffer.from(act === "replace" ? before + character + after.slice(1) : slipped[act as "none"]);
    });
}

const asText = (value: unknown): string =>
  typeof value === "string"
    ? value
    : Array.isArray(value)
      ? value.map(asText).join(",")
      : (JSON.stringify(value) ?? "");

/** A variable holds no NUL. */
const variable = (value: unknown): string => asText(value).replaceAll("\0", "");

/** Variables that others read, and the one by which all of OTLP goes another way. */
function foreign(secret: string): fc.Arbitrary<Record<string, string>> {
  const proxy = pasted(secret).map((password) => variable(`http://user:${password}@127.0.0.1:1`));
  return fc.record(
    {
      ...{ grpc_proxy: proxy, https_proxy: proxy, http_proxy: proxy, SECRET: pasted(secret).map(variable) },
      ...{
        X: word.map(variable),
        SSL_CERT_FILE: fc.constantFrom("/nowhere", "/etc/hostname"),
        OTEL_CONFIG_FILE: fc.constant(""),
        OTEL_EXPORTER_OTLP_PROTOCOL: fc.constantFrom("grpc", "http/protobuf"),
      },
    },
    { requiredKeys: ["SECRET"] },
  );
}

/** Half of them have only what belongs where it stands, so that most of it is taken. @param fixtures paths, at least one */
export function situations(fixtures: Fixtures): fc.Arbitrary<Situation> {
  return fc.tuple(fc.uuid(), fc.boolean()).chain(([id, isTame]) => {
    const secret = `S3cr3t${id.replaceAll("-", "")}`;
    const given = { secret, fixtures, isTame };
    const env = fc.tuple(some(BY_VARIABLE, given), foreign(secret), fc.nat()).map(([rows, others, pick]) => ({
      ...others,
      ...Object.fromEntries(
        rows.map(([{ field }, value]) => [field.env?.[pick % field.env.length] ?? "X", variable(value)]),
      ),
    }));
    const flags = some(BY_FLAG, given).map((rows) =>
      Object.fromEntries(
        rows.map(([{ field }, value]) => [field.flag ?? "", field.placeholder === undefined ? true : variable(value)]),
      ),
    );
    const file = fc.option(fileOf(given), { nil: undefined, freq: 4 });
    return fc.record({ secret: fc.constant(secret), file, env, flags });
  });
}
