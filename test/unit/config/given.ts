/** A configuration from what is given: the text of a file, variables, flags. Files are gone after the test file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { type Config, loadConfig, loadSchemaCheck } from "../../../agent/config/load.ts";

export const directory = mkdtempSync(join(tmpdir(), "flowspan-config-"));
export const checkSchema = await loadSchemaCheck();

afterAll(() => rmSync(directory, { recursive: true }));

export interface Given {
  readonly file?: string;
  readonly env?: Record<string, string>;
  readonly flags?: Record<string, string | boolean>;
}

let files = 0;

export function load({ file, env = {}, flags = {} }: Given): Config {
  if (file === undefined) return loadConfig({ env, flags, checkSchema });
  const path = join(directory, `${files++}.yaml`);
  writeFileSync(path, file);
  return loadConfig({ env: { ...env, OTEL_CONFIG_FILE: path }, flags, checkSchema });
}

/** The whole error's text, with the file called FILE. */
export function refusal(given: Given): string {
  try {
    load(given);
  } catch (error) {
    return (error as Error).message.replaceAll(join(directory, `${files - 1}.yaml`), "FILE");
  }
  throw new Error("nothing was refused");
}

export const yaml = (...lines: string[]) => ['file_format: "1.1"', ...lines].join("\n");
export const ours = (...lines: string[]) => yaml("distribution:", "  flowspan:", ...lines.map((line) => `    ${line}`));
