/**
 * Makes agent/generated/layout.ts from bpf/contract/contract.h, so that nobody writes an offset by hand.
 *
 * The text of it and of what it includes only tells which structs, enums and constants exist; sizes, offsets and values
 * come from the BTF that clang writes for them, which is what the kernel side is compiled to as well.
 * `--check` writes nothing and exits with 1 when the committed file differs.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const HEADER = "bpf/contract/contract.h";
const LAYOUT = "agent/generated/layout.ts";
const LINE_WIDTH = 120;

interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly nr_elems?: number;
  readonly encoding?: string;
  readonly members?: readonly { readonly name: string; readonly type_id: number; readonly bits_offset: number }[];
  readonly values?: readonly { readonly name: string; readonly val: number }[];
}

interface Names {
  readonly structs: readonly string[];
  readonly enums: readonly string[];
  readonly defines: readonly string[];
}

interface Btf {
  readonly byId: ReadonlyMap<number, BtfType>;
  named(kind: "STRUCT" | "ENUM", name: string): BtfType;
}

function declaredNames(header: string): Names {
  const all = (pattern: RegExp) => [...header.matchAll(pattern)].map((match) => String(match[1]));
  return {
    structs: all(/^struct (\w+) \{/gm),
    enums: all(/^enum (\w+) \{/gm),
    defines: all(/^#define (\w+) +\S/gm),
  };
}

/**
 * A source that mentions every name in a global, since clang leaves out of BTF what nothing refers to.
 * A #define has no BTF: it becomes two enum values, its low and high half (clang 14 writes no ENUM64).
 */
function witness(names: Names): string {
  const halves = names.defines.flatMap((name) => [
    `LOW_${name} = (unsigned int)(${name} & 0xffffffff),`,
    `HIGH_${name} = (unsigned int)((unsigned long long)(${name}) >> 32),`,
  ]);
  return [
    `#include "${HEADER}"`,
    `enum defines { ${halves.join("\n")} };`,
    "union {",
    ...names.structs.map((name) => `struct ${name} struct_${name};`),
    ...names.enums.map((name) => `enum ${name} enum_${name};`),
    "enum defines defines;",
    "} witness;",
    "",
  ].join("\n");
}

function compile(source: string): Btf {
  const build = join(ROOT, "build");
  mkdirSync(build, { recursive: true });
  const c = join(build, `layout-${process.pid}.c`);
  const object = join(build, `layout-${process.pid}.o`);
  writeFileSync(c, source);
  // asm/types.h lies in a directory named after the compiler's host, which -target bpf does not search.
  const host = execFileSync("clang", ["-print-target-triple"], { encoding: "utf8" })
    .trim()
    .replace(/-(pc|unknown)-/, "-");
  execFileSync(
    "clang",
    [
      "-target",
      "bpf",
      "-g",
      "-O2",
      "-I",
      ROOT,
      "-I",
      join(ROOT, "bpf"),
      "-I",
      `/usr/include/${host}`,
      "-c",
      c,
      "-o",
      object,
    ],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const dump = execFileSync("bpftool", ["btf", "dump", "file", object, "-j"], { encoding: "utf8" });
  for (const path of [c, object]) rmSync(path);

  const types = (JSON.parse(dump) as { types: BtfType[] }).types;
  return {
    byId: new Map(types.map((type) => [type.id, type])),
    named(kind, name) {
      const found = types.find((type) => type.kind === kind && type.name === name);
      if (found === undefined) throw new Error(`${HEADER}: ${kind} ${name} is not in the BTF that clang wrote`);
      return found;
    },
  };
}

function camel(name: string): string {
  return name.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function pascal(name: string): string {
  const text = camel(name);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The type without the typedefs around it: `__u64` is an INT of 8 bytes. */
function resolved(btf: Btf, id: number): BtfType {
  const type = btf.byId.get(id);
  if (type === undefined) throw new Error(`BTF names type ${id} and does not hold it`);
  return type.kind === "TYPEDEF" && type.type_id !== undefined ? resolved(btf, type.type_id) : type;
}

/** How a field reads in the layout, as the inside of an object literal. */
function fieldType(btf: Btf, id: number, where: string): string {
  const type = resolved(btf, id);
  if (type.kind === "INT") return `type: "u${8 * (type.size ?? 0)}"`;
  if (type.kind === "ENUM") return 'type: "u32"';
  if (type.kind === "STRUCT") return `type: "struct", of: ${camel(type.name)}`;
  if (type.kind === "ARRAY" && type.type_id !== undefined && type.nr_elems !== undefined) {
    const element = resolved(btf, type.type_id);
    if (element.kind === "INT" && element.size === 1) return `type: "bytes", length: ${type.nr_elems}`;
    return `type: "array", count: ${type.nr_elems}, of: { ${fieldType(btf, type.type_id, where)} }`;
  }
  throw new Error(`${where}: a ${type.kind} has no place in a frame`);
}

function structText(btf: Btf, name: string): string {
  const struct = btf.named("STRUCT", name);
  const fields = (struct.members ?? []).map((member) => {
    const type = fieldType(btf, member.type_id, `${name}.${member.name}`);
    return `    ${camel(member.name)}: { offset: ${member.bits_offset / 8}, ${type} },`;
  });
  return [
    `export const ${camel(name)} = {`,
    `  size: ${struct.size},`,
    "  fields: {",
    ...fields,
    "  },",
    "} as const;",
  ].join("\n");
}

function enumText(btf: Btf, name: string): string {
  const values = btf.named("ENUM", name).values ?? [];
  return [
    `export const ${pascal(name)} = {`,
    ...values.map((value) => `  ${value.name}: ${value.val},`),
    "} as const;",
    `export type ${pascal(name)} = (typeof ${pascal(name)})[keyof typeof ${pascal(name)}];`,
  ].join("\n");
}

function defineText(btf: Btf, name: string): string {
  const values = btf.named("ENUM", "defines").values ?? [];
  const half = (prefix: string) => BigInt((values.find((value) => value.name === prefix + name)?.val ?? 0) >>> 0);
  const value = (half("HIGH_") << 32n) | half("LOW_");
  return `export const ${name} = ${value <= 0xffffffffn ? value : `0x${value.toString(16)}n`};`;
}

/** Names of an enum's values by value; a gap would shift every name after it, so it is an error. */
function valueNames(btf: Btf, enumName: string, prefix: string, last?: string): string[] {
  const values = (btf.named("ENUM", enumName).values ?? []).filter((value) => value.name !== last);
  return values.map((value, index) => {
    if (value.val !== index) throw new Error(`enum ${enumName}: ${value.name} is ${value.val}, expected ${index}`);
    return value.name.slice(prefix.length).toLowerCase();
  });
}

/** A list on one line where it fits, else one a line: how the formatter leaves it. */
function listText(doc: string, name: string, items: readonly string[]): string {
  const quoted = items.map((item) => `"${item}"`);
  const line = `export const ${name} = [${quoted.join(", ")}] as const;`;
  const wrapped = [`export const ${name} = [`, ...quoted.map((item) => `  ${item},`), "] as const;"].join("\n");
  return `/** ${doc} */\n${line.length <= LINE_WIDTH ? line : wrapped}`;
}

/** The header's own text after that of the headers that it includes, each once. */
function textOf(header: string, seen = new Set<string>()): string {
  if (seen.has(header)) return "";
  seen.add(header);
  const text = readFileSync(join(ROOT, header), "utf8");
  const included = [...text.matchAll(/^#include "(contract\/\w+\.h)"$/gm)].map(([, path]) => `bpf/${path}`);
  return [...included.map((path) => textOf(path, seen)), text].join("\n");
}

/** What an edge of one protocol counts: each struct NAME_counters is a list of its own. */
function countersText(btf: Btf, struct: string): string[] {
  const list = struct.toUpperCase();
  const counters = (btf.named("STRUCT", struct).members ?? []).map((member) => camel(member.name));
  return [
    listText(`The counters of an edge, in the order of struct ${struct}.`, list, counters),
    `export type ${pascal(struct)}Field = (typeof ${list})[number];`,
  ];
}

function layoutText(): string {
  const names = declaredNames(textOf(HEADER));
  const btf = compile(witness(names));
  const blocks = [
    [
      "/**",
      " * Where every field of bpf/contract/contract.h lies. Generated by scripts/generate-layout.ts from BTF: edit the",
      " * header and run `npm run generate`. All integers are little-endian; offsets and sizes are in bytes.",
      " */",
    ].join("\n"),
    names.defines.map((name) => defineText(btf, name)).join("\n"),
    ...names.enums.map((name) => enumText(btf, name)),
    ...names.structs.map((name) => structText(btf, name)),
    ...names.structs.filter((name) => name.endsWith("_counters")).flatMap((name) => countersText(btf, name)),
    listText(
      "The name of each loss, by its number in enum loss.",
      "LOSS_NAMES",
      valueNames(btf, "loss", "LOSS_", "LOSS_COUNT"),
    ),
    listText(
      "The name of each feature, by its bit in struct frame_hello.",
      "FEATURE_NAMES",
      valueNames(btf, "feature", "FEATURE_"),
    ),
  ];
  return `${blocks.join("\n\n")}\n`;
}

function main(): number {
  const path = join(ROOT, LAYOUT);
  const fresh = layoutText();
  if (!process.argv.includes("--check")) {
    mkdirSync(join(ROOT, "agent/generated"), { recursive: true });
    writeFileSync(path, fresh);
    return 0;
  }
  if (readFileSync(path, "utf8") === fresh) return 0;
  console.error(`${LAYOUT} is older than ${HEADER}: run \`npm run generate\``);
  return 1;
}

process.exitCode = main();
