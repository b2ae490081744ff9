/**
 * Paths of kubeconfig files → a connection as kubectl would make it.
 *
 * Files, certificates and tokens are read anew for every connect; what is kept is an exec plugin's word until it
 * expires. User and password, tokens and plugins count over TLS only. Every value is checked here, so that
 * a failure names the field and no later layer prints what is in it.
 */
import { readFile } from "node:fs/promises";
import type { OutgoingHttpHeaders } from "node:http";
import type { RequestOptions } from "node:https";
import { isIP } from "node:net";
import { checkServerIdentity, createSecureContext } from "node:tls";
import { certificateProblem, certificatesIn, isCertificate } from "../tls/pem.ts";
import { trustSystem } from "../tls/system-roots.ts";
import { type ApiProxy, proxyOf, proxyUrl } from "./api-proxy.ts";
import type { Connection, Credentials } from "./connection.ts";
import { unreadable } from "./connection.ts";
import { execEnvironment } from "./exec-environment.ts";
import { ExecPlugin } from "./exec-plugin.ts";
import { ApiFailure } from "./failure.ts";
import { type Kubeconfig, mergeKubeconfigs, readKubeconfig, type UserEntry } from "./kubeconfig.ts";
import { type Choice, chooseCurrent } from "./kubeconfig-choice.ts";
import { OpenIdConnect } from "./open-id-connect.ts";

export interface KubeconfigOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Whether an exec plugin that wants to may ask a person on this terminal. */
  readonly isInteractive?: boolean;
  /** After this, an exec plugin has failed for now. */
  readonly withinMs?: number;
  /** After this, it is killed. */
  readonly killedAfterMs?: number;
}

/** An exec plugin may ask a server of its own. */
const CREDENTIALS_MS = 30_000;
const KILLED_AFTER_MS = 300_000;

/** @param paths one kubeconfig, or several with colons between them, as in KUBECONFIG */
export function kubeconfigConnection(paths: string, options: KubeconfigOptions = {}): Connection {
  const { env = process.env } = options;
  const name = `${paths} (kubernetes.kubeconfig)`;
  const plugins = new Kept<ExecPlugin>((plugin) => plugin.stop());
  const providers = new Kept<OpenIdConnect>(() => undefined);

  async function execCredential({ cluster, user, clusterName, userName }: Choice, ca: Buffer) {
    const exec = user?.exec;
    if (user === undefined || exec === undefined || hasOwnProof(user)) return undefined;
    const label = `exec plugin ${exec.command} of ${userName}`;
    const isInteractive = (options.isInteractive ?? false) && exec.interactiveMode !== "Never";
    if (exec.interactiveMode === "Always" && !isInteractive) {
      const remedy = "set exec.interactiveMode to IfAvailable or Never";
      throw new ApiFailure("credentials", `${label} always wants to ask a person, and none is here`, { remedy });
    }
    const key = JSON.stringify([exec, cluster, clusterName, ca.toString()]);
    const plugin = plugins.get(key, () => {
      const { withinMs = CREDENTIALS_MS, killedAfterMs = KILLED_AFTER_MS } = options;
      const its = execEnvironment(exec, cluster, ca, isInteractive, env);
      return new ExecPlugin({ exec, name: label, env: its, isInteractive, withinMs, killedAfterMs });
    });
    return await plugin.ask();
  }

  async function idTokenOf({ user, userName }: Choice): Promise<string | undefined> {
    const provider = user?.authProvider;
    if (provider === undefined) return undefined;
    const { "idp-certificate-authority": file = "", "idp-certificate-authority-data": data = "" } = provider.config;
    const name = `idp-certificate-authority of ${userName}`;
    const ca = await readPem(file, Buffer.from(data, "base64"), name);
    if (ca.length > 0) checkCa(ca, name);
    else trustSystem(env);
    const make = () => new OpenIdConnect(provider, userName, ca, env);
    return await providers.get(JSON.stringify([provider, ca.toString()]), make).token();
  }

  return {
    description: `kubeconfig ${paths}`,
    async credentials() {
      const choice = chooseCurrent(await readAll(paths), name);
      const { server, cluster, user, userName } = choice;
      const proxy = proxyFor(choice, env);
      const impersonation = user === undefined ? {} : impersonationHeaders(user, userName);
      const origin = originOf(choice);
      const ca = await readPem(cluster.caFile, cluster.caData, origin.ca);
      const own = await clientPair(choice);
      if (server.protocol === "http:") return { server, options: { headers: impersonation }, proxy, origin };
      if (ca.length > 0) checkCa(ca, origin.ca);
      else trustSystem(env);
      const ownPair = own && checkPair(own);
      const given = await execCredential(choice, ca);
      const idToken = await idTokenOf(choice);
      const pair =
        given?.cert === undefined
          ? ownPair
          : checkPair({ cert: given.cert, key: given.key, name: `what ${origin.user} gave` });
      const authorization = await authorizationOf(user, userName, given?.token ?? idToken);
      const headers = { ...impersonation, ...(authorization && { authorization }) };
      const options = { ...trustOf(choice, ca), ...pair, headers };
      return { server, options, proxy, origin } satisfies Credentials;
    },
    refused() {
      plugins.current?.forget();
    },
    close() {
      plugins.drop();
    },
  };
}

/** The names of what decides, where a person mends it. */
function originOf(choice: Choice): Credentials["origin"] {
  const { clusterName } = choice;
  return {
    server: `server of ${clusterName}`,
    ca: `certificate-authority of ${clusterName}`,
    tlsName: `tls-server-name of ${clusterName}`,
    user: userWords(choice),
  };
}

/** How the server has to prove who it is. */
function trustOf({ cluster }: Choice, ca: Buffer): RequestOptions {
  return {
    ...(ca.length > 0 && { ca }),
    ...(cluster.insecure && { rejectUnauthorized: false }),
    ...(cluster.tlsServerName !== "" && serverNamed(cluster.tlsServerName)),
  };
}

/** One thing as long as what it was made of stays the same. */
class Kept<T> {
  readonly #end: (thing: T) => void;
  #kept: { readonly key: string; readonly thing: T } | undefined;

  constructor(end: (thing: T) => void) {
    this.#end = end;
  }

  get current(): T | undefined {
    return this.#kept?.thing;
  }

  get(key: string, make: () => T): T {
    if (this.#kept?.key !== key) {
      this.drop();
      this.#kept = { key, thing: make() };
    }
    return this.#kept.thing;
  }

  drop(): void {
    if (this.#kept !== undefined) this.#end(this.#kept.thing);
    this.#kept = undefined;
  }
}

const READABLE = "name a kubeconfig that the agent's user can read in kubernetes.kubeconfig (--kubeconfig)";

/** The files that a connection by these kubeconfigs reads. Throws an ApiFailure where they name none. */
export async function kubeconfigFiles(paths: string): Promise<string[]> {
  const { cluster, user } = chooseCurrent(await readAll(paths), paths);
  const named = [cluster.caFile, user?.certFile ?? "", user?.keyFile ?? "", user?.tokenFile ?? ""];
  return [...pathsIn(paths), ...named.filter((path) => path !== "")];
}

function pathsIn(paths: string): string[] {
  return [...new Set(paths.split(":").filter((path) => path !== ""))];
}

/** Of several files those that are not there count as empty, as long as there is one. */
async function readAll(paths: string): Promise<Kubeconfig> {
  const all = pathsIn(paths);
  const read = await Promise.all(all.map((path) => readUnlessMissing(path, all.length > 1)));
  const configs = all.flatMap((path, i) => {
    const text = read[i];
    return text === undefined ? [] : [readKubeconfig(path, text)];
  });
  if (configs.length > 0) return mergeKubeconfigs(configs);
  throw new ApiFailure("credentials", `none of ${paths} is there`, { remedy: READABLE });
}

async function readUnlessMissing(path: string, mayBeMissing: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (mayBeMissing && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unreadable(path, error, READABLE);
  }
}

/** kubectl runs no plugin beside a token, a user or a client certificate. */
function hasOwnProof({ token, tokenFile, username, certFile, certData }: UserEntry): boolean {
  return token !== "" || tokenFile !== "" || username !== "" || certFile !== "" || certData.length > 0;
}

function proxyFor({ cluster, server, clusterName }: Choice, env: NodeJS.ProcessEnv): ApiProxy | undefined {
  const url = cluster.proxyUrl === "" ? undefined : proxyUrl(cluster.proxyUrl);
  if (url === undefined) return proxyOf(server, env);
  return { url, setting: `proxy-url of ${clusterName}`, bypass: "remove it where the server can be reached without" };
}

function userWords({ user, userName }: Choice): string {
  if (user === undefined) return `${userName.replace(/^user ""/, "a user, of which there is none")}`;
  if (user.exec !== undefined) return `exec plugin ${user.exec.command} of ${userName}`;
  if (user.tokenFile !== "") return `tokenFile ${user.tokenFile} of ${userName}`;
  if (user.token !== "") return `token of ${userName}`;
  if (user.authProvider !== undefined) return `auth-provider of ${userName}`;
  return user.username !== "" ? `username and password of ${userName}` : `client-certificate of ${userName}`;
}

async function readPem(file: string, data: Buffer, name: string): Promise<Buffer> {
  if (data.length > 0 || file === "") return data;
  try {
    return await readFile(file);
  } catch (error) {
    throw unreadable(file, error, `mend ${name}`);
  }
}

/** OpenSSL passes over what is no certificate, and then trusts nobody. One that can be read is enough, as for kubectl. */
function checkCa(pem: Buffer, name: string): void {
  if (certificatesIn(pem).some(isCertificate)) return;
  const message = `${name} holds ${certificateProblem(pem)}`;
  throw new ApiFailure("credentials", message, { remedy: "write the CA's certificate there, as PEM" });
}

/** An address is what the certificate is checked for, and is no name that a server can be asked for (RFC 6066). */
function serverNamed(name: string): RequestOptions {
  if (isIP(name) === 0) return { servername: name };
  return { servername: "", checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate) };
}

interface Pair extends Pick<RequestOptions, "cert" | "key"> {
  readonly name: string;
}

async function clientPair({ user, userName }: Choice): Promise<Pair | undefined> {
  if (user === undefined) return undefined;
  const cert = await readPem(user.certFile, user.certData, `client-certificate of ${userName}`);
  if (cert.length === 0) return undefined;
  const key = await readPem(user.keyFile, user.keyData, `client-key of ${userName}`);
  return { cert, key, name: `client-certificate and client-key of ${userName}` };
}

function checkPair({ cert, key, name }: Pair): Pick<RequestOptions, "cert" | "key"> {
  try {
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (cause) {
    const remedy = "give a certificate and the key that it was made for, both as PEM";
    throw new ApiFailure("credentials", `${name} do not belong together or are no PEM`, { remedy, cause });
  }
}

/** A tokenFile's word is newer than the token beside it. */
async function authorizationOf(
  user: UserEntry | undefined,
  name: string,
  given: string | undefined,
): Promise<string | undefined> {
  if (user === undefined) return undefined;
  const { token, tokenFile, username, password } = user;
  const remedy = `write a token into tokenFile of ${name}`;
  const inFile = tokenFile === "" ? "" : await readTokenFile(tokenFile, token, remedy);
  if (tokenFile !== "" && inFile === "") throw new ApiFailure("credentials", `${tokenFile} is empty`, { remedy });
  const bearer = inFile || token || given || "";
  if (bearer !== "") return checkHeader(`Bearer ${bearer}`, `the token of ${name}`);
  if (username === "") return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

async function readTokenFile(path: string, otherwise: string, remedy: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim() || otherwise;
  } catch (error) {
    if (otherwise !== "") return otherwise; // kubectl goes by the token beside it, too
    throw unreadable(path, error, remedy);
  }
}

/** Node would refuse it later, in words that name no setting. */
function checkHeader(value: string, name: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value;
  const remedy = "is there a line break in it? Write it in one line";
  throw new ApiFailure("credentials", `${name} holds characters that no header can`, { remedy });
}

function impersonationHeaders(user: UserEntry, name: string): OutgoingHttpHeaders {
  if (user.as === "") return {};
  const check = (value: string) => checkHeader(value, `as, as-uid, as-groups or as-user-extra of ${name}`);
  const extra = Object.entries(user.asUserExtra).map(([key, values]) => [
    `impersonate-extra-${encodeKey(key.toLowerCase())}`,
    values.map(check),
  ]);
  return {
    "impersonate-user": check(user.as),
    ...(user.asUid !== "" && { "impersonate-uid": check(user.asUid) }),
    ...(user.asGroups.length > 0 && { "impersonate-group": user.asGroups.map(check) }),
    ...Object.fromEntries(extra),
  };
}

/** What no header's name can hold is written as %XX; % too. */
function encodeKey(key: string): string {
  const bytes = [...Buffer.from(key)].map((byte) => String.fromCharCode(byte));
  return bytes
    .map((char) =>
      /[!#$&'*+.^_`|~0-9A-Za-z-]/.test(char)
        ? char
        : `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
    )
    .join("");
}
