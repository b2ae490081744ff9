/**
 * Reads what TLS needs from the files that settings name, and says which setting is wrong where one cannot be used.
 */
import { readFileSync } from "node:fs";
import type { Origin } from "../config/layer.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { certificateProblem, isPair, keyProblem } from "../tls/pem.ts";

/** All optional; certificate and key belong together. */
export interface TlsFiles {
  /** What the other end's certificate must be signed by. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export interface TlsContents {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

type Kind = keyof TlsFiles;

const ALLOWED: Readonly<Record<Kind, string>> = {
  caFile: "a file with at least one PEM certificate",
  certFile: "a file with a PEM certificate, and its chain after it",
  keyFile: "a file with a PEM private key without a passphrase",
};

/**
 * @param names where each file was set
 * @throws ConfigError with every file that cannot be used
 */
export function readTlsFiles(files: TlsFiles, names: Readonly<Record<Kind, Origin>>): TlsContents {
  const problems: Problem[] = [];
  const read = (kind: Kind, problemOf: (bytes: Buffer) => string | undefined): Buffer | undefined => {
    const path = files[kind];
    if (path === undefined) return undefined;
    const content = readAll(path);
    const wrong = typeof content === "string" ? content : problemOf(content);
    if (typeof content !== "string" && wrong === undefined) return content;
    const remedy =
      typeof content === "string"
        ? `ls -l ${path}, as user ${process.getuid?.()}`
        : `mend ${path}, or name another file`;
    problems.push({ ...names[kind], found: `${path}: ${wrong}`, allowed: ALLOWED[kind], remedy });
    return undefined;
  };
  const ca = read("caFile", certificateProblem);
  const cert = read("certFile", certificateProblem);
  const key = read("keyFile", keyProblem);
  if (cert !== undefined && key !== undefined && !isPair(cert, key)) {
    const found = `${files.keyFile}: the key of another certificate than ${files.certFile}`;
    problems.push({ ...names.keyFile, found, allowed: ALLOWED.keyFile, remedy: "make or mount both anew" });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { ca, cert, key };
}

/** @returns the content, or why it cannot be read */
function readAll(path: string): Buffer | string {
  try {
    return readFileSync(path);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
