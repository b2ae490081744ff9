/**
 * What is wrong with a directory's own settings and the files that they name, before anything starts.
 *
 * Files are opened here, so that a Secret which is not mounted, or not for this user, is reported as a setting that
 * is wrong, with all others at once.
 */
import { accessSync, constants } from "node:fs";
import { ConfigError, type Problem } from "../config/problem.ts";
import { OURS } from "../config/setting-rows.ts";
import type { Settings } from "../config/settings.ts";
import { readCertificates, readTokens } from "../directory/secrets.ts";

/**
 * @param source the file, where there is one
 * @throws ConfigError with every problem there is
 */
export function checkServing({ directory }: Settings, source: string): void {
  const missing = missingSettings(directory);
  const unreadable = unreadableFiles(directory);
  const unusable = unreadable.length === 0 ? unusableFiles(directory) : [];
  const problems = [...missing, ...unreadable, ...unusable].map(
    ([name, found, allowed, remedy]): Problem => ({
      source,
      path: `${OURS}.directory.${name}`,
      found,
      allowed,
      remedy,
    }),
  );
  if (problems.length > 0) throw new ConfigError(problems);
}

type Directory = Settings["directory"];
type Words = readonly [name: string, found: string, allowed: string, remedy: string];

function missingSettings({ insecure, listen, caFile, certFile, tokenFile, tokenAudience }: Directory): Words[] {
  const words: Words[] = [];
  if (certFile === undefined && !insecure) {
    const remedy = "set cert_file and key_file, or insecure: true inside of a mesh that brings its own TLS";
    words.push(["cert_file", "nothing", "the certificate that agents are shown, with its key in key_file", remedy]);
  }
  // Without TLS nobody shows a certificate; what listens on loopback is reached from this host alone.
  const isClosed = insecure && LOOPBACK.test(listen);
  const hasTokens = tokenFile !== undefined || tokenAudience !== undefined;
  if (caFile === undefined && !hasTokens && !isClosed) {
    const found = insecure ? "insecure: true without token_file" : "neither token_file nor ca_file";
    const setting = insecure ? "set token_file or token_audience" : "set token_file, token_audience or ca_file";
    const remedy = `${setting}: docs/directory.md says how to make ${insecure ? "it" : "them"}`;
    words.push(["token_file", found, "something that says which agents are let in", remedy]);
  }
  return words;
}

const LOOPBACK = /^(127(\.\d+){3}|\[::1\]|localhost):/;

function unreadableFiles({ caFile, certFile, keyFile, tokenFile }: Directory): Words[] {
  const files = { ca_file: caFile, cert_file: certFile, key_file: keyFile, token_file: tokenFile };
  return Object.entries(files).flatMap(([name, file]): Words[] => {
    if (file === undefined) return [];
    try {
      accessSync(file, constants.R_OK);
      return [];
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      const found = `${file} (${code})`;
      return [[name, found, `a file that user ${process.getuid?.()} can read`, remedyOf(code)]];
    }
  });
}

function remedyOf(code: string): string {
  if (code === "EACCES") return "give this user the right to read it; in a pod, set fsGroup and defaultMode: 0440";
  return "put the file there; in a pod, mount the Secret: docs/directory.md says how to make it";
}

/** What is there and readable, and still makes no sense. */
function unusableFiles(directory: Directory): Words[] {
  const { caFile, certFile, keyFile, tokenFile } = directory;
  const words: Words[] = [];
  const attempt = (name: string, allowed: string, remedy: string, read: () => unknown) => {
    try {
      read();
    } catch (error) {
      words.push([name, (error as Error).message, allowed, remedy]);
    }
  };
  const remake = "make both anew: docs/directory.md says how";
  attempt("ca_file", "at least one PEM certificate", remake, () => readCertificates({ caFile }));
  attempt("cert_file", "a PEM certificate and the key that belongs to it", remake, () =>
    readCertificates({ certFile, keyFile }),
  );
  if (tokenFile !== undefined) {
    const remedy = `openssl rand -hex 32 >${tokenFile}`;
    attempt("token_file", "at least one token, one a line", remedy, () => readTokens(tokenFile));
  }
  return words;
}
