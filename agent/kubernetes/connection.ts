/**
 * Where the API server is and how to prove who we are: the contract of a connection, and a pod's service account.
 *
 * Everything that can be rotated (token, CA, client certificate) is read anew for every connect.
 */
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { join } from "node:path";
import { type ApiProxy, proxyOf } from "./api-proxy.ts";
import { ApiFailure } from "./failure.ts";

/** What one connect needs. Holds secrets: never logged. */
export interface Credentials {
  readonly server: URL;
  readonly options: RequestOptions;
  /** Undefined: there is none on the way. */
  readonly proxy?: ApiProxy | undefined;
  /** What made it so, for messages. */
  readonly origin: Origin;
}

/** The names of what decides about a connection: where a person mends it. No secret is in it. */
export interface Origin {
  /** Of the server's address. */
  readonly server: string;
  /** Of the CA that the server's certificate is checked with. */
  readonly ca: string;
  /** Of the name that the server's certificate has to hold. */
  readonly tlsName: string;
  /** Of what says who we are. */
  readonly user: string;
}

export interface Connection {
  /** For logs and for people. */
  readonly description: string;
  /** Reads everything anew. Throws an ApiFailure with reason `credentials`. */
  credentials(): Promise<Credentials>;
  /** The server answered 401: what is kept between connects (an exec plugin's token) must not be used again. */
  refused(): void;
  /** Ends what runs for it: an exec plugin, also one that hangs. Nobody asks any more. */
  close(): void;
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
  const [tokenFile, caFile] = [join(directory, "token"), join(directory, "ca.crt")];
  const origin: Origin = {
    server: "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT",
    ca: caFile,
    tlsName: "KUBERNETES_SERVICE_HOST",
    user: `the service account's ${tokenFile}`,
  };
  return {
    description: `${server.origin} by service account`,
    async credentials() {
      const [token, ca] = await Promise.all([readMounted(tokenFile), readMounted(caFile)]);
      if (token.trim() === "") throw new ApiFailure("credentials", `${tokenFile} is empty`, { remedy: REMOUNT });
      return {
        server,
        options: { ca, headers: { authorization: `Bearer ${token.trim()}` } },
        proxy: proxyOf(server, env),
        origin,
      };
    },
    refused() {},
    close() {},
  };
}

const REMOUNT =
  "set automountServiceAccountToken in the pod's spec, or kubernetes.enabled to off; the pod's user must be able to read it";

async function readMounted(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw unreadable(path, error, REMOUNT);
  }
}

/** A file could not be read. */
export function unreadable(path: string, cause: unknown, remedy: string): ApiFailure {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
  const why: Readonly<Record<string, string>> = {
    ENOENT: "there is none",
    EACCES: `user ${process.geteuid?.()} may not`,
    EISDIR: "it is a directory",
    ENOTDIR: "a part of its path is no directory",
  };
  return new ApiFailure("credentials", `cannot read ${path}: ${why[code] ?? code}`, { remedy, cause });
}
