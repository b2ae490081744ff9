/**
 * The texts of kubeconfig files → all that they hold, read and merged as kubectl does it. Pure.
 *
 * kubectl refuses a file in which one field is of another type, also where nobody needs that field; so does
 * this. Unknown fields are passed over. Messages name the file and the field, never a value: values are secrets.
 */
import { dirname, resolve } from "node:path";
import { LineCounter, parseAllDocuments, type Tags } from "yaml";
import { ApiFailure } from "./failure.ts";

/** A field that is not set is "", as in kubectl; paths are absolute. */
export interface ClusterEntry {
  readonly server: string;
  readonly tlsServerName: string;
  readonly insecure: boolean;
  readonly caFile: string;
  readonly caData: Buffer;
  readonly proxyUrl: string;
  readonly disableCompression: boolean;
  /** What `extensions` holds for exec plugins; undefined: nothing. */
  readonly execConfig: unknown;
}

export interface ExecEntry {
  readonly apiVersion: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly installHint: string;
  readonly provideClusterInfo: boolean;
  readonly interactiveMode: string;
}

export interface UserEntry {
  readonly certFile: string;
  readonly certData: Buffer;
  readonly keyFile: string;
  readonly keyData: Buffer;
  readonly token: string;
  readonly tokenFile: string;
  readonly username: string;
  readonly password: string;
  readonly as: string;
  readonly asUid: string;
  readonly asGroups: readonly string[];
  readonly asUserExtra: Readonly<Record<string, readonly string[]>>;
  readonly authProvider: { readonly name: string; readonly config: Readonly<Record<string, string>> } | undefined;
  readonly exec: ExecEntry | undefined;
}

export interface ContextEntry {
  readonly cluster: string;
  readonly user: string;
}

/** By their names. */
export interface Kubeconfig {
  readonly currentContext: string;
  readonly clusters: ReadonlyMap<string, ClusterEntry>;
  readonly users: ReadonlyMap<string, UserEntry>;
  readonly contexts: ReadonlyMap<string, ContextEntry>;
}

/** A value of a file, and where it stands in it. */
interface Place {
  readonly file: string;
  readonly at: string;
  readonly value: unknown;
}

/** @throws ApiFailure with reason `credentials` */
export function readKubeconfig(file: string, text: string): Kubeconfig {
  const top = { file, at: "", value: parseYaml(file, text) };
  checkKind(file, field(top, "apiVersion"), field(top, "kind"));
  return {
    currentContext: string(field(top, "current-context")),
    clusters: named(field(top, "clusters"), "cluster", readCluster),
    users: named(field(top, "users"), "user", readUser),
    contexts: named(field(top, "contexts"), "context", (place) => ({
      cluster: string(field(place, "cluster")),
      user: string(field(place, "user")),
    })),
  };
}

/** Several files as one: the first that has a name, or a current context, wins. */
export function mergeKubeconfigs(configs: readonly Kubeconfig[]): Kubeconfig {
  const last = [...configs].reverse();
  return {
    currentContext: configs.find(({ currentContext }) => currentContext !== "")?.currentContext ?? "",
    clusters: new Map(last.flatMap(({ clusters }) => [...clusters])),
    users: new Map(last.flatMap(({ users }) => [...users])),
    contexts: new Map(last.flatMap(({ contexts }) => [...contexts])),
  };
}

function checkKind(file: string, apiVersion: Place, kind: Place): void {
  if (["", "v1"].includes(string(apiVersion)) && ["", "Config"].includes(string(kind))) return;
  throw refuse(`${file} is no kubeconfig: apiVersion and kind are not v1 and Config`, "name a kubeconfig");
}

function readCluster(place: Place): ClusterEntry {
  return {
    server: string(field(place, "server")),
    tlsServerName: string(field(place, "tls-server-name")),
    insecure: flag(field(place, "insecure-skip-tls-verify")),
    caFile: path(field(place, "certificate-authority")),
    caData: bytes(field(place, "certificate-authority-data")),
    proxyUrl: string(field(place, "proxy-url")),
    disableCompression: flag(field(place, "disable-compression")),
    execConfig: extension(field(place, "extensions")),
  };
}

function readUser(place: Place): UserEntry {
  return {
    certFile: path(field(place, "client-certificate")),
    certData: bytes(field(place, "client-certificate-data")),
    keyFile: path(field(place, "client-key")),
    keyData: bytes(field(place, "client-key-data")),
    token: string(field(place, "token")),
    tokenFile: path(field(place, "tokenFile")),
    username: string(field(place, "username")),
    password: string(field(place, "password")),
    as: string(field(place, "as")),
    asUid: string(field(place, "as-uid")),
    asGroups: list(field(place, "as-groups")).map(string),
    asUserExtra: record(field(place, "as-user-extra"), (values) => list(values).map(string)),
    authProvider: optional(field(place, "auth-provider"), (provider) => ({
      name: string(field(provider, "name")),
      config: record(field(provider, "config"), string),
    })),
    exec: optional(field(place, "exec"), readExec),
  };
}

function readExec(place: Place): ExecEntry {
  const command = string(field(place, "command"));
  return {
    apiVersion: string(field(place, "apiVersion")),
    // A bare name is looked for in PATH.
    command: command.includes("/") ? resolve(dirname(place.file), command) : command,
    args: list(field(place, "args")).map(string),
    env: list(field(place, "env")).map((each) => ({
      name: string(field(each, "name")),
      value: string(field(each, "value")),
    })),
    installHint: string(field(place, "installHint")),
    provideClusterInfo: flag(field(place, "provideClusterInfo")),
    interactiveMode: string(field(place, "interactiveMode")),
  };
}

const EXEC_EXTENSION = "client.authentication.k8s.io/exec";

function extension(place: Place): unknown {
  const own = list(place).find((each) => string(field(each, "name")) === EXEC_EXTENSION);
  return own === undefined ? undefined : field(own, "extension").value;
}

function named<T>(place: Place, key: string, read: (place: Place) => T): ReadonlyMap<string, T> {
  const entries = new Map<string, T>();
  for (const entry of list(place)) {
    const name = string(field(entry, "name"));
    if (entries.has(name)) {
      throw refuse(`${place.file}: ${place.at} has "${name}" twice`, "remove one of them");
    }
    entries.set(name, read(field(entry, key)));
  }
  return entries;
}

function field(place: Place, name: string): Place {
  const { file, at } = place;
  return { file, at: at === "" ? name : `${at}.${name}`, value: object(place)[name] };
}

function object({ file, at, value }: Place): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrongType({ file, at: at || "its text", value }, "a mapping");
}

function optional<T>(place: Place, read: (place: Place) => T): T | undefined {
  return place.value === undefined || place.value === null ? undefined : read(place);
}

function list(place: Place): readonly Place[] {
  const { file, at, value } = place;
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrongType(place, "a list");
  return value.map((each: unknown, i) => ({ file, at: `${at}[${i}]`, value: each }));
}

function record<T>(place: Place, read: (place: Place) => T): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.keys(object(place)).map((name) => [name, read(field(place, name))]));
}

function string(place: Place): string {
  const { value } = place;
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value;
  const isPlain = typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
  throw wrongType(place, "text", isPlain ? "put it in quotes" : undefined);
}

function flag(place: Place): boolean {
  const { value } = place;
  if (value === undefined || value === null) return false;
  if (typeof value === "boolean") return value;
  throw wrongType(place, "true or false", typeof value === "string" ? "remove the quotes" : undefined);
}

function path(place: Place): string {
  const written = string(place);
  return written === "" ? "" : resolve(dirname(place.file), written);
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function bytes(place: Place): Buffer {
  const text = string(place).replaceAll(/[\r\n]/g, "");
  if (BASE64.test(text)) return Buffer.from(text, "base64");
  throw refuse(
    `${place.file}: ${place.at} is no base64`,
    "write it with kubectl config set-cluster or set-credentials",
  );
}

function wrongType({ file, at, value }: Place, wanted: string, remedy = `make it ${wanted}`): ApiFailure {
  const kind = Array.isArray(value) ? "a list" : typeof value === "object" ? "a mapping" : `a ${typeof value}`;
  return refuse(`${file}: ${at} is ${kind === "a string" ? "text" : kind}, and must be ${wanted}`, remedy);
}

function refuse(message: string, remedy: string): ApiFailure {
  return new ApiFailure("credentials", message, { remedy });
}

/** Types as Go's YAML knows them: dates and sexagesimal numbers are text there. */
function likeGo(tags: Tags): Tags {
  return tags.filter((tag) => {
    if (typeof tag === "string") return tag !== "timestamp";
    return tag.tag !== "tag:yaml.org,2002:timestamp" && !("format" in tag && tag.format === "TIME");
  });
}

/** The parser's own messages show the lines around a mistake, and those hold secrets: only its place is reported. */
export function parseYaml(file: string, text: string): unknown {
  const lineCounter = new LineCounter();
  const [document] = parseAllDocuments(text, {
    ...{ schema: "yaml-1.1", customTags: likeGo, merge: true, uniqueKeys: false },
    ...{ prettyErrors: false, logLevel: "silent", lineCounter },
  }) as ReturnType<typeof parseAllDocuments> & readonly unknown[];
  const error = document?.errors[0];
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    const what = error.code.toLowerCase().replaceAll("_", " ");
    throw refuse(
      `${file} is no YAML: ${what} at line ${line}, column ${col}`,
      "mend it: kubectl config view shows it too",
    );
  }
  try {
    return document?.toJS();
  } catch {
    // An alias without its anchor, or too many of them; the parser's words name it.
    throw refuse(`${file} is no YAML: its aliases cannot be resolved`, "write them out");
  }
}
