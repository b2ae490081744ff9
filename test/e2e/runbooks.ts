/** What the runbooks tell their reader to ask and to run. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const DIRECTORY = join(import.meta.dirname, "../../docs/runbooks");

interface Told {
  readonly page: string;
  readonly text: string;
}

/** Blocks of PromQL. */
export function toldQueries(): Told[] {
  return told(/```promql\n([\s\S]*?)\n```/g);
}

/** Lines of commands: indented, and no list. */
export function toldCommands(): Told[] {
  return told(/^ {4}(\S.*)$/gm);
}

function told(pattern: RegExp): Told[] {
  return readdirSync(DIRECTORY).flatMap((page) =>
    [...readFileSync(join(DIRECTORY, page), "utf8").matchAll(pattern)].map(([, text = ""]) => ({ page, text })),
  );
}
