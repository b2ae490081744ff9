/** OTLP over HTTP where it does not come to an answer: TLS, addresses, proxies; what is told of each, and what to do. */
import { createServer } from "node:http";
import { connect, createServer as createTcp } from "node:net";
import { describe, expect, test, vi } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { httpProxyWarnings } from "../../../agent/otlp/http-proxy.ts";
import { proxyWarnings } from "../../../agent/otlp/proxy-warnings.ts";
import { createTransport, type TransportOptions } from "../../../agent/otlp/transport.ts";
import { OK, startFakeHttpCollector } from "./fake-http-collector.ts";
import { ACCEPTED, atEnd, certificates, HTTP, portOf, REQUEST } from "./http-exchange.ts";

const { path, pair } = certificates;
const caFile = path("ca.pem");

const tls = (name: string, more = {}) => {
  const { private_key: key, cert_chain: cert } = pair(name);
  return { key, cert, ...more };
};
const mutualTls = tls("server", { ca: pair("ca").cert_chain, requestCert: true, rejectUnauthorized: true });
const [plain, server, elsewhere, expired, mutual] = await Promise.all([
  startFakeHttpCollector([OK]),
  startFakeHttpCollector([OK], tls("server")),
  startFakeHttpCollector([OK], tls("elsewhere")),
  startFakeHttpCollector([OK], tls("expired")),
  startFakeHttpCollector([OK], mutualTls),
]);
for (const one of [plain, server, elsewhere, expired, mutual]) atEnd(() => one[Symbol.asyncDispose]());
const silent = await portOf(createTcp((socket) => socket.on("error", () => socket.destroy())));
const closes = await portOf(createTcp((socket) => socket.destroy()));
// The first frame of a server of HTTP/2: SETTINGS, empty.
const http2 = await portOf(
  createTcp((socket) => socket.on("error", () => {}).end(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))),
);

async function outcomeOf(options: Omit<TransportOptions, "protocol">): Promise<ExportOutcome> {
  const transport = createTransport({ ...HTTP, ...options });
  const outcome = await transport.send(REQUEST);
  await transport.shutdown();
  return outcome;
}

const at = (port: number) => `//localhost:${port}/v1/metrics`;
const client = { certFile: path("client.pem"), keyFile: path("client.key") };

test("TLS is spoken, with a certificate where one is wanted", async () => {
  expect(await outcomeOf({ endpoint: `https:${at(server.port)}`, caFile })).toEqual(ACCEPTED);
  expect(await outcomeOf({ endpoint: `https:${at(mutual.port)}`, caFile, ...client })).toEqual(ACCEPTED);
});

const [ENDPOINT, CA] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const TROUBLES: [name: string, options: Omit<TransportOptions, "protocol">, cause: string, named: string][] = [
  ["a port for gRPC", { endpoint: `http:${at(http2)}` }, "not_http", "4318"],
  ["TLS to a port of plain text", { endpoint: `https:${at(plain.port)}`, caFile }, "not_tls", "write http://"],
  ["plain text to a port of TLS", { endpoint: `http:${at(server.port)}` }, "closed", "write https://"],
  ["a CA of one's own", { endpoint: `https:${at(server.port)}` }, "unknown_ca", CA],
  [
    "another CA than the one that is named",
    { endpoint: `https:${at(server.port)}`, caFile: path("client.pem") },
    "unknown_ca",
    CA,
  ],
  ["a certificate for another name", { endpoint: `https:${at(elsewhere.port)}`, caFile }, "wrong_name", ENDPOINT],
  ["an expired certificate", { endpoint: `https:${at(expired.port)}`, caFile }, "certificate_expired", "renew"],
  [
    "a server that wants a certificate",
    { endpoint: `https:${at(mutual.port)}`, caFile },
    "client_certificate",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  ],
  ["a port that closes every connection", { endpoint: `http:${at(closes)}` }, "closed", ENDPOINT],
  [
    "a port that says nothing",
    { endpoint: `http:${at(silent)}`, timeoutMs: 300 },
    "too_slow",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
  ],
  ["nobody there", { endpoint: "http://localhost:1/v1/metrics" }, "nobody_listens", ENDPOINT],
  ["a socket that is not there", { endpoint: "unix:/nowhere/otlp.sock" }, "nobody_listens", ENDPOINT],
  ["a name that nobody knows", { endpoint: "http://no-such-host.invalid:4318/v1/metrics" }, "no_such_name", ENDPOINT],
  [
    "a base where the whole URL belongs",
    { endpoint: `http://localhost:${await notFound()}/` },
    "no_path",
    "/v1/metrics",
  ],
];

async function notFound(): Promise<number> {
  return portOf(createServer((_, response) => response.writeHead(404).end()));
}

test.each(TROUBLES)("is told what to do: %s", async (_, options, cause, named) => {
  const outcome = await outcomeOf(options);

  expect(outcome).toMatchObject({ state: "failed", cause, remedy: expect.stringContaining(named) });
  const { message = "" } = outcome as { message?: string };
  expect(message).not.toMatch(/SSL routines|deps\/openssl|undefined|use-system-ca|^$/);
});

test("without an answer a request may always be sent again", async () => {
  const away = await outcomeOf({ endpoint: "http://localhost:1/v1/metrics" });
  const untrusted = await outcomeOf({ endpoint: `https:${at(server.port)}` });

  expect([away, untrusted]).toMatchObject([{ retryable: true }, { retryable: true }]);
});

test("a certificate that went away is told with its setting, and taken when it is there again", async () => {
  const ca = pair("ca").cert_chain;
  const copy = certificates.file("copy.pem", ca);
  await using again = await startFakeHttpCollector([(response) => response.destroy(), OK], tls("server"));
  const transport = createTransport({ ...HTTP, endpoint: `https:${at(again.port)}`, caFile: copy });

  const broken = await transport.send(REQUEST);
  certificates.file("copy.pem", "");
  const without = await transport.send(REQUEST);
  certificates.file("copy.pem", ca);
  const there = await transport.send(REQUEST);
  await transport.shutdown();

  expect([broken, without, there]).toMatchObject([
    { cause: "closed", retryable: true },
    { reason: "UNUSABLE_FILE", message: `${CA}: ${copy}: nothing: it is empty`, retryable: true },
    { state: "accepted" },
  ]);
});

describe("a proxy", () => {
  /** Lets through what it is asked for by CONNECT, and counts. */
  async function startProxy(status: string) {
    const asked: (string | undefined)[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url);
      response.writeHead(200).end();
    }).on("connect", (request, socket) => {
      asked.push(request.url);
      socket.on("error", () => {});
      if (status !== "200") return socket.end(`HTTP/1.1 ${status} no\r\n\r\n`);
      const [, port] = String(request.url).split(":");
      const onward = connect(Number(port), "127.0.0.1", () => socket.write("HTTP/1.1 200 OK\r\n\r\n"));
      onward.on("error", () => socket.destroy());
      onward.pipe(socket).pipe(onward);
    });
    return { port: await portOf(proxy), asked };
  }

  test("of HTTPS_PROXY brings TLS to the Collector, and NO_PROXY exempts a host", async () => {
    const { port, asked } = await startProxy("200");
    vi.stubEnv("HTTPS_PROXY", `http://127.0.0.1:${port}`);

    const through = await outcomeOf({ endpoint: `https:${at(server.port)}`, caFile });
    vi.stubEnv("NO_PROXY", "localhost");
    const past = await outcomeOf({ endpoint: `https:${at(server.port)}`, caFile });

    expect([through, past]).toEqual([ACCEPTED, ACCEPTED]);
    expect(asked).toEqual([`localhost:${server.port}`]);
  });

  test("of http_proxy is given the whole URL", async () => {
    const { port, asked } = await startProxy("200");
    vi.stubEnv("http_proxy", `http://127.0.0.1:${port}`);

    expect(await outcomeOf({ endpoint: "http://collector.example:4318/v1/metrics" })).toEqual(ACCEPTED);
    expect(asked).toEqual(["http://collector.example:4318/v1/metrics"]);
  });

  test("that refuses is named, with its variable and its answer and without its password", async () => {
    const { port } = await startProxy("407");
    vi.stubEnv("https_proxy", `http://user:hunter2hunter2@127.0.0.1:${port}`);

    const outcome = await outcomeOf({ endpoint: `https:${at(server.port)}`, caFile });

    expect(outcome).toMatchObject({
      cause: "proxy",
      message: expect.stringMatching(new RegExp(`^the proxy 127.0.0.1:${port} does not let it through: .*407`)),
      remedy: `mend https_proxy, or add the host of ${ENDPOINT} to NO_PROXY`,
    });
    expect(JSON.stringify(outcome)).not.toContain("hunter2");
  });

  test("that Node does not take is passed by, and told", async () => {
    const env = { HTTPS_PROXY: "socks5://127.0.0.1:1" };
    vi.stubEnv("HTTPS_PROXY", env.HTTPS_PROXY);

    expect(await outcomeOf({ endpoint: `https:${at(server.port)}`, caFile })).toEqual(ACCEPTED);
    const said = [
      "environment: HTTPS_PROXY: Node knows only proxies of http:// and https://, so OTLP over HTTP takes none",
    ];
    expect(httpProxyWarnings(env)).toEqual(said);
    expect([proxyWarnings(["http/protobuf"], env), proxyWarnings(["grpc"], env)]).toEqual([said, []]);
  });
});
