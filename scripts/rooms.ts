/**
 * Whether agent/, bpf/ and what tests share are built as ARCHITECTURE.md draws them ("The rooms", "The rooms in C", "The rooms
 * of the tests"): each room imports only what its row allows, a room that touches nothing imports nothing that could, and no two
 * files have one name.
 *
 *   node scripts/rooms.ts --check   fails with each import that no row allows
 *
 * Import circles in TypeScript are Biome's to find (`noImportCycles`); those of headers are found here.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What a room may import that touches nothing: functions of their arguments. */
const PURE = ["node:crypto", "node:util"];

export interface Room {
  readonly mayImport: readonly string[];
  /** No file, socket, process, clock or package. */
  readonly touchesNothing: boolean;
}

/** A folder of rooms, and how its files say what they import. */
export interface Tree {
  readonly folder: string;
  readonly heading: string;
  readonly fileName: RegExp;
  /** One group that took part names what is imported. Of types, too: who needs to know a shape depends on it. */
  readonly imports: RegExp;
  /** @return path from the tree's folder; undefined: of a package, of the system or made by a tool */
  resolve(path: string, specifier: string): string | undefined;
  /** Folders without a row may be there, and import what they like. */
  readonly isOpen?: boolean;
}

export const AGENT: Tree = {
  folder: "agent",
  heading: "## The rooms",
  fileName: /\.ts$/,
  imports: /(?:\bfrom|^import) "([^"]+)";$|\bimport\("([^"]+)"\)/gm,
  resolve: (path, specifier) => (specifier.startsWith(".") ? join(dirname(path), specifier) : undefined),
};

export const C: Tree = {
  folder: "bpf",
  heading: "### The rooms in C",
  fileName: /\.[ch]$/,
  imports: /^#include "([^"]+)"$/gm,
  resolve: (_, specifier) => (specifier === "flowspan.skel.h" ? undefined : specifier),
};

/** What tests share. A test itself may import anything, and so may the generators and benchmarks, which have no row. */
export const TESTS: Tree = {
  ...AGENT,
  folder: "test",
  heading: "### The rooms of the tests",
  fileName: /(?<!\.test)\.ts$/,
  resolve: (path, specifier) => {
    const target = AGENT.resolve(path, specifier);
    return target?.startsWith("..") ? undefined : target;
  },
  isOpen: true,
};

/**
 * The table below the heading: one row a room, `| name/ | what it holds | touches | may import |`, the lowest first. A
 * room may import only rooms above its row, so that no arrow leads back up. `touches` may be left out of the table.
 *
 * @throws Error for a row that names a room which has no row above it
 */
export function readRooms(markdown: string, heading = AGENT.heading): Map<string, Room> {
  const rooms = new Map<string, Room>();
  const section = markdown.split(`\n${heading}\n`)[1]?.split(/\n##+ /)[0] ?? "";
  for (const [, name = "", , touches = "", imports = ""] of section.matchAll(
    /^\| `(\S+)\/` \|([^|]*)\|(?:([^|]*)\|)?([^|]*)\|$/gm,
  )) {
    const named = [...imports.matchAll(/`(\S+?)\/`/g)].map(([, room = ""]) => room);
    const mayImport = imports.trim() === "all of them" ? [...rooms.keys()] : named;
    const unknown = mayImport.find((room) => !rooms.has(room));
    if (unknown !== undefined) throw new Error(`${name}/ may import ${unknown}/, which has no row above it`);
    rooms.set(name, { mayImport, touchesNothing: touches.trim() === "nothing" });
  }
  if (rooms.size === 0) throw new Error("there is no table of rooms");
  return rooms;
}

/** @param files text by path from agent/: `series/clock.ts` */
export function roomProblems(
  rooms: ReadonlyMap<string, Room>,
  files: ReadonlyMap<string, string>,
  tree: Tree = AGENT,
): string[] {
  const problems: string[] = [];
  const named = new Map<string, string>();
  for (const [path, text] of files) {
    const name = roomOf(path, rooms);
    const room = rooms.get(name);
    if (room === undefined && tree.isOpen) continue;
    const twin = named.get(basename(path));
    if (twin !== undefined) problems.push(`${path} has the name of ${twin}`);
    named.set(basename(path), path);
    // What stands outside of the rooms (main.ts) opens the door and may go anywhere.
    if (room === undefined && path.includes("/")) problems.push(`${path}: ${name}/ has no row`);
    if (room === undefined) continue;
    for (const specifier of importsOf(text, tree)) {
      const resolved = tree.resolve(path, specifier);
      const target = resolved === undefined ? undefined : roomOf(resolved, rooms);
      if (target === undefined && room.touchesNothing && !PURE.includes(specifier)) {
        problems.push(`${path} imports ${specifier}, but ${name}/ touches nothing`);
      }
      if (target !== undefined && target !== name && !room.mayImport.includes(target)) {
        problems.push(`${path} imports ${specifier}, but ${name}/ may not import ${target}/`);
      }
    }
  }
  return problems;
}

/** The innermost folder that has a row; without one, the outermost folder. */
function roomOf(path: string, rooms: ReadonlyMap<string, Room>): string {
  const parts = dirname(path).split("/");
  const folders = parts.map((_, i) => parts.slice(0, i + 1).join("/"));
  return folders.findLast((folder) => rooms.has(folder)) ?? (folders[0] as string);
}

function importsOf(text: string, tree: Tree): string[] {
  return [...text.matchAll(tree.imports)].map(([, plain, late]) => plain ?? late ?? "");
}

/** @return the first circle of files that import each other, from a file back to itself; undefined: there is none */
export function circleIn(files: ReadonlyMap<string, string>, tree: Tree): string[] | undefined {
  const isDone = new Set<string>();
  const follow = (path: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (isDone.has(path)) return undefined;
    for (const specifier of importsOf(files.get(path) ?? "", tree)) {
      const target = tree.resolve(path, specifier);
      const circle = target === undefined ? undefined : follow(target, [...way, path]);
      if (circle !== undefined) return circle;
    }
    isDone.add(path);
    return undefined;
  };
  for (const path of files.keys()) {
    const circle = follow(path, []);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

function filesOf({ folder, fileName }: Tree): Map<string, string> {
  const paths = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
  return new Map(
    paths
      .filter((path) => fileName.test(path))
      .sort()
      .map((path) => [path, readFileSync(join(ROOT, folder, path), "utf8")]),
  );
}

if (process.argv[2] === "--check") {
  const markdown = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const problems = [AGENT, C, TESTS].flatMap((tree) => {
    const files = filesOf(tree);
    const circle = tree === C ? circleIn(files, tree) : undefined;
    const found = roomProblems(readRooms(markdown, tree.heading), files, tree);
    return [...found, ...(circle ? [circle.join(" includes ")] : [])].map((problem) => `${tree.folder}/${problem}`);
  });
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stderr.write("Usage: node scripts/rooms.ts --check\n");
  process.exitCode = 2;
}
