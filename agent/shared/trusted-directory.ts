/**
 * Opens a directory name by name, so that nobody else's link leads a privileged process astray.
 *
 * Whoever may write to a directory of a path can put a link under the next name. So each directory is held open while
 * the next name is looked at (`/proc/self/fd/N/NAME`, as Node.js has no openat()).
 */
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";

/** O_PATH of Linux, which Node.js does not name: a place in the file system, also without the right to list it. */
const O_PATH = 0o10000000;
const LINKS_MAX = 16;

export interface DirectoryOptions {
  /** Mode of directories that are missing. Undefined: they are not made. */
  readonly make?: number;
  /** Users that may own a directory on the way. Undefined: anybody may; only links are judged. */
  readonly owners?: readonly number[];
}

/** The path of `name` in an open directory: it stays there whatever happens to the directory's own name. */
export const pathIn = (directory: number, name: string): string => `/proc/self/fd/${directory}/${name}`;

/** Root and the user of this process. */
export const trustedOwners = (): number[] => [0, process.geteuid?.() ?? 0];

/**
 * @param path absolute, or from the working directory
 * @returns a descriptor (O_PATH) that the caller closes
 * @throws Error that says which name is wrong, what was found and what to do; of the system where it cannot be opened
 */
export function openDirectory(path: string, options: DirectoryOptions = {}): number {
  const start = path.startsWith("/") ? "/" : ".";
  const walk: Walk = { directory: openPath(start), at: start, names: namesOf(path), links: 0 };
  try {
    for (let name = walk.names.shift(); name !== undefined; name = walk.names.shift()) step(walk, name, options);
    return walk.directory;
  } catch (error) {
    closeSync(walk.directory);
    throw error;
  }
}

interface Walk {
  /** Open: what the names so far have led to, by the path `at`. */
  directory: number;
  at: string;
  /** Still to come. */
  readonly names: string[];
  links: number;
}

function step(walk: Walk, name: string, { make, owners }: DirectoryOptions): void {
  const path = join(walk.at, name);
  const place = pathIn(walk.directory, name);
  const file = lookUp(place, path, make);
  if (file.isSymbolicLink()) {
    judgeLink(file, path);
    if (++walk.links > LINKS_MAX) throw new Error(`${path}: too many links; name the directory itself`);
    const target = readlinkSync(place);
    walk.names.unshift(...namesOf(target));
    if (target.startsWith("/")) enter(walk, openPath("/"), "/");
    return;
  }
  enter(walk, openPath(place), path);
  if (owners !== undefined) judgeOwner(fstatSync(walk.directory), path, owners);
}

function enter(walk: Walk, directory: number, at: string): void {
  closeSync(walk.directory);
  walk.directory = directory;
  walk.at = at;
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function openPath(path: string): number {
  return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

function lookUp(place: string, path: string, make: number | undefined): Stats {
  const file = lstatSync(place, { throwIfNoEntry: false });
  if (file !== undefined) return file;
  if (make === undefined) throw new Error(`${path}: there is no such directory`);
  mkdirSync(place, { mode: make });
  return lstatSync(place);
}

function judgeLink({ uid }: Stats, path: string): void {
  if (trustedOwners().includes(uid)) return;
  throw new Error(`${path} is a link that belongs to user ${uid}: remove it, or name the directory itself`);
}

function judgeOwner({ uid }: Stats, path: string, owners: readonly number[]): void {
  if (owners.includes(uid)) return;
  const remedy = "remove it if you do not know it, or choose a directory of root's";
  throw new Error(`${path} belongs to user ${uid}, who could replace what is in it: ${remedy}`);
}
