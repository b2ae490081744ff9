/**
 * Makes the file of a recording. An agent does so as root: it writes to a file that it has made itself, in the directory
 * that was named, and never through a link.
 */
import { closeSync, constants, lstatSync, openSync, type Stats, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { openDirectory, pathIn } from "../shared/trusted-directory.ts";

/**
 * Replaces the file at `path`, where there is one.
 *
 * @returns a descriptor to write to; only the owner may read the file
 * @throws Error where something else than a file is there, or a directory on the way is somebody else's link
 */
export function openNewFile(path: string): number {
  const directory = openDirectory(dirname(path));
  const place = pathIn(directory, basename(path));
  try {
    const before = lstatSync(place, { throwIfNoEntry: false });
    if (before !== undefined) {
      if (!before.isFile()) throw new Error(`${path} is ${kindOf(before)}, and no file: remove it, or name another`);
      unlinkSync(place);
    }
    return openSync(place, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new Error(`${path} was made by somebody else at this moment: record to a directory of your own`);
  } finally {
    closeSync(directory);
  }
}

function kindOf(file: Stats): string {
  if (file.isSymbolicLink()) return `a link of user ${file.uid}`;
  return file.isDirectory() ? "a directory" : "a device, pipe or socket";
}
