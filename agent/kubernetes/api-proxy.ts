/**
 * The environment → the proxy that stands between here and an API server, by the rules of Go's net/http, which
 * kubectl and every other Go program follows (golang.org/x/net/http/httpproxy). Pure.
 */
import { BlockList, isIP, isIPv6 } from "node:net";
import { ApiFailure } from "./failure.ts";

export interface ApiProxy {
  /** May hold a password: `placeOf` is for people. */
  readonly url: URL;
  /** What names it: a variable, or a field of the kubeconfig. */
  readonly setting: string;
  /** What keeps a server from it. */
  readonly bypass: string;
}

export function placeOf({ url }: ApiProxy): string {
  return `${url.protocol}//${url.host}`;
}

/** What stands before the @, as bytes: an escape in a URL need not be UTF-8. */
export function userinfoOf({ url }: ApiProxy): { readonly user: Buffer; readonly password: Buffer } {
  const bytes = (escaped: string) =>
    Buffer.from(
      escaped.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      "latin1",
    );
  return { user: bytes(url.username), password: bytes(url.password) };
}

const SCHEMES: ReadonlySet<string> = new Set(["http:", "https:", "socks5:", "socks5h:"]);

/** @returns undefined where that is no proxy's address */
export function proxyUrl(text: string): URL | undefined {
  const url = readUrl(text);
  return url !== undefined && SCHEMES.has(url.protocol) && url.host !== "" ? url : undefined;
}

/** @returns undefined also where user or password hold a `%` that escapes nothing, as for Go */
function readUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return /%(?![0-9a-f]{2})/i.test(url.username + url.password) ? undefined : url;
}

/**
 * @returns undefined: the server is reached without one; as for Go, a text that is no URL names none
 * @throws ApiFailure with reason `proxy` for one that speaks what nobody here does
 */
export function proxyOf(server: URL, env: NodeJS.ProcessEnv): ApiProxy | undefined {
  const names = server.protocol === "https:" ? ["HTTPS_PROXY", "https_proxy"] : ["HTTP_PROXY", "http_proxy"];
  const setting = names.find((name) => env[name]);
  if (setting === undefined || isExempt(server, env.NO_PROXY || env.no_proxy || "")) return undefined;
  const text = env[setting] as string;
  const written = text.includes("://") ? text : `http://${text}`;
  if (readUrl(written) === undefined) return undefined;
  const bypass = `name ${bareHost(server)} in NO_PROXY`;
  const url = proxyUrl(written);
  if (url !== undefined) return { url, setting, bypass };
  const remedy = `write http://, https:// or socks5:// before HOST:PORT, or ${bypass}`;
  throw new ApiFailure("proxy", `${setting} names a proxy of another kind`, { remedy });
}

export function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

export function portOf({ port, protocol }: URL): number {
  if (port !== "") return Number(port);
  if (protocol.startsWith("socks5")) return 1080;
  return protocol === "https:" ? 443 : 80;
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

const isIn = (list: BlockList, address: string) => list.check(address, isIPv6(address) ? "ipv6" : "ipv4");

function isExempt(server: URL, noProxy: string): boolean {
  const host = bareHost(server).toLowerCase();
  const port = String(portOf(server));
  if (host === "localhost" || (isIP(host) !== 0 && isIn(LOOPBACK, host))) return true;
  return noProxy.split(",").some((rule) => matches(rule.trim().toLowerCase(), host, port));
}

/** `*`, a prefix, an address or a domain with all below it; `.example.org` is all below it alone. */
function matches(rule: string, host: string, port: string): boolean {
  if (rule === "*") return true;
  const prefix = /^(.+)\/(\d+)$/.exec(rule);
  if (prefix !== null) return isIP(host) !== 0 && isInPrefix(prefix[1] as string, Number(prefix[2]), host);
  const [, name = "", onlyPort] = /^(.*?)(?::(\d+))?$/.exec(rule) ?? [];
  const bare = isIP(rule) !== 0 ? rule : name.replace(/^\[|\]$/g, "");
  if (bare === "" || (bare === name && onlyPort !== undefined && onlyPort !== port)) return false;
  if (isIP(bare) !== 0 || isIP(host) !== 0) return bare === host && (isIP(rule) !== 0 || portFits(onlyPort, port));
  const domain = bare.startsWith("*.") ? bare.slice(1) : bare;
  return domain.startsWith(".") ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function portFits(only: string | undefined, port: string): boolean {
  return only === undefined || only === port;
}

function isInPrefix(address: string, length: number, host: string): boolean {
  const family = isIP(address);
  if (family === 0 || length > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(address, length, family === 4 ? "ipv4" : "ipv6");
  return isIn(list, host);
}
