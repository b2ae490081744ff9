/**
 * Certificates and tokens from files that are replaced while the program runs, as cert-manager and the
 * kubelet do.
 *
 * Read again every few seconds; what cannot be read or does not fit together is reported once and the last good
 * content stays in use: half of a rotation must not shut everybody out. Contents are never logged.
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { type KeyCertPair, ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "../shared/logger.ts";
import { certificateProblem } from "../tls/pem.ts";

/** All optional: what is set is demanded. */
export interface SecretFiles {
  /** What the other end's certificate must be signed by. */
  readonly caFile?: string | undefined;
  /** Our own certificate with its chain, and its key. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Directory: the tokens that are let in, one a line. Agent: its token. */
  readonly tokenFile?: string | undefined;
}

export interface Certificates {
  readonly ca: Buffer | undefined;
  readonly pair: KeyCertPair | undefined;
}

/** @throws Error that names the file which cannot be read, or the certificate that does not fit its key */
export function readCertificates({ caFile, certFile, keyFile }: SecretFiles): Certificates {
  const ca = caFile === undefined ? undefined : read(caFile, "ca_file");
  const wrong = ca && certificateProblem(ca);
  // OpenSSL takes a file without a certificate, and then trusts nobody.
  if (wrong !== undefined) throw new Error(`directory.ca_file ${caFile} holds ${wrong}`);
  if (certFile === undefined && keyFile === undefined) return { ca, pair: undefined };
  if (certFile === undefined || keyFile === undefined) {
    throw new Error("directory.cert_file and directory.key_file belong together: set both");
  }
  const pair = { cert_chain: read(certFile, "cert_file"), private_key: read(keyFile, "key_file") };
  try {
    createSecureContext({ cert: pair.cert_chain, key: pair.private_key, ...(ca === undefined ? {} : { ca }) });
  } catch (error) {
    const files = `directory.cert_file ${certFile} and directory.key_file ${keyFile}`;
    throw new Error(`${files} cannot be used: ${(error as Error).message}`, { cause: error });
  }
  return { ca, pair };
}

/** @throws Error when there is none, or one that no header carries: gRPC would print it */
export function readTokens(tokenFile: string): string[] {
  const tokens = read(tokenFile, "token_file")
    .toString("utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (tokens.length === 0) throw new Error(`${tokenFile} holds no token`);
  const line = tokens.findIndex((token) => !/^[!-~]+$/.test(token));
  if (line >= 0)
    throw new Error(`${tokenFile} holds a token, number ${line + 1}, with other than printable ASCII characters`);
  return tokens;
}

/** @param setting below `directory` */
function read(path: string, setting: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`directory.${setting}: cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** A server's TLS, whose certificates can be replaced while it listens; gRPC's own class takes them once. */
export class RotatingServerCredentials extends ServerCredentials {
  /** @param handshakeMs how long a peer may take until TLS stands */
  constructor({ ca, pair }: Certificates, handshakeMs: number) {
    const demands = ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true };
    super({ ...demands, handshakeTimeout: handshakeMs }, contextOf({ ca, pair }));
  }

  replace(certificates: Certificates): void {
    this.updateSecureContextOptions(contextOf(certificates));
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

function contextOf({ ca, pair }: Certificates) {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(pair === undefined ? {} : { cert: pair.cert_chain, key: pair.private_key }),
  };
}

/** Which tokens are let in. */
export class Tokens {
  #digests: readonly Buffer[];

  constructor(tokens: readonly string[]) {
    this.#digests = tokens.map(digest);
  }

  replace(tokens: readonly string[]): void {
    this.#digests = tokens.map(digest);
  }

  /** Takes as long for a token that is nearly right. */
  has(token: string): boolean {
    const wanted = digest(token);
    return this.#digests.reduce((found, each) => timingSafeEqual(each, wanted) || found, false);
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/**
 * Reads `source` again every `everyMs` and passes on what is new.
 *
 * @returns what ends it
 */
export function follow<T>(
  what: string,
  source: () => T,
  fingerprint: (value: T) => string,
  onNew: (value: T) => void,
  { everyMs, log }: { readonly everyMs: number; readonly log: Logger },
): () => void {
  let last = fingerprint(source());
  let problem: string | undefined;
  const timer = setInterval(() => {
    try {
      const value = source();
      const now = fingerprint(value);
      if (now !== last) {
        onNew(value);
        log.info({}, `${what} were replaced`);
      }
      last = now;
      problem = undefined;
    } catch (error) {
      const { message } = error as Error;
      if (problem !== message) log.warn({ detail: message }, `${what} cannot be read again: the last ones stay in use`);
      problem = message;
    }
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
