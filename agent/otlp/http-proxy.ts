/**
 * The proxy of OTLP over HTTP. Node takes it from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in small letters too, where
 * its agent is given them (`proxyEnv`). This says which variable counts, and what Node passes by.
 */
import { Agent as PlainAgent, type AgentOptions as PlainOptions } from "node:http";
import { type AgentOptions, Agent as TlsAgent } from "node:https";
import type { NamedProxy } from "./trouble.ts";

const NAMES = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"];

/** The proxy that is named for a scheme, whether or not NO_PROXY exempts the host; undefined for none that can be used. */
export function namedProxy(protocol: string, env: NodeJS.ProcessEnv = process.env): NamedProxy | undefined {
  const variable = variableOf(protocol, env);
  if (variable === undefined || problemOf(env[variable] ?? "") !== undefined) return undefined;
  return { variable, address: new URL(env[variable] ?? "").host };
}

/** What a user should know of proxies that are named and not used for OTLP over HTTP. Without what the variables hold. */
export function httpProxyWarnings(env: NodeJS.ProcessEnv): string[] {
  const named = ["https:", "http:"].map((protocol) => variableOf(protocol, env));
  return named.flatMap((variable) => {
    const problem = variable === undefined ? undefined : problemOf(env[variable] ?? "");
    return problem === undefined ? [] : [`environment: ${variable}: ${problem}`];
  });
}

/** An agent that keeps connections open, and takes the proxy that the environment names. */
export function makeAgent(protocol: string, tls: AgentOptions, env: NodeJS.ProcessEnv = process.env): PlainAgent {
  const isProxied = namedProxy(protocol, env) !== undefined;
  const proxyEnv = Object.fromEntries(NAMES.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
  const options: PlainOptions = { keepAlive: true, maxSockets: 30, ...(isProxied && { proxyEnv }) };
  return protocol === "https:" ? new TlsAgent({ ...options, ...tls }) : new PlainAgent(options);
}

function variableOf(protocol: string, env: NodeJS.ProcessEnv): string | undefined {
  const name = `${protocol.slice(0, -1)}_proxy`;
  return [name, name.toUpperCase()].find((each) => env[each]);
}

/** @returns undefined where Node takes the proxy */
function problemOf(text: string): string | undefined {
  if (!URL.canParse(text)) return "it is no URL, so OTLP takes no proxy: write http://HOST:PORT";
  if (!/^https?:/i.test(text)) return "Node knows only proxies of http:// and https://, so OTLP over HTTP takes none";
  // Node 22.21 and 24.5 brought both this flag and `proxyEnv`.
  if (!process.allowedNodeEnvironmentFlags.has("--use-env-proxy"))
    return `Node ${process.versions.node} takes no proxy for HTTP, so OTLP takes none: run it by 22.21, 24.5 or newer`;
  return undefined;
}
