/**
 * A proxy and a server behind it → an open connection to that server, by HTTP CONNECT or SOCKS 5.
 *
 * What goes wrong here is the proxy's or its setting's: every failure has the reason `proxy`, and says which it is.
 */
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { connect, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { parsePrefix } from "../shared/prefix.ts";
import { type ApiProxy, bareHost, placeOf, portOf, userinfoOf } from "./api-proxy.ts";
import { ApiFailure } from "./failure.ts";

/** @param tls what an `https` proxy's certificate is checked with */
export async function openTunnel(
  proxy: ApiProxy,
  server: URL,
  tls: Pick<RequestOptions, "ca" | "rejectUnauthorized">,
  signal: AbortSignal,
): Promise<Duplex> {
  try {
    return await (proxy.url.protocol.startsWith("socks5")
      ? viaSocks(proxy, server, signal)
      : viaConnect(proxy, server, tls, signal));
  } catch (error) {
    throw proxyFailure(proxy, error);
  }
}

/** What a proxy takes for the right user; undefined where its URL names none. */
export function proxyAuthorization(proxy: ApiProxy): string | undefined {
  const { user, password } = userinfoOf(proxy);
  if (user.length + password.length === 0) return undefined;
  return `Basic ${Buffer.concat([user, Buffer.from(":"), password]).toString("base64")}`;
}

export function proxyFailure(proxy: ApiProxy, error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  const cause = error as NodeJS.ErrnoException;
  const what = cause.name === "TimeoutError" ? "it does not answer" : cause.message || cause.code;
  const remedy = `is it up? Mend ${proxy.setting}, or ${proxy.bypass}`;
  return new ApiFailure("proxy", `the proxy ${placeOf(proxy)} (${proxy.setting}): ${what}`, { remedy, cause: error });
}

/** A proxy answered for the server; 200 is none of these. */
export function proxyRefusal(proxy: ApiProxy, status: number): ApiFailure {
  const remedy =
    status === 407
      ? `write the proxy's user and password into ${proxy.setting}, or ${proxy.bypass}`
      : `have it let the agent through to the API server, or ${proxy.bypass}`;
  return new ApiFailure("proxy", `the proxy ${placeOf(proxy)} (${proxy.setting}) answers status ${status}`, { remedy });
}

async function viaConnect(
  proxy: ApiProxy,
  server: URL,
  tls: Pick<RequestOptions, "ca" | "rejectUnauthorized">,
  signal: AbortSignal,
): Promise<Duplex> {
  const { url } = proxy;
  const target = `${server.hostname}:${portOf(server)}`;
  const authorization = proxyAuthorization(proxy);
  const headers = { host: target, ...(authorization && { "proxy-authorization": authorization }) };
  const place = { host: bareHost(url), port: portOf(url), method: "CONNECT", path: target, headers };
  const start = url.protocol === "https:" ? httpsRequest : httpRequest;
  const sent = start({ ...tls, ...place, agent: false, signal }).end();
  const [answer, socket, head] = (await once(sent, "connect")) as [IncomingMessage, Duplex, Buffer];
  if (answer.statusCode === 200) {
    if (head.length > 0) socket.unshift(head);
    return socket;
  }
  socket.destroy();
  throw proxyRefusal(proxy, answer.statusCode ?? 0);
}

const VERSION = 5;
const METHOD = { none: 0, password: 2 } as const;
const ADDRESS = { v4: 1, name: 3, v6: 4 } as const;
const COMMAND_CONNECT = 1;

/** RFC 1928, and RFC 1929 for user and password. The proxy resolves names. */
async function viaSocks(proxy: ApiProxy, server: URL, signal: AbortSignal): Promise<Duplex> {
  const { url } = proxy;
  const socket = connect({ host: bareHost(url), port: portOf(url), signal });
  try {
    await once(socket, "connect", { signal });
    await negotiate(socket, proxy, signal);
    socket.write(Buffer.from([VERSION, COMMAND_CONNECT, 0, ...addressOf(server)]));
    const [, code = 0, , kind] = await take(socket, 4, signal);
    if (code !== 0) throw new Error(`it cannot reach ${server.host} (SOCKS reply ${code})`);
    const length = kind === ADDRESS.v4 ? 4 : kind === ADDRESS.v6 ? 16 : ((await take(socket, 1, signal))[0] ?? 0);
    await take(socket, length + 2, signal);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function negotiate(socket: Socket, proxy: ApiProxy, signal: AbortSignal): Promise<void> {
  const { user, password } = userinfoOf(proxy);
  const methods = user.length > 0 ? [METHOD.none, METHOD.password] : [METHOD.none];
  socket.write(Buffer.from([VERSION, methods.length, ...methods]));
  const [version, method] = await take(socket, 2, signal);
  if (version !== VERSION) throw new Error("it does not speak SOCKS 5");
  if (method === METHOD.none) return;
  if (method !== METHOD.password || user.length === 0) throw proxyRefusal(proxy, 407);
  socket.write(Buffer.from([1, user.length, ...user, password.length, ...password]));
  const [, refused] = await take(socket, 2, signal);
  if (refused !== 0) throw proxyRefusal(proxy, 407);
}

function addressOf(server: URL): number[] {
  const host = bareHost(server);
  const port = portOf(server);
  const end = [port >> 8, port & 0xff];
  if (isIP(host) === 4) return [ADDRESS.v4, ...host.split(".").map(Number), ...end];
  const address = isIP(host) === 6 ? parsePrefix(host)?.bytes : undefined;
  if (address !== undefined) return [ADDRESS.v6, ...address, ...end];
  const name = Buffer.from(host);
  return [ADDRESS.name, name.length, ...name, ...end];
}

/** The next `length` bytes. Rejects when the connection ends before, or `signal` aborts. */
async function take(socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  for (;;) {
    const bytes = socket.read(length) as Buffer | null;
    if (bytes?.length === length) return bytes;
    if (bytes !== null || socket.readableEnded) throw new Error("it closed the connection");
    await Promise.race([once(socket, "readable", { signal }), once(socket, "end", { signal })]);
  }
}
