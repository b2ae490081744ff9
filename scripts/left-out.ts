/**
 * Which packages of package-lock.json this machine needs and does not have, by their paths on one line.
 *
 *   node scripts/left-out.ts
 *
 * npm leaves out an optional package that it takes for unfit and says nothing. Programs that come as a package
 * for each kind of machine (esbuild, rolldown, tsc, biome) are such; what needs them fails long after.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the lock says of one package, as far as it is read here. */
interface Locked {
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

export interface Machine {
  readonly os: string;
  readonly cpu: string;
  readonly libc: string;
}

/** Paths of the packages that are for this machine by name and are not there. */
export function leftOut(lock: string, machine: Machine, isThere: (path: string) => boolean): string[] {
  const { packages } = JSON.parse(lock) as { packages: Readonly<Record<string, Locked>> };
  return Object.entries(packages)
    .filter(([path, locked]) => isFor(locked, machine) && !isThere(path))
    .map(([path]) => path);
}

/** True for what names an operating system or processor and means this one. */
function isFor({ os, cpu, libc }: Locked, machine: Machine): boolean {
  if (os === undefined && cpu === undefined) return false;
  return allows(os, machine.os) && allows(cpu, machine.cpu) && allows(libc, machine.libc);
}

function allows(list: readonly string[] | undefined, value: string): boolean {
  if (list === undefined) return true;
  return list.includes(value) || (!list.includes(`!${value}`) && list.every((entry) => entry.startsWith("!")));
}

function thisMachine(): Machine {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const libc = header.glibcVersionRuntime === undefined ? "musl" : "glibc";
  return { os: process.platform, cpu: process.arch, libc };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  process.stdout.write(leftOut(lock, thisMachine(), (path) => existsSync(join(root, path))).join(" "));
}
