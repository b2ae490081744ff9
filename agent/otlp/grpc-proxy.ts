/**
 * The HTTP proxy that gRPC goes through, for messages: gRPC itself reads `grpc_proxy`, `https_proxy` and `http_proxy`
 * and tells of a proxy that refuses only its log, which is kept here instead of on stderr.
 */
import { logVerbosity, setLogger, setLogVerbosity } from "@grpc/grpc-js";
import type { NamedProxy } from "./trouble.ts";

const VARIABLES = ["grpc_proxy", "https_proxy", "http_proxy"];

/** The proxy that gRPC uses for this host; undefined for none. */
export function proxyFor(host: string, env: NodeJS.ProcessEnv = process.env): NamedProxy | undefined {
  const variable = VARIABLES.find((name) => env[name]);
  const text = variable === undefined ? "" : (env[variable] ?? "");
  if (variable === undefined || !URL.canParse(text)) return undefined;
  const { protocol, host: address } = new URL(text);
  const exempt = (env.no_grpc_proxy || env.no_proxy || "").split(",").filter(Boolean);
  if (protocol !== "http:" || exempt.some((suffix) => host.endsWith(suffix))) return undefined;
  return { variable, address };
}

/** What a user should know of proxies that are named and not used for OTLP. Without what the variables hold. */
export function grpcProxyWarnings(env: NodeJS.ProcessEnv): string[] {
  const used = VARIABLES.find((name) => env[name]);
  const text = used === undefined ? "" : (env[used] ?? "");
  if (used === undefined) return [];
  if (!URL.canParse(text))
    return [`environment: ${used}: it is no URL, so OTLP takes no proxy: write http://HOST:PORT`];
  if (new URL(text).protocol === "http:") return [];
  return [`environment: ${used}: gRPC knows only proxies of http://, so OTLP takes none`];
}

let lastWords = "";

/** The last words of gRPC on a proxy. */
export function proxyWords(): string {
  return (
    /through proxy \S+ (.*)|to proxy \S+ with error (.*)/.exec(lastWords)?.slice(1).find(Boolean) ??
    "it gives no reason"
  );
}

/** Takes gRPC's log off stderr: the caller reports what fails, and its traces hold headers. */
export function keepGrpcQuiet(): void {
  const note = (...words: unknown[]) => {
    const text = words.join(" ");
    if (/prox/i.test(text)) lastWords = text;
  };
  setLogVerbosity(logVerbosity.ERROR);
  setLogger({ error: note, info: note, debug: note });
}
