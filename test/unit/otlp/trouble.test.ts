/** Whatever keeps a Collector from taking a request is told with its cause, in plain words, and with what to set. */
import { createServer as createHttp } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer as createTcp, type Server as TcpServer } from "node:net";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { grpcProxyWarnings } from "../../../agent/otlp/grpc-proxy.ts";
import { createTransport, type TransportOptions } from "../../../agent/otlp/transport.ts";
import { makeCertificates } from "../tls/certificates.ts";
import { ACCEPT, fail, startFakeCollector } from "./fake-collector.ts";

const made = makeCertificates();
const { path, pair } = made;
const closing: (() => unknown)[] = [() => made[Symbol.dispose]()];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

beforeEach(() => {
  for (const name of ["grpc_proxy", "https_proxy", "http_proxy", "no_proxy", "no_grpc_proxy"])
    vi.stubEnv(name, undefined);
  vi.stubEnv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function portOf(server: TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function collector(credentials?: ServerCredentials, answer = ACCEPT): Promise<number> {
  const started = await startFakeCollector([answer], credentials);
  closing.push(() => started[Symbol.asyncDispose]());
  return started.port;
}

async function withoutPipeline(): Promise<number> {
  const server = new Server();
  closing.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

const tls = (name: string) => collector(ServerCredentials.createSsl(null, [pair(name)]));
const { private_key: key, cert_chain: cert } = pair("server");
const answersHttp2 = (code: number) => createHttp2((_, response) => response.writeHead(code).end("no"));

const plain = await collector();
const server = await tls("server");
const [elsewhere, expired] = [await tls("elsewhere"), await tls("expired")];
const mutual = await collector(ServerCredentials.createSsl(pair("server").cert_chain, [pair("server")], true));
const http = await portOf(createHttp((_, response) => response.writeHead(404).end()));
const https = await portOf(createHttps({ key, cert }, (_, response) => response.end()));
const closes = await portOf(createTcp((socket) => socket.destroy()));
const silent = await portOf(createTcp((socket) => socket.on("error", () => socket.destroy())));
const bare = await withoutPipeline();
const large = await collector(
  undefined,
  fail(status.RESOURCE_EXHAUSTED, "grpc: received message larger than max (5 vs. 4)"),
);
const refuses = await collector(undefined, fail(status.UNAUTHENTICATED, "no token"));

async function outcomeOf(options: TransportOptions): Promise<ExportOutcome> {
  const transport = createTransport({ timeoutMs: 2000, ...options });
  const outcome = await transport.send(Buffer.from("x"));
  await transport.shutdown();
  return outcome;
}

const caFile = path("ca.pem");
const [ENDPOINT, CA] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_CERTIFICATE"];

const CASES: [name: string, options: TransportOptions, cause: string, named: string][] = [
  ["plain text to OTLP's port for HTTP", { endpoint: `http://localhost:${http}` }, "not_grpc", ENDPOINT],
  ["plain text to a port of TLS", { endpoint: `http://localhost:${server}` }, "closed", "write https://"],
  ["TLS to a port of plain text", { endpoint: `https://localhost:${plain}`, caFile }, "not_tls", "write http://"],
  ["TLS to HTTP's plain text", { endpoint: `https://localhost:${http}`, caFile }, "not_tls", ENDPOINT],
  [
    "TLS to a port that speaks HTTP/1.1 alone",
    { endpoint: `https://localhost:${https}`, caFile },
    "not_grpc",
    ENDPOINT,
  ],
  ["a CA of one's own", { endpoint: `https://localhost:${server}` }, "unknown_ca", CA],
  [
    "another CA than the one that is named",
    { endpoint: `https://localhost:${server}`, caFile: path("client.pem") },
    "unknown_ca",
    CA,
  ],
  ["a certificate for another name", { endpoint: `https://localhost:${elsewhere}`, caFile }, "wrong_name", ENDPOINT],
  ["an expired certificate", { endpoint: `https://localhost:${expired}`, caFile }, "certificate_expired", "renew"],
  [
    "a server that wants a certificate",
    { endpoint: `https://localhost:${mutual}`, caFile },
    "client_certificate",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  ],
  [
    "a server that takes another's certificate",
    { endpoint: `https://localhost:${mutual}`, caFile, certFile: path("client.pem"), keyFile: path("client.key") },
    "closed",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  ],
  ["a port that closes every connection", { endpoint: `http://localhost:${closes}` }, "closed", ENDPOINT],
  ["the same by TLS", { endpoint: `https://localhost:${closes}`, caFile }, "closed", ENDPOINT],
  ["a port that says nothing", { endpoint: `http://localhost:${silent}`, timeoutMs: 300 }, "no_connection", ENDPOINT],
  ["nobody there", { endpoint: "http://localhost:1" }, "nobody_listens", ENDPOINT],
  ["a socket that is not there", { endpoint: "unix:/nowhere/otlp.sock" }, "nobody_listens", ENDPOINT],
  ["a name that nobody knows", { endpoint: "http://no-such-host.invalid:4317" }, "no_such_name", ENDPOINT],
  ["a Collector without the pipeline", { endpoint: `http://localhost:${bare}` }, "no_pipeline", "pipeline for metrics"],
  ["a request that is too large", { endpoint: `http://localhost:${large}` }, "too_large", "max_recv_msg_size_mib"],
  ["no credentials", { endpoint: `http://localhost:${refuses}` }, "not_let_in", "OTEL_EXPORTER_OTLP_HEADERS"],
];

test.each(CASES)("%s", async (_, options, cause, named) => {
  const outcome = await outcomeOf(options);

  expect(outcome).toMatchObject({ state: "failed", cause, remedy: expect.stringContaining(named) });
  const { message = "" } = outcome as { message?: string };
  expect(message).not.toMatch(/Resolution note|SSL routines|deps\/openssl|undefined|use-system-ca|^$/);
});

test.each([
  [404, "not_grpc"],
  [401, "not_let_in"],
  [502, "gateway"],
])("a server of HTTP/2 that answers %d without gRPC", async (code, cause) => {
  const port = await portOf(answersHttp2(code));

  expect(await outcomeOf({ endpoint: `http://localhost:${port}` })).toMatchObject({ state: "failed", cause });
});

test("a proxy that refuses is named, with its variable, its answer and what exempts from it, and without its password", async () => {
  const proxy = createHttp().on("connect", (_, socket) =>
    socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
  );
  const port = await portOf(proxy);
  vi.stubEnv("http_proxy", `http://user:hunter2hunter2@127.0.0.1:${port}`);

  const outcome = await outcomeOf({ endpoint: "http://collector.example:4317" });

  expect(outcome).toMatchObject({
    cause: "proxy",
    message: `the proxy 127.0.0.1:${port} does not let it through: with status 407`,
    remedy: `mend http_proxy, or add the host of ${ENDPOINT} to no_proxy`,
  });
});

test.each([
  ["socks5://127.0.0.1:1", "environment: https_proxy: gRPC knows only proxies of http://, so OTLP takes none"],
  ["proxy 3128", "environment: https_proxy: it is no URL, so OTLP takes no proxy: write http://HOST:PORT"],
])("a proxy that gRPC passes over is told, and what its variable holds is not: %s", (https_proxy, said) => {
  expect(grpcProxyWarnings({ https_proxy })).toEqual([said]);
});

test("a proxy that gRPC takes needs no word, nor does none", () => {
  expect([grpcProxyWarnings({ http_proxy: "http://user:x@proxy:3128" }), grpcProxyWarnings({})]).toEqual([[], []]);
});

test("gRPC's own variable for what is trusted is named where its file cannot be used", () => {
  vi.stubEnv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "/nowhere/roots.pem");

  expect(() => createTransport({ endpoint: "https://localhost:1" })).toThrow(
    /environment: GRPC_DEFAULT_SSL_ROOTS_FILE_PATH\n {2}found: {3}\/nowhere\/roots\.pem: ENOENT/,
  );
});

test("a certificate that went away is told with its setting, and taken when it is there again", async () => {
  const ca = pair("ca").cert_chain;
  const copy = made.file("copy.pem", ca);
  const transport = createTransport({ endpoint: `https://localhost:${server}`, timeoutMs: 2000, caFile: copy });

  made.file("copy.pem", "");
  const without = await transport.send(Buffer.from("x"));
  made.file("copy.pem", ca);
  const again = await transport.send(Buffer.from("x"));
  await transport.shutdown();

  expect(without).toMatchObject({
    state: "failed",
    reason: "UNUSABLE_FILE",
    message: `OTEL_EXPORTER_OTLP_CERTIFICATE: ${copy}: nothing: it is empty`,
    retryable: true,
  });
  expect(again).toMatchObject({ state: "accepted" });
});
