/**
 * An exec plugin of a kubeconfig → a token or a client certificate, as kubectl asks for it.
 *
 * It runs once for all that ask at the same time, and again when its word has expired or was refused. It is killed
 * with its children when the agent ends, or when it has not ended for minutes.
 */
import { ApiFailure } from "./failure.ts";
import { type ExecEntry, parseYaml } from "./kubeconfig.ts";
import { runPlugin } from "./run-plugin.ts";

/** What a plugin gave: a token, a certificate with its key, or both. Secrets: never logged. */
export interface ExecCredential {
  readonly token: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

export interface PluginOptions {
  readonly exec: ExecEntry;
  /** For messages: `exec plugin X of user "u" in PATH`. */
  readonly name: string;
  /** All that it finds in its environment. */
  readonly env: NodeJS.ProcessEnv;
  /** Whether a person sits at this terminal and may be asked. */
  readonly isInteractive: boolean;
  /** For whoever waits longer it has failed for now; the plugin goes on. */
  readonly withinMs: number;
  /** Then it is killed, and the next who asks starts it anew. */
  readonly killedAfterMs: number;
}

interface Running {
  readonly answer: Promise<ExecCredential>;
  readonly stop: AbortController;
}

export class ExecPlugin {
  readonly #options: PluginOptions;
  #kept: { readonly credential: ExecCredential; readonly expiresMs: number } | undefined;
  #running: Running | undefined;

  constructor(options: PluginOptions) {
    this.#options = options;
  }

  /** What it gave last must not be used again. */
  forget(): void {
    this.#kept = undefined;
  }

  /** Kills it where it runs; whoever waits gets an error. */
  stop(): void {
    this.#running?.stop.abort();
  }

  /** @throws ApiFailure with reason `credentials` */
  async ask(): Promise<ExecCredential> {
    if (this.#kept !== undefined && this.#kept.expiresMs > Date.now()) return this.#kept.credential;
    const { answer } = this.#running ?? this.#start();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(this.#late()), this.#options.withinMs);
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #start(): Running {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), this.#options.killedAfterMs).unref();
    const answer = this.#run(stop.signal).finally(() => {
      clearTimeout(timer);
      this.#running = undefined;
    });
    answer.catch(() => undefined); // whoever waits gets the error; nobody may be left
    this.#running = { answer, stop };
    return this.#running;
  }

  async #run(signal: AbortSignal): Promise<ExecCredential> {
    const { exec, name, env, isInteractive } = this.#options;
    const printed = await runPlugin({ exec, name, env, isInteractive, signal });
    const { credential, expiresMs } = readCredential(name, exec, printed);
    this.#kept = { credential, expiresMs };
    return credential;
  }

  #late(): ApiFailure {
    const { name, withinMs, isInteractive } = this.#options;
    const remedy = isInteractive
      ? "does it wait for an answer on the terminal?"
      : "does it wait for input? It has none here: log in before, or use a plugin that asks nobody";
    return new ApiFailure("credentials", `${name} has not ended within ${withinMs} ms`, { remedy });
  }
}

interface Printed {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly status?: {
    readonly token?: unknown;
    readonly clientCertificateData?: unknown;
    readonly clientKeyData?: unknown;
    readonly expirationTimestamp?: unknown;
  } | null;
}

/**
 * @param text what the plugin printed: nothing of it is in an error
 * @throws ApiFailure with reason `credentials`
 */
export function readCredential(name: string, exec: ExecEntry, text: string) {
  const refuse = (what: string, remedy = "run it by hand and look at what it prints") =>
    new ApiFailure("credentials", `${name} ${what}`, { remedy });
  let printed: Printed;
  try {
    printed = (parseYaml("what it printed", text) ?? {}) as Printed;
  } catch {
    throw refuse("printed no JSON"); // what it printed may be a secret
  }
  const { apiVersion, kind, status } = printed;
  if (kind !== "ExecCredential") throw refuse("printed no ExecCredential");
  if (apiVersion !== exec.apiVersion) {
    throw refuse("answers in another apiVersion than its entry names", `set exec.apiVersion to what it prints`);
  }
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status ?? {};
  for (const value of [token, cert, key]) {
    if (value !== undefined && value !== null && typeof value !== "string") throw refuse("gave what is no text");
  }
  const credential = { token: token || undefined, cert: cert || undefined, key: key || undefined } as ExecCredential;
  if (Boolean(credential.cert) !== Boolean(credential.key)) throw refuse("gave a certificate or a key, not both");
  if (credential.token === undefined && credential.cert === undefined) {
    throw refuse("gave neither a token nor a client certificate with its key");
  }
  const expiresMs = typeof expirationTimestamp === "string" ? Date.parse(expirationTimestamp) : Infinity;
  if (Number.isNaN(expiresMs)) throw refuse("gave an expirationTimestamp that is no time");
  return { credential, expiresMs };
}
