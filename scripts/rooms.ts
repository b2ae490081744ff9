/**
 * Whether agent/ is built as ARCHITECTURE.md draws it ("The rooms"): each room imports only what its row allows, a
 * room that touches nothing imports nothing that could, and no two files have one name.
 *
 *   node scripts/rooms.ts --check   fails with each import that no row allows
 *
 * Import circles are Biome's to find (`noImportCycles`); what is measured here are the arrows between rooms.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const AGENT = "agent";
/** What a room may import that touches nothing: functions of their arguments. */
const PURE = ["node:crypto", "node:util"];

export interface Room {
  readonly mayImport: readonly string[];
  /** No file, socket, process, clock or package. */
  readonly touchesNothing: boolean;
}

/**
 * The table below "## The rooms": one row a room, `| name/ | what it holds | touches | may import |`, the lowest first. A
 * room may import only rooms above its row, so that no arrow leads back up.
 *
 * @throws Error for a row that names a room which has no row above it
 */
export function readRooms(markdown: string): Map<string, Room> {
  const rooms = new Map<string, Room>();
  const section = markdown.split("\n## The rooms\n")[1]?.split("\n## ")[0] ?? "";
  for (const [, name = "", touches = "", imports = ""] of section.matchAll(
    /^\| `(\S+)\/` \|[^|]*\|([^|]*)\|([^|]*)\|$/gm,
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
export function roomProblems(rooms: ReadonlyMap<string, Room>, files: ReadonlyMap<string, string>): string[] {
  const problems: string[] = [];
  const named = new Map<string, string>();
  for (const [path, text] of files) {
    const [name = ""] = path.split("/");
    const room = rooms.get(name);
    const twin = named.get(basename(path));
    if (twin !== undefined) problems.push(`${path} has the name of ${twin}`);
    named.set(basename(path), path);
    // What stands outside of the rooms (main.ts) opens the door and may go anywhere.
    if (room === undefined && path.includes("/")) problems.push(`${path}: ${name}/ has no row`);
    if (room === undefined) continue;
    for (const specifier of importsOf(text)) {
      const [target = ""] = join(dirname(path), specifier).split("/");
      const isForeign = !specifier.startsWith(".");
      if (isForeign && room.touchesNothing && !PURE.includes(specifier)) {
        problems.push(`${path} imports ${specifier}, but ${name}/ touches nothing`);
      }
      if (!isForeign && target !== name && !room.mayImport.includes(target)) {
        problems.push(`${path} imports ${specifier}, but ${name}/ may not import ${target}/`);
      }
    }
  }
  return problems;
}

/** Of types, too: who needs to know the shape of a thing depends on it. */
function importsOf(text: string): string[] {
  const specifiers = /(?:\bfrom|^import) "([^"]+)";$|\bimport\("([^"]+)"\)/gm;
  return [...text.matchAll(specifiers)].map(([, plain, late]) => plain ?? late ?? "");
}

if (process.argv[2] === "--check") {
  const paths = readdirSync(join(ROOT, AGENT), { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith(".ts"),
  );
  const files = new Map(paths.sort().map((path) => [path, readFileSync(join(ROOT, AGENT, path), "utf8")]));
  const problems = roomProblems(readRooms(readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8")), files);
  for (const problem of problems) process.stderr.write(`${AGENT}/${problem}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stderr.write("Usage: node scripts/rooms.ts --check\n");
  process.exitCode = 2;
}
