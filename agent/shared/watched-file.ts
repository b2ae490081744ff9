/**
 * Calls back when the content of a file has changed, however it changed: written in place, replaced by
 * rename, or swapped through a symlink as a mounted ConfigMap is.
 *
 * The directory is watched for speed; the content is compared at a steady pace besides, because a
 * symlink further up may move without an event in the directory itself.
 */
import { createHash } from "node:crypto";
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { dirname } from "node:path";

export interface FileWatch {
  /** Looks now, without waiting. */
  check(): void;
  close(): void;
}

export interface FileWatchOptions {
  readonly pollMs?: number;
  /** Called once with why the directory cannot be watched; comparing at a pace goes on. */
  readonly onWatchFailed?: (error: Error) => void;
}

/** A file that is gone for a moment counts as unchanged: it is on its way, or the old settings stay. */
export function watchFile(file: string, onChange: () => void, options: FileWatchOptions = {}): FileWatch {
  let last = fingerprint(file);
  const check = () => {
    const now = fingerprint(file);
    if (now === undefined || now === last) return;
    last = now;
    onChange();
  };

  const timer = setInterval(check, options.pollMs ?? 5_000);
  timer.unref();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(dirname(file), { persistent: false }, check);
    watcher.on("error", (error) => options.onWatchFailed?.(error));
  } catch (error) {
    options.onWatchFailed?.(error as Error);
  }
  return {
    check,
    close() {
      clearInterval(timer);
      watcher?.close();
    },
  };
}

function fingerprint(file: string): string | undefined {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return undefined; // between two names, or not readable any more: the load that follows a change says so
  }
}
