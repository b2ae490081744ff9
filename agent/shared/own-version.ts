/**
 * The version, from package.json: esbuild puts it into the bundle, a run from the sources reads the file.
 */
import { readFileSync } from "node:fs";

declare const FLOWSPAN_VERSION: string | undefined;

export const VERSION: string =
  typeof FLOWSPAN_VERSION === "string"
    ? FLOWSPAN_VERSION
    : (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
