/**
 * Files of /proc about processes and threads: any of these may end between being listed and being read.
 */
import { readdirSync, readFileSync } from "node:fs";

/** Nobody is there by that id: seen when the file is opened, or when it is read. */
const GONE = new Set(["ENOENT", "ESRCH"]);

/** @returns undefined when what the file is about has ended */
export function readIfThere(path: string): string | undefined {
  return unlessGone(() => readFileSync(path, "utf8"));
}

/** `/proc/PID/task/TID/FILE` of every thread that is there: none of a process that has ended. */
export function threadFiles(pid: number | "self", file: string): string[] {
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return threads.flatMap((thread) => readIfThere(`/proc/${pid}/task/${thread}/${file}`) ?? []);
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (GONE.has((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
