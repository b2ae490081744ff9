/** OTLP over HTTP: what is sent, and what each answer becomes. */
import { createServer } from "node:http";
import { describe, expect, test, vi } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { createTransport, type ExportedSignal, type TransportOptions } from "../../../agent/otlp/transport.ts";
import { release } from "../../../agent/otlp/wire.ts";
import { answer, type HttpAnswer, OK, startFakeHttpCollector } from "./fake-http-collector.ts";
import { ACCEPTED, certificates, HTTP, portOf, REQUEST } from "./http-exchange.ts";

const PROTOBUF = { "content-type": "application/x-protobuf" };
const PATHS = { metrics: "/v1/metrics", traces: "/v1/traces", logs: "/v1/logs" } as const;

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
    const socket = certificates.path("otlp.sock");
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
