/** OTLP over HTTP: what is sent, what each answer becomes, and what is told where there is none. */
import { createServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcp, type Server } from "node:net";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { httpProxyWarnings } from "../../../agent/otlp/http-proxy.ts";
import { proxyWarnings } from "../../../agent/otlp/proxy-warnings.ts";
import { createTransport, type ExportedSignal, type TransportOptions } from "../../../agent/otlp/transport.ts";
import { release } from "../../../agent/otlp/wire.ts";
import { makeCertificates } from "../tls/certificates.ts";
import { answer, type HttpAnswer, OK, startFakeHttpCollector } from "./fake-http-collector.ts";

const REQUEST = Buffer.from("twenty-three bytes of it");
const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };
const PROTOBUF = { "content-type": "application/x-protobuf" };
const PATHS = { metrics: "/v1/metrics", traces: "/v1/traces", logs: "/v1/logs" } as const;

const made = makeCertificates();
const { path, pair } = made;
const caFile = path("ca.pem");
const closing: (() => unknown)[] = [() => made[Symbol.dispose]()];
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^OTEL_|_proxy$/i.test(name)) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function portOf(server: Server | HttpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

const HTTP = { protocol: "http/protobuf", timeoutMs: 5000 } as const;

async function sendTo(
  answers: readonly HttpAnswer[],
  options: Omit<TransportOptions, "endpoint"> = {},
  signal: ExportedSignal = "metrics",
) {
  await using collector = await startFakeHttpCollector(answers);
  const transport = createTransport(
    { ...HTTP, endpoint: `http://127.0.0.1:${collector.port}${PATHS[signal]}`, ...options },
    signal,
  );
  const outcomes: ExportOutcome[] = [];
  for (const _ of answers) outcomes.push(await transport.send(REQUEST));
  await transport.shutdown();
  return { outcomes, received: collector.received };
}

describe("a request", () => {
  test("arrives as it is, once, at its path and as protobuf", async () => {
    const { outcomes, received } = await sendTo([OK]);

    expect(outcomes).toEqual([ACCEPTED]);
    expect(received.map(({ path, body, headers }) => [path, String(body), headers["content-type"]])).toEqual([
      ["/v1/metrics", REQUEST.toString(), "application/x-protobuf"],
    ]);
  });

  test("has the headers of the settings and nothing of the environment", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=environment,x-other=environment");

    const { received } = await sendTo([OK], { headers: { "x-tenant": "settings", "content-type": "text/plain" } });

    const [{ headers = {} } = {}] = received;
    expect([headers["x-tenant"], headers["x-other"], headers["content-type"]]).toEqual([
      "settings",
      undefined,
      "application/x-protobuf",
    ]);
    expect(headers["user-agent"]).toMatch(/^flowspan\/\d+\.\d+\.\d+$/);
  });

  test("is compressed where that is asked for", async () => {
    const { received } = await sendTo([OK], { compression: "gzip" });

    expect(received.map(({ headers, body }) => [headers["content-encoding"], String(body)])).toEqual([
      ["gzip", REQUEST.toString()],
    ]);
  });

  test.each(["gzip", "none"] as const)(
    "may be released once it is answered, however early (%s)",
    async (compression) => {
      // Answers before it has read a byte.
      const port = await portOf(createServer((_, response) => response.writeHead(413).end()));
      const transport = createTransport({ ...HTTP, endpoint: `http://127.0.0.1:${port}/v1/metrics`, compression });
      const bytes = new Uint8Array(3_000_000).fill(7);

      const outcome = await transport.send(bytes);
      release(bytes);
      const next = await transport.send(REQUEST);
      await transport.shutdown();

      expect([outcome, next].map(({ state }) => state)).toEqual(["failed", "failed"]);
    },
  );

  test("goes over one connection after another request", async () => {
    let connections = 0;
    const server = createServer((_, response) => response.end()).on("connection", () => connections++);
    const transport = createTransport({ ...HTTP, endpoint: `http://127.0.0.1:${await portOf(server)}/v1/metrics` });

    for (let i = 0; i < 23; i++) await transport.send(REQUEST);
    await transport.shutdown();

    expect(connections).toBe(1);
  });

  test("takes a Unix socket", async () => {
    const socket = path("otlp.sock");
    const paths: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url);
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    const transport = createTransport({ ...HTTP, endpoint: `unix:${socket}` }, "logs");

    const outcome = await transport.send(REQUEST);
    await transport.shutdown();
    server.close();

    expect({ outcome, paths, target: transport.target }).toEqual({
      outcome: ACCEPTED,
      paths: ["/v1/logs"],
      target: `unix:${socket}`,
    });
  });
});

/** Field 1 (rejected), 2 (message) in field 1 of the response. */
function partialSuccess(rejected: number, words: string): Buffer {
  const message = Buffer.from(words);
  const partial = Buffer.concat([Buffer.from([0x08, rejected, 0x12, message.length]), message]);
  return Buffer.concat([Buffer.from([0x0a, partial.length]), partial]);
}

/** google.rpc.Status {code: 3, message}. */
function statusBody(words: string): Buffer {
  const message = Buffer.from(words);
  return Buffer.concat([Buffer.from([0x08, 3, 0x12, message.length]), message]);
}

describe("an answer", () => {
  test.each(["metrics", "traces", "logs"] as const)(
    "of partial success to %s accepts with what was rejected",
    async (signal) => {
      const partial = answer(200, PROTOBUF, partialSuccess(23, "too old"));

      const { outcomes } = await sendTo([partial, OK], {}, signal);

      expect(outcomes).toEqual([{ state: "accepted", rejectedPoints: 23, message: "too old" }, ACCEPTED]);
    },
  );

  test.each([
    ["no protobuf", answer(200, PROTOBUF, Buffer.from([0x0a, 0xff]))],
    ["text", answer(200, { "content-type": "text/plain" }, "ok")],
    ["nothing, by 202", answer(202)],
    [
      "cut off",
      (response) => response.writeHead(200, { "content-length": "100" }).write("x", () => response.destroy()),
    ],
  ] as [string, HttpAnswer][])("of success that is %s accepts: the status is what counts", async (_, one) => {
    expect((await sendTo([one])).outcomes).toEqual([ACCEPTED]);
  });

  /** Status, headers, body; then what it becomes. */
  const FAILURES: [
    number,
    Record<string, string>,
    string | Buffer,
    Partial<Extract<ExportOutcome, { state: "failed" }>>,
  ][] = [
    [
      429,
      { "retry-after": "7" },
      "slow down",
      { retryable: true, retryAfterMs: 7000, cause: "busy", message: "slow down" },
    ],
    [
      503,
      { ...PROTOBUF, "retry-after": "0" },
      statusBody("memory"),
      { retryable: true, retryAfterMs: 0, message: "memory" },
    ],
    [503, {}, "", { retryable: true, retryAfterMs: undefined, cause: "busy", message: "Service Unavailable" }],
    [503, { "retry-after": "soon" }, "", { retryable: true, retryAfterMs: undefined }],
    [502, { "content-type": "text/html" }, "<h1>", { retryable: true, cause: "gateway", message: "Bad Gateway" }],
    [504, {}, "", { retryable: true, cause: "gateway" }],
    [500, {}, "", { retryable: false, cause: "gateway" }],
    [
      400,
      { ...PROTOBUF, "retry-after": "7" },
      statusBody("bad point"),
      { retryable: false, retryAfterMs: undefined, message: "bad point" },
    ],
    [401, {}, "no token", { retryable: false, cause: "not_let_in", message: "no token" }],
    [403, {}, "", { retryable: false, cause: "not_let_in", message: "Forbidden" }],
    [404, {}, "", { retryable: false, cause: "no_path", message: "nothing takes POST /v1/metrics there" }],
    [405, {}, "", { retryable: false, cause: "no_path" }],
    [407, {}, "", { retryable: false, message: "Proxy Authentication Required" }],
    [413, {}, "", { retryable: false, cause: "too_large", message: "Payload Too Large" }],
    [415, {}, "", { retryable: false, cause: "not_protobuf" }],
    [
      308,
      { location: "https://elsewhere.example/" },
      "",
      { retryable: false, cause: "redirected", message: "it sends elsewhere: https://elsewhere.example/" },
    ],
  ];

  test.each(FAILURES)("of %d with %j fails", async (status, headers, body, wanted) => {
    const { outcomes, received } = await sendTo([answer(status, headers, body)]);

    expect(outcomes).toEqual([expect.objectContaining({ state: "failed", reason: String(status), ...wanted })]);
    // Whoever tries again is the caller.
    expect(received.length).toBe(1);
  });

  test("that asks to wait until a date is told in milliseconds", async () => {
    const { outcomes } = await sendTo([answer(503, { "retry-after": new Date(Date.now() + 60_000).toUTCString() })]);

    const [{ retryAfterMs = 0 } = {}] = outcomes as { retryAfterMs?: number }[];
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  test("for people is no success: nobody says that the request was taken", async () => {
    const { outcomes } = await sendTo([answer(200, { "content-type": "text/html; charset=utf-8" }, "<form>")]);

    expect(outcomes).toEqual([expect.objectContaining({ state: "failed", retryable: true, cause: "not_otlp" })]);
  });

  test("that drips byte by byte does not hold the request beyond its timeout", async () => {
    let drip: NodeJS.Timeout | undefined;
    const startMs = performance.now();

    const { outcomes } = await sendTo(
      [
        (response) => {
          response.writeHead(200, PROTOBUF);
          drip = setInterval(() => response.write("x"), 20);
        },
      ],
      { timeoutMs: 300 },
    );
    clearInterval(drip);

    // Its status has come, and that is what counts.
    expect(outcomes).toEqual([ACCEPTED]);
    expect(performance.now() - startMs).toBeLessThan(3000);
  });

  test("longer than 4 MiB is not kept", async () => {
    const { outcomes } = await sendTo([answer(200, PROTOBUF, Buffer.alloc(5 * 1024 * 1024))]);

    expect(outcomes).toEqual([ACCEPTED]);
  });
});

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
closing.push(...[plain, server, elsewhere, expired, mutual].map((one) => () => one[Symbol.asyncDispose]()));
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
  const copy = made.file("copy.pem", ca);
  await using again = await startFakeHttpCollector([(response) => response.destroy(), OK], tls("server"));
  const transport = createTransport({ ...HTTP, endpoint: `https:${at(again.port)}`, caFile: copy });

  const broken = await transport.send(REQUEST);
  made.file("copy.pem", "");
  const without = await transport.send(REQUEST);
  made.file("copy.pem", ca);
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
