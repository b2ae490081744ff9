/**
 * The auth-provider `oidc` of a kubeconfig → an id token, renewed where it has expired.
 *
 * The Kubernetes client knows how: it is loaded only here, since it takes 28 MiB. The other providers are gone
 * from kubectl, too; exec plugins took their place.
 */
import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import type { User } from "@kubernetes/client-node";
import { ApiFailure } from "./failure.ts";
import type { UserEntry } from "./kubeconfig.ts";

/** Loads the client now, where one of the kubeconfigs will need it: the installation may be unreadable later. */
export async function loadClientAhead(paths: string): Promise<void> {
  const needsIt = paths.split(":").some((path) => {
    try {
      return readFileSync(path, "utf8").includes("auth-provider");
    } catch {
      return false; // told with its remedy when it is read to be used
    }
  });
  if (needsIt) await import("@kubernetes/client-node");
}

type AuthProvider = NonNullable<UserEntry["authProvider"]>;

const REMOVED: Readonly<Record<string, string>> = {
  gcp: "use the exec plugin gke-gcloud-auth-plugin",
  azure: "use the exec plugin kubelogin: kubelogin convert-kubeconfig",
};

export class OpenIdConnect {
  readonly #name: string;
  readonly #user: User;
  readonly #config: AuthProvider["config"];
  #authenticate: ((options: RequestOptions) => Promise<void>) | undefined;

  constructor({ name, config }: AuthProvider, userName: string) {
    this.#name = `auth-provider ${name} of ${userName}`;
    if (name !== "oidc") {
      const remedy = REMOVED[name] ?? "use an exec plugin, or a token";
      throw new ApiFailure("credentials", `${this.#name} is none that kubectl knows any more`, { remedy });
    }
    this.#config = config;
    // It writes what it gets into this.
    this.#user = { name: userName, authProvider: { name, config: { ...config } } };
  }

  async token(): Promise<string> {
    const options: RequestOptions = { headers: {} };
    try {
      this.#authenticate ??= await this.#load();
      await this.#authenticate(options);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
      const issuer = this.#config["idp-issuer-url"] ?? "";
      const place = URL.canParse(issuer) ? new URL(issuer).host : "its idp-issuer-url";
      const remedy = "log in again; check idp-issuer-url, idp-certificate-authority and refresh-token";
      throw new ApiFailure("credentials", `${this.#name}: ${place} gave no new token (${code})`, { remedy, cause });
    }
    const { Authorization = "" } = options.headers as Readonly<Record<string, string>>;
    if (Authorization !== "") return Authorization.replace(/^Bearer /, "");
    const remedy = "log in again, so that it has an id-token, a client-id, an idp-issuer-url and a refresh-token";
    throw new ApiFailure("credentials", `${this.#name}: its id-token has expired, and cannot be renewed`, { remedy });
  }

  async #load(): Promise<(options: RequestOptions) => Promise<void>> {
    const { KubeConfig } = await import("@kubernetes/client-node");
    const client = new KubeConfig();
    client.loadFromClusterAndUser({ name: "c", server: "https://unused", skipTLSVerify: false }, this.#user);
    return (options) => client.applyToHTTPSOptions(options);
  }
}
