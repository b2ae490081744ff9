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

/** As written: what is left out, and what of it counts, is the protocol's (see `grpcEndpoint`, `httpEndpoint`). */
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
  const value = `${scheme === "" ? "" : `${scheme.toLowerCase()}://`}${address}${rest}`;
  return userinfo === undefined
    ? { value }
    : { value, note: "user and password in it are left out: OTLP carries credentials as headers" };
}

const ADDRESS = "write http://HOST:PORT, an IPv6 address in brackets: http://[fd00::5]:4317";

function addressProblem(address: string): string | undefined {
  const [, host = "", port] = /^(\[[0-9a-f:.]+\]|[\p{L}\p{M}\p{N}._-]+)(?::(\d{1,5}))?$/iu.exec(address) ?? [];
  const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65_535);
  if (host !== "" && !/^\d+$/.test(host) && isPort && URL.canParse(`http://${address}`)) return undefined;
  return ADDRESS;
}

const hasPort = (address: string): boolean => /:\d+$/.test(address.replace(/^\[.*\]/, ""));

/** An endpoint as its transport takes it, and what of the written one is left out or guessed. */
export interface FullEndpoint {
  readonly value: string;
  readonly note?: string;
}

/**
 * `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
 *
 * @param written as the field has it
 * @param insecure whether one without a scheme is spoken to without TLS
 */
export function grpcEndpoint(written: string, insecure: boolean): FullEndpoint {
  if (written.startsWith("unix:")) return { value: written };
  const { origin, rest, portNote } = partsOf(written, insecure, 4317);
  const pathNote = rest.replace(/^\//, "") === "" ? "" : "its path is left out: the paths of OTLP over gRPC are fixed";
  return noted(origin, [pathNote, portNote]);
}

/**
 * The same with a path: `http://HOST:PORT/v1/metrics`.
 *
 * @param below of the signal, where the endpoint is a base for all of them: the specification appends it
 */
export function httpEndpoint(written: string, insecure: boolean, below: string | undefined): FullEndpoint {
  if (written.startsWith("unix:")) return { value: written };
  const { origin, rest, portNote } = partsOf(written, insecure, 4318);
  const [, path = "", query = ""] = /^([^?#]*)(.*)$/s.exec(rest) ?? [];
  const { pathname } = new URL(`${origin}${path}`);
  const whole = below === undefined ? pathname : pathname.replace(/\/$/, "") + below;
  const queryNote = query === "" ? "" : "what follows its path is left out: OTLP carries credentials as headers";
  return noted(`${origin}${whole}`, [queryNote, portNote]);
}

function partsOf(written: string, insecure: boolean, port: number) {
  const [, scheme = insecure ? "http" : "https", , address = "", rest = ""] = PARTS.exec(written) ?? [];
  const isWhole = hasPort(address);
  const origin = `${scheme}://${address}${isWhole ? "" : scheme === "http" ? ":80" : ":443"}`;
  const portNote = isWhole
    ? ""
    : `it names no port, so the scheme's is taken (http 80, https 443); a Collector has ${port}`;
  return { origin, rest, portNote };
}

function noted(value: string, notes: readonly string[]): FullEndpoint {
  const present = notes.filter(Boolean);
  return present.length === 0 ? { value } : { value, note: present.join("; ") };
}
