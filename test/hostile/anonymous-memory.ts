/** The anonymous memory of a process while somebody attacks it: what Kubernetes counts. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { onTestFinished } from "vitest";

/** Reads it 50 times a second until the test's end. @returns the most so far, MiB */
export function watchAnonymousMemory({ pid }: ChildProcess): () => number {
  let peakKib = 0;
  const reading = setInterval(() => {
    const [, kib = "0"] = /^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
    peakKib = Math.max(peakKib, Number(kib));
  }, 20);
  onTestFinished(() => clearInterval(reading));
  return () => Math.ceil(peakKib / 1024);
}
