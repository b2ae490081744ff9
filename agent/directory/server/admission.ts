/**
 * Which calls are let in: by the bearer token and by the names in the certificate.
 *
 * Certificates and tokens come from files. They are read again while the directory runs, and whoever came with what is gone by then
 * has to come again. A refusal says what to do; the files' contents are in none.
 */
import { ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { Logger } from "../../shared/logger.ts";
import {
  follow,
  RotatingServerCredentials,
  readCertificates,
  readTokens,
  type SecretFiles,
  Tokens,
} from "../secrets.ts";
import { isNamed } from "./agent-name.ts";

export interface AdmissionOptions extends SecretFiles {
  /** Without TLS: for a mesh that brings its own, and for tests. */
  readonly insecure: boolean;
  /** Only certificates with one of these names are let in; none: all that `caFile` has signed. */
  readonly agentNames?: readonly string[];
  readonly rereadMs?: number;
  readonly log: Logger;
}

export type Call = ServerDuplexStream<Buffer, Buffer>;

export interface Refusal {
  readonly code: status;
  readonly details: string;
}

export interface ReplacedSecrets {
  /** Connections were made under an authority that counts no more. */
  authority(refusal: Refusal): void;
  /** Some tokens may count no more: tokenRefusal() says whose. */
  tokens(): void;
}

const REREAD_MS = 10_000;

export class Admission {
  readonly credentials: ServerCredentials;
  readonly #options: AdmissionOptions;
  readonly #tokens: Tokens | undefined;

  /**
   * @param handshakeMs how long a peer may take until TLS stands
   * @throws Error that says which setting or file is missing or wrong
   */
  constructor(options: AdmissionOptions, handshakeMs: number) {
    this.#options = options;
    const { tokenFile, insecure } = options;
    this.#tokens = tokenFile === undefined ? undefined : new Tokens(readTokens(tokenFile));
    this.credentials = insecure ? ServerCredentials.createInsecure() : tlsOf(options, handshakeMs);
  }

  /** Why a call is not let in; undefined lets it in. */
  refusal(call: Call): Refusal | undefined {
    const refusal = this.tokenRefusal(tokenOf(call));
    if (refusal) return refusal;
    const { agentNames = [] } = this.#options;
    if (isNamed(call.getAuthContext().sslPeerCertificate?.raw, agentNames)) return undefined;
    const details = "the certificate has none of the names in directory.agent_names";
    return { code: status.PERMISSION_DENIED, details };
  }

  /** Why this token is not let in; undefined lets it in. */
  tokenRefusal(token: string | undefined): Refusal | undefined {
    if (!this.#tokens) return undefined;
    if (token === undefined) return unauthenticated("this directory wants a bearer token: set directory.token_file");
    return this.#tokens.has(token) ? undefined : unauthenticated("the bearer token is none of those that are let in");
  }

  /** Reads the files again and again. @returns what ends that */
  follow(replaced: ReplacedSecrets): () => void {
    const closing = [this.#followCertificates(replaced), this.#followTokens(replaced)];
    return () => {
      for (const close of closing) close();
    };
  }

  #followCertificates({ authority }: ReplacedSecrets): () => void {
    const { log, rereadMs: everyMs = REREAD_MS } = this.#options;
    const { credentials } = this;
    if (!(credentials instanceof RotatingServerCredentials)) return () => {};
    const read = () => readCertificates(this.#options);
    const fingerprint = ({ ca, pair }: ReturnType<typeof read>) =>
      [ca, pair?.cert_chain, pair?.private_key].map((part) => part?.toString("base64")).join();
    let { ca } = read();
    const replace = (found: ReturnType<typeof read>) => {
      credentials.replace(found);
      const isOther = ca !== undefined && !found.ca?.equals(ca);
      ca = found.ca;
      const details = "directory.ca_file was replaced: show a certificate that it signed";
      if (isOther) authority(unauthenticated(details));
    };
    return follow("the directory's certificates", read, fingerprint, replace, { everyMs, log });
  }

  #followTokens({ tokens }: ReplacedSecrets): () => void {
    const { log, tokenFile, rereadMs: everyMs = REREAD_MS } = this.#options;
    if (tokenFile === undefined) return () => {};
    const read = () => readTokens(tokenFile);
    const replace = (found: readonly string[]) => {
      this.#tokens?.replace(found);
      tokens();
    };
    return follow("the directory's tokens", read, (found) => found.join(), replace, { everyMs, log });
  }
}

export function tokenOf({ metadata }: Pick<Call, "metadata">): string | undefined {
  const [value] = metadata.get("authorization");
  const match = /^Bearer (.+)$/.exec(typeof value === "string" ? value : "");
  return match?.[1];
}

function tlsOf(options: AdmissionOptions, handshakeMs: number): RotatingServerCredentials {
  const certificates = readCertificates(options);
  if (!certificates.pair) {
    throw new Error("no certificate: set directory.cert_file and directory.key_file, or directory.insecure: true");
  }
  if (!certificates.ca && options.tokenFile === undefined) {
    throw new Error(
      "nothing says which agents are let in: set directory.ca_file (mutual TLS), directory.token_file, or both",
    );
  }
  return new RotatingServerCredentials(certificates, handshakeMs);
}

function unauthenticated(details: string): Refusal {
  return { code: status.UNAUTHENTICATED, details };
}
