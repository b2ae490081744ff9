/**
 * What stands before an API server: proxies that keep what they were asked for, and an OpenID provider; and a server that
 * lets everybody in. All end with the test.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, connect, createServer as createTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { onTestFinished } from "vitest";
import { FakeApiServer, fixedAnswer } from "../../kubernetes/fake-api-server.ts";
import type { Certificates } from "../directory/serving.ts";

/** A server that answers everything with 200, over TLS or plain. It ends with the test. */
export async function startAnswering(tls?: Certificates): Promise<FakeApiServer> {
  const server = new FakeApiServer(tls === undefined ? {} : { tls: tlsOptions(tls) });
  server.answering = fixedAnswer(200, "{}");
  await server.start();
  onTestFinished(() => server.stop());
  return server;
}

function tlsOptions(tls: Certificates) {
  const read = (name: string) => readFileSync(tls.path(name));
  const files = { key: read("server.key"), cert: read("server.pem"), ca: read("ca.pem") };
  return { ...files, requestCert: true, rejectUnauthorized: false };
}

export interface RecordingProxy {
  readonly port: number;
  readonly asked: { readonly target: string; readonly authorization: string | undefined }[];
  /** Instead of letting through. */
  status: number;
}

/** Leads all that it is asked for to `port`, whatever its name. */
export async function startProxy(port: number, tls?: Certificates): Promise<RecordingProxy> {
  const proxy: RecordingProxy & { port: number } = { port: 0, asked: [], status: 200 };
  const keep = ({ url, headers }: IncomingMessage) =>
    proxy.asked.push({ target: url ?? "", authorization: headers["proxy-authorization"] });
  const forward = (asked: IncomingMessage, response: ServerResponse) => {
    keep(asked);
    const { pathname, search } = new URL(asked.url ?? "");
    const headers = { ...asked.headers };
    delete headers["proxy-authorization"];
    const sent = request({ host: "127.0.0.1", port, path: pathname + search, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0);
      answer.pipe(response);
    });
    sent.on("error", () => response.destroy()).end();
  };
  const server = tls === undefined ? createHttp(forward) : createHttps(tlsOptions(tls), forward);
  server.on("connect", (asked: IncomingMessage, socket: Duplex) => {
    keep(asked);
    if (proxy.status !== 200) return socket.end(`HTTP/1.1 ${proxy.status} No\r\ncontent-length: 0\r\n\r\n`);
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    return join(socket, port);
  });
  proxy.port = await listen(server);
  return proxy;
}

/** What a token is for. */
const CLIENT_ID = "flowspan";

/** An id token that lasts so long; nobody here checks its signature. */
export function idToken(seconds: number, issuer = ""): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.round(Date.now() / 1000);
  const claims = { iss: issuer, aud: CLIENT_ID, sub: "anna", iat: now, exp: now + seconds };
  return `${part({ alg: "RS256" })}.${part(claims)}.c2ln`;
}

/** An OpenID provider that gives a token of an hour for the refresh token `refresh-1`, which counts once. @returns its URL */
export async function startIssuer(tls: Certificates): Promise<string> {
  const state = { url: "", next: 1 };
  const server = createHttps(tlsOptions(tls), async (asked, response) => {
    const { url } = state;
    const body = (await asked.setEncoding("utf8").toArray()).join("");
    const json = (status: number, value: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (asked.url === "/.well-known/openid-configuration") {
      const places = { authorization_endpoint: `${url}/auth`, token_endpoint: `${url}/token`, jwks_uri: `${url}/keys` };
      const can = { response_types_supported: ["code"], subject_types_supported: ["public"] };
      return json(200, { issuer: url, ...places, ...can, id_token_signing_alg_values_supported: ["RS256"] });
    }
    if (!body.includes(`refresh_token=refresh-${state.next}`)) return json(400, { error: "invalid_grant" });
    state.next++;
    const tokens = { id_token: idToken(3600, url), refresh_token: `refresh-${state.next}` };
    return json(200, { access_token: "a", token_type: "bearer", expires_in: 3600, ...tokens });
  });
  state.url = `https://127.0.0.1:${await listen(server)}`;
  return state.url;
}

/** SOCKS 5 without a password, or with one that is as long as its user. */
export async function startSocks(port: number, credentials?: string): Promise<RecordingProxy> {
  const proxy: RecordingProxy & { port: number } = { port: 0, asked: [], status: 200 };
  const serve = async (socket: Socket) => {
    const next = async () => (await once(socket, "data"))[0] as Buffer;
    await next();
    socket.write(Buffer.from([5, credentials === undefined ? 0 : 2]));
    let authorization: string | undefined;
    if (credentials !== undefined) {
      const said = await next();
      const length = said[1] ?? 0;
      authorization = `${said.subarray(2, 2 + length)}:${said.subarray(3 + length)}`;
      socket.write(Buffer.from([1, authorization === credentials ? 0 : 1]));
    }
    const wanted = await next();
    const kind = wanted[3] ?? 0;
    const address = wanted.subarray(4, -2);
    const host = kind === 1 ? address.join(".") : kind === 4 ? address.toString("hex") : address.toString("utf8", 1);
    proxy.asked.push({ target: `${host}:${wanted.readUInt16BE(wanted.length - 2)}`, authorization });
    socket.write(Buffer.from([5, proxy.status === 200 ? 0 : 2, 0, 1, 0, 0, 0, 0, 0, 0]));
    join(socket, port);
  };
  const server = createTcp((socket) => {
    serve(socket).catch(() => socket.destroy()); // the other end gave up
    socket.on("error", () => socket.destroy());
  });
  proxy.port = await listen(server);
  return proxy;
}

function join(socket: Duplex, port: number): void {
  const behind = connect(port, "127.0.0.1");
  behind.pipe(socket).pipe(behind);
  for (const each of [socket, behind]) {
    each.on("error", () => {
      socket.destroy();
      behind.destroy();
    });
  }
}

/** @returns the port */
async function listen(server: Server | ReturnType<typeof createTcp>): Promise<number> {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => open.delete(socket));
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.close();
    for (const socket of open) socket.destroy();
    await once(server, "close");
  });
  return (server.address() as AddressInfo).port;
}
