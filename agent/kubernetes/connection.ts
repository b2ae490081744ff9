/**
 * Where the API server is and how to prove who we are: a pod's service account, or a kubeconfig.
 *
 * Everything that can be rotated (token, CA, client certificate) is read anew for every connect. The
 * Kubernetes client is loaded only for a kubeconfig: it is 60 MB of code that an agent in a pod never needs.
 */
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { join } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";
import { trustSystem } from "../tls/system-roots.ts";
import { ApiFailure } from "./failure.ts";

/** What one connect needs. Holds secrets: never logged. */
export interface Credentials {
  readonly server: URL;
  readonly options: RequestOptions;
}

export interface Connection {
  /** For logs and for people. */
  readonly description: string;
  /** Reads everything anew. Throws an ApiFailure with reason `credentials`. */
  credentials(): Promise<Credentials>;
  /** The server answered 401: what is kept between connects (an exec plugin's token) must not be used again. */
  refused(): void;
}

const SERVICE_ACCOUNT_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Whether this process runs in a pod with a service account's address in its environment. */
export function inCluster(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env.KUBERNETES_SERVICE_HOST && env.KUBERNETES_SERVICE_PORT);
}

/** @param directory where the kubelet keeps `token` and `ca.crt` up to date */
export function serviceAccountConnection(
  env: NodeJS.ProcessEnv,
  directory: string = SERVICE_ACCOUNT_DIRECTORY,
): Connection {
  const host = env.KUBERNETES_SERVICE_HOST ?? "";
  const server = new URL(`https://${host.includes(":") ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT}`);
  return {
    description: `${server.origin} by service account`,
    async credentials() {
      const [token, ca] = await Promise.all([
        readSecret(join(directory, "token")),
        readSecret(join(directory, "ca.crt")),
      ]);
      if (token.trim() === "") throw new ApiFailure("credentials", `${join(directory, "token")} is empty`);
      return { server, options: { ca, headers: { authorization: `Bearer ${token.trim()}` } } };
    },
    refused() {},
  };
}

async function readSecret(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new ApiFailure("credentials", `cannot read ${path}`, undefined, error);
  }
}

/** How long a kubeconfig's credentials may take; an exec plugin may ask a server of its own. */
const CREDENTIALS_MS = 30_000;

/**
 * @param path a kubeconfig file; its current context counts, exec plugins and proxies included
 * @param withinMs after this, credentials have failed for now
 */
export function kubeconfigConnection(path: string, withinMs: number = CREDENTIALS_MS): Connection {
  let loaded: { readonly text: string; readonly config: KubeConfig } | undefined;
  let asked: Promise<Credentials> | undefined;

  async function load(): Promise<KubeConfig> {
    const text = await readSecret(path);
    if (loaded?.text === text) return loaded.config;
    const { KubeConfig } = await import("@kubernetes/client-node");
    const config = new KubeConfig();
    config.loadFromFile(path);
    loaded = { text, config };
    return config;
  }

  async function ask(): Promise<Credentials> {
    const config = await load();
    const cluster = config.getCurrentCluster();
    if (!cluster) throw new Error(`${path} names no cluster in its current context`);
    const options: RequestOptions = { headers: {} };
    await config.applyToHTTPSOptions(options);
    if (options.ca === undefined) trustSystem();
    const plugin = config.getCurrentUser()?.exec as { readonly command?: string } | undefined;
    if (plugin && !isProof(options)) {
      throw new Error(`${plugin.command} of ${path} gave neither a token nor a client certificate with its key`);
    }
    // Its agents are kept with the certificates that they were made with; only a proxy needs one.
    if (!cluster.proxyUrl) options.agent = false;
    return { server: new URL(cluster.server), options };
  }

  return {
    description: `kubeconfig ${path}`,
    async credentials() {
      // One question for all watches that connect at once. An exec plugin that hangs cannot be ended from
      // here: its one answer is waited for, so that there is never a second one that hangs.
      asked ??= ask().finally(() => {
        asked = undefined;
      });
      try {
        return await within(withinMs, asked, `the credentials of ${path} did not come`);
      } catch (error) {
        if (error instanceof ApiFailure) throw error;
        // The client keeps whatever a plugin said, also what is no credential.
        loaded = undefined;
        const message = error instanceof Error ? error.message : String(error);
        throw new ApiFailure("credentials", message, undefined, error);
      }
    },
    refused() {
      loaded = undefined;
    },
  };
}

/** Without one we would be `system:anonymous`: 403, for as long as the plugin's word is kept. */
function isProof({ cert, key, headers }: RequestOptions): boolean {
  const authorization = (headers as Readonly<Record<string, string>> | undefined)?.Authorization ?? "";
  return /^Bearer [!-~]+$/.test(authorization) || (Boolean(cert) && Boolean(key));
}

async function within<T>(ms: number, answer: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ApiFailure("credentials", `${what} within ${ms} ms`)), ms);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
