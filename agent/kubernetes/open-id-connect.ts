/**
 * The auth-provider `oidc` of a kubeconfig → an id token, renewed by its refresh token where it has expired
 * (OpenID Connect Discovery 4, RFC 6749 6), as client-go does it.
 *
 * What is new stays here: the kubeconfig is not written. The other providers are gone from kubectl, too; exec
 * plugins took their place.
 */

import { proxyOf } from "./api-proxy.ts";
import { ApiFailure, networkFailure } from "./failure.ts";
import { parseJson } from "./json.ts";
import type { UserEntry } from "./kubeconfig.ts";
import { readText, starterOf } from "./request.ts";
import { field, text } from "./trim.ts";

type AuthProvider = NonNullable<UserEntry["authProvider"]>;

const REMOVED: Readonly<Record<string, string>> = {
  gcp: "use the exec plugin gke-gcloud-auth-plugin",
  azure: "use the exec plugin kubelogin: kubelogin convert-kubeconfig",
};
const ANSWER_MS = 10_000;

export class OpenIdConnect {
  readonly #name: string;
  /** Of the identity provider; undefined: the system's. */
  readonly #ca: Buffer | undefined;
  readonly #env: NodeJS.ProcessEnv;
  /** As the kubeconfig has it, with the tokens that came since. */
  #config: AuthProvider["config"];
  #renewing: Promise<string> | undefined;

  constructor({ name, config }: AuthProvider, userName: string, ca: Buffer, env: NodeJS.ProcessEnv) {
    this.#name = `auth-provider ${name} of ${userName}`;
    if (name !== "oidc") {
      const remedy = REMOVED[name] ?? "use an exec plugin, or a token";
      throw new ApiFailure("credentials", `${this.#name} is none that kubectl knows any more`, { remedy });
    }
    this.#config = config;
    this.#ca = ca.length > 0 ? ca : undefined;
    this.#env = env;
  }

  /** @throws ApiFailure with reason `credentials` */
  async token(): Promise<string> {
    const { "id-token": idToken = "" } = this.#config;
    if (expiresMs(idToken) > Date.now()) return idToken;
    // One renewal for all that ask at once: a refresh token may count once.
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return await this.#renewing;
  }

  async #renew(): Promise<string> {
    for (const name of ["client-id", "idp-issuer-url", "refresh-token"]) {
      if (this.#config[name]) continue;
      const remedy = "log in again, so that it can be renewed";
      throw new ApiFailure("credentials", `${this.#name}: its id-token is over, and it has no ${name}`, { remedy });
    }
    try {
      const renewed = await this.#ask();
      this.#config = { ...this.#config, ...renewed };
      return renewed["id-token"];
    } catch (cause) {
      const remedy = "log in again; check idp-issuer-url, idp-certificate-authority and client-secret";
      const { message } = networkFailure(cause);
      throw new ApiFailure("credentials", `${this.#name} cannot be renewed: ${message}`, { remedy, cause });
    }
  }

  async #ask(): Promise<{ readonly "id-token": string; readonly "refresh-token": string }> {
    const { "idp-issuer-url": issuer = "", "client-id": id = "", "client-secret": secret = "" } = this.#config;
    const { "refresh-token": refreshToken = "" } = this.#config;
    const discovery = urlOf(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, "its idp-issuer-url");
    const endpoint = urlOf(text(field(await this.#send(discovery), "token_endpoint")), "the provider's token_endpoint");
    const form = { grant_type: "refresh_token", refresh_token: refreshToken };
    const words = [id, secret].map(encodeURIComponent).join(":");
    const basic = { authorization: `Basic ${Buffer.from(words).toString("base64")}` };
    // Providers differ in where they look for the secret.
    const answer = await this.#send(endpoint, form, basic).catch(() =>
      this.#send(endpoint, { ...form, client_id: id, client_secret: secret }),
    );
    const idToken = text(field(answer, "id_token"));
    if (idToken === "") throw new Error("the provider gave no id_token");
    return { "id-token": idToken, "refresh-token": text(field(answer, "refresh_token")) || refreshToken };
  }

  /** A GET, or a POST of `form`. @returns the JSON of a 200 */
  async #send(server: URL, form?: Record<string, string>, headers: Record<string, string> = {}): Promise<unknown> {
    const content = form === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" };
    const options = { ca: this.#ca, method: form === undefined ? "GET" : "POST", headers: { ...content, ...headers } };
    const signal = AbortSignal.timeout(ANSWER_MS);
    const start = await starterOf(server, { server, options, proxy: proxyOf(server, this.#env) }, ANSWER_MS, signal);
    const { promise, resolve, reject } = Promise.withResolvers<Parameters<typeof readText>[0]>();
    const sent = start().on("response", resolve).on("error", reject);
    sent.end(form === undefined ? undefined : new URLSearchParams(form).toString());
    const answer = await promise;
    const body = await readText(answer, ANSWER_MS);
    if (answer.statusCode === 200) return parseJson(body);
    throw new Error(`${server.host} answers status ${answer.statusCode}`); // its text may hold what was sent
  }
}

function urlOf(words: string, name: string): URL {
  if (URL.canParse(words)) return new URL(words);
  throw new Error(`${name} is no URL`);
}

/** Of a JSON Web Token; one that does not say so is over, as for kubectl. */
function expiresMs(token: string): number {
  const claims = parseJson(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
  const seconds = field(claims, "exp");
  return typeof seconds === "number" ? seconds * 1000 : 0;
}
