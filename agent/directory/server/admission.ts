/**
 * Which calls are let in: by the names in the certificate and by the bearer token, which is one of a file or a service account's.
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
import { type Refusal, refused, unauthenticated } from "./refusal.ts";
import { ReviewedTokens, type ReviewOptions } from "./reviewed-tokens.ts";

export interface AdmissionOptions extends SecretFiles {
  /** Without TLS: for a mesh that brings its own, and for tests. */
  readonly insecure: boolean;
  /** Only certificates with one of these names are let in; none: all that `caFile` has signed. */
  readonly agentNames?: readonly string[];
  /** Tokens of service accounts are let in, besides those of `tokenFile`. */
  readonly reviews?: Omit<ReviewOptions, "log"> | undefined;
  readonly rereadMs?: number;
  readonly log: Logger;
}

/** `node`: where the token's pod runs, as far as the token says so. */
export type Admitted =
  | { readonly refusal?: undefined; readonly node?: string | undefined }
  | { readonly refusal: Refusal };

export type Call = ServerDuplexStream<Buffer, Buffer>;

export interface ReplacedSecrets {
  /** Connections were made under an authority that counts no more. */
  authority(refusal: Refusal): void;
  /** Some tokens may count no more: judge() says whose. */
  tokens(): void;
}

const REREAD_MS = 10_000;

export class Admission {
  readonly credentials: ServerCredentials;
  readonly #options: AdmissionOptions;
  readonly #tokens: Tokens | undefined;
  readonly #reviewed: ReviewedTokens | undefined;

  /**
   * @param handshakeMs how long a peer may take until TLS stands
   * @throws Error that says which setting or file is missing or wrong
   */
  constructor(options: AdmissionOptions, handshakeMs: number) {
    this.#options = options;
    const { tokenFile, insecure, reviews, log } = options;
    this.#reviewed = reviews && new ReviewedTokens({ ...reviews, log });
    this.#tokens = tokenFile === undefined ? undefined : new Tokens(readTokens(tokenFile));
    this.credentials = insecure ? ServerCredentials.createInsecure() : tlsOf(options, handshakeMs);
  }

  /** Whether a call is let in, and from which node it is. Never rejects. */
  async admit(call: Call): Promise<Admitted> {
    const { agentNames = [] } = this.#options;
    if (!isNamed(call.getAuthContext().sslPeerCertificate?.raw, agentNames)) {
      const details = "the certificate has none of the names in directory.agent_names";
      return refused(status.PERMISSION_DENIED, details);
    }
    return this.judge(tokenOf(call));
  }

  /** Whether this token is let in, now. Never rejects. */
  async judge(token: string | undefined): Promise<Admitted> {
    if (!this.#tokens && !this.#reviewed) return {};
    if (token === undefined) return unauthenticated("this directory wants a bearer token: set directory.token_file");
    if (this.#tokens?.has(token)) return {};
    if (!this.#reviewed) return unauthenticated("the bearer token is none of those that are let in");
    const verdict = await this.#reviewed.judge(token);
    return "pod" in verdict ? { node: verdict.pod.node } : verdict;
  }

  /** Whether tokens may cease to count without a file being replaced. */
  get reviews(): boolean {
    return this.#reviewed !== undefined;
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
      if (isOther) authority(unauthenticated(details).refusal);
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
  if (!certificates.ca && options.tokenFile === undefined && options.reviews === undefined) {
    throw new Error(
      "nothing says which agents are let in: set directory.ca_file (mutual TLS), directory.token_file or token_audience",
    );
  }
  return new RotatingServerCredentials(certificates, handshakeMs);
}
