/**
 * Where a Collector is: what a user may write for it, and the one form that the rest of flowspan takes.
 *
 *   http://HOST:PORT   https://HOST:PORT   HOST:PORT   the same without a port   unix:PATH
 *
 * gRPC's own reading is not used: it drops the port 80 of `http://collector:80` as a browser would and then takes
 * 443, and it takes `unix:PATH` for a host that is named unix. Pure.
 */
import { bracketed } from "./bare-host.ts";
import { type Field, type Read, refuse, type Words } from "./field.ts";
import { checkedText } from "./fields.ts";
import { withoutSecrets } from "./problem.ts";

/** As written: a scheme that is left out is left to `insecure` (see `fullEndpoint`). */
export function endpoint(words: Words<string>): Field<string> {
  return checkedText(words, "http://HOST:PORT, https://HOST:PORT, HOST:PORT or unix:PATH", "URL", readEndpoint);
}

/** Scheme, user and password, host and port, path. A password may hold anything, so it ends at the last @. */
const PARTS = /^(?:(https?):\/\/)?(?:(.*)@)?([^/?#]*)([/?#].*)?$/is;

function readEndpoint(text: string): Read<string> {
  const trimmed = text.trim();
  if (/^[\w-]+\s*[=\s]/.test(trimmed))
    return refuse({ foundWords: "what may be a header, not shown", remedy: ADDRESS });
  const path = /^unix:(?:\/\/(?=\/))?(.+)$/is.exec(trimmed)?.[1];
  if (path !== undefined) return { value: `unix:${path}` };
  if (/^(?!https?:)[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)) {
    const rest = withoutSecrets(trimmed.replace(/^[^:]+:\/\//, ""));
    return refuse({ remedy: `write the scheme too: http://${rest} without TLS, https:// with` });
  }
  const [, scheme = "", userinfo, authority = "", rest = ""] = PARTS.exec(trimmed) ?? [];
  const address = bracketed(authority);
  const problem = addressProblem(address);
  if (problem !== undefined) return refuse({ remedy: problem });
  const notes = [
    userinfo === undefined ? "" : "user and password in it are left out: gRPC carries credentials as headers",
    rest.replace(/^\//, "") === "" ? "" : "its path is left out: the paths of OTLP over gRPC are fixed",
    hasPort(address) ? "" : "it names no port, so the scheme's is taken (http 80, https 443); a Collector has 4317",
  ].filter(Boolean);
  const value = scheme === "" ? address : `${scheme.toLowerCase()}://${address}`;
  return notes.length === 0 ? { value } : { value, note: notes.join("; ") };
}

const ADDRESS = "write http://HOST:PORT, an IPv6 address in brackets: http://[fd00::5]:4317";

function addressProblem(address: string): string | undefined {
  const [, host = "", port] = /^(\[[0-9a-f:.]+\]|[\p{L}\p{M}\p{N}._-]+)(?::(\d{1,5}))?$/iu.exec(address) ?? [];
  const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65_535);
  if (host !== "" && !/^\d+$/.test(host) && isPort && URL.canParse(`http://${address}`)) return undefined;
  return ADDRESS;
}

const hasPort = (address: string): boolean => /:\d+$/.test(address.replace(/^\[.*\]/, ""));

/**
 * The endpoint with its scheme and its port.
 *
 * @param insecure whether one without a scheme is spoken to without TLS
 */
export function fullEndpoint(endpoint: string, insecure: boolean): string {
  if (endpoint.startsWith("unix:")) return endpoint;
  const [, scheme = insecure ? "http" : "https", address = ""] = /^(?:(https?):\/\/)?(.*)$/.exec(endpoint) ?? [];
  return `${scheme}://${address}${hasPort(address) ? "" : scheme === "http" ? ":80" : ":443"}`;
}
