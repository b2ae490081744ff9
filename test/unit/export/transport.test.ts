/** The stock transport as we use it: answers of every kind, and the settings that users know. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ServerCredentials, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createTransport, type TransportOptions } from "../../../agent/export/transport.ts";
import type { ExportOutcome } from "../../../agent/model.ts";
import { ACCEPT, type Answer, fail, startFakeCollector } from "./fake-collector.ts";

const REQUEST = Buffer.from("twenty-three bytes of it");
const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_")) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function sendTo(answers: readonly Answer[], options: TransportOptions = {}, requests = 1) {
  await using collector = await startFakeCollector(answers);
  const transport = createTransport({ endpoint: `http://127.0.0.1:${collector.port}`, timeoutMs: 5000, ...options });
  const outcomes: ExportOutcome[] = [];
  for (let i = 0; i < requests; i++) outcomes.push(await transport.send(REQUEST));
  await transport.shutdown();
  return { outcomes, received: collector.received };
}

/** google.rpc.Status {code: 14, details: [RetryInfo {retry_delay: {seconds: 7, nanos: 500,000,000}}]}, by hand. */
function retryInfo(): Buffer {
  const delay = Buffer.from([0x08, 7, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]);
  const info = Buffer.concat([Buffer.from([0x0a, delay.length]), delay]);
  const type = Buffer.from("type.googleapis.com/google.rpc.RetryInfo");
  const any = Buffer.concat([Buffer.from([0x0a, type.length]), type, Buffer.from([0x12, info.length]), info]);
  return Buffer.concat([Buffer.from([0x08, 14, 0x1a, any.length]), any]);
}

describe("answers", () => {
  test("OK accepts the request, and its bytes arrive as they are", async () => {
    const { outcomes, received } = await sendTo([ACCEPT]);

    expect({ outcomes, bytes: received.map(({ bytes }) => bytes.toString()) }).toEqual({
      outcomes: [ACCEPTED],
      bytes: [REQUEST.toString()],
    });
  });

  test("partial success accepts it with the number of rejected points and the reason", async () => {
    const message = Buffer.from("too old");
    const partial = Buffer.concat([Buffer.from([0x08, 23, 0x12, message.length]), message]);
    const response = Buffer.concat([Buffer.from([0x0a, partial.length]), partial]);

    const { outcomes } = await sendTo([(done) => done(null, response), ACCEPT], {}, 2);

    expect(outcomes).toEqual([{ state: "accepted", rejectedPoints: 23, message: "too old" }, ACCEPTED]);
  });

  test("a response that is no protobuf still accepts it: OK is what counts", async () => {
    const { outcomes } = await sendTo([(done) => done(null, Buffer.from([0x0a, 0xff]))]);

    expect(outcomes).toEqual([ACCEPTED]);
  });

  test.each([
    ["UNAVAILABLE with RetryInfo", status.UNAVAILABLE, retryInfo(), "UNAVAILABLE", true, 7500],
    ["UNAVAILABLE alone", status.UNAVAILABLE, undefined, "UNAVAILABLE", true, undefined],
    ["RESOURCE_EXHAUSTED with RetryInfo", status.RESOURCE_EXHAUSTED, retryInfo(), "RESOURCE_EXHAUSTED", true, 7500],
    ["RESOURCE_EXHAUSTED alone", status.RESOURCE_EXHAUSTED, undefined, "RESOURCE_EXHAUSTED", false, undefined],
    ["INVALID_ARGUMENT", status.INVALID_ARGUMENT, undefined, "INVALID_ARGUMENT", false, undefined],
  ] as const)("%s fails it", async (_, code, details, reason, retryable, retryAfterMs) => {
    const { outcomes } = await sendTo([fail(code, "because", details)]);

    expect(outcomes).toEqual([{ state: "failed", reason, message: "because", retryable, retryAfterMs }]);
  });

  test("silence fails it when the timeout is over", async () => {
    const startMs = performance.now();

    const { outcomes } = await sendTo([() => {}], { timeoutMs: 300 });

    expect(outcomes).toMatchObject([{ state: "failed", reason: "DEADLINE_EXCEEDED", retryable: true }]);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  test("a failure does not spoil the request that follows", async () => {
    const { outcomes } = await sendTo([fail(status.UNAVAILABLE, "busy"), ACCEPT], {}, 2);

    expect(outcomes.map(({ state }) => state)).toEqual(["failed", "accepted"]);
  });
});

test("nobody at the endpoint fails the request well within the timeout", async () => {
  const startMs = performance.now();
  const transport = createTransport({ endpoint: "http://127.0.0.1:1", timeoutMs: 5000 });

  const outcome = await transport.send(REQUEST);
  await transport.shutdown();

  expect(outcome).toMatchObject({ state: "failed", reason: "UNAVAILABLE", retryable: true });
  expect(performance.now() - startMs).toBeLessThan(4500);
});

describe("settings", () => {
  test("the environment's endpoint and headers are used, and the METRICS_ ones win", async () => {
    await using collector = await startFakeCollector([ACCEPT]);
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", `http://127.0.0.1:${collector.port}`);
    vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=general,x-other=kept");
    vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-tenant=metrics");

    const transport = createTransport({ userAgent: "flowspan/1.2.3" });
    const outcome = await transport.send(REQUEST);
    await transport.shutdown();

    expect(outcome).toEqual(ACCEPTED);
    expect(collector.received.map(({ headers }) => headers)).toMatchObject([
      { "x-tenant": "metrics", "x-other": "kept", "user-agent": expect.stringMatching(/^flowspan\/1\.2\.3 OTel-OTLP/) },
    ]);
  });

  test("headers of the options win over the environment's", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=environment");

    const { received } = await sendTo([ACCEPT], { headers: { "x-tenant": "file" } });

    expect(received.map(({ headers }) => headers["x-tenant"])).toEqual(["file"]);
  });

  test("the environment's timeout ends a request", async () => {
    await using collector = await startFakeCollector([() => {}]);
    vi.stubEnv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000");
    vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "200");

    const transport = createTransport({ endpoint: `http://127.0.0.1:${collector.port}` });
    const outcome = await transport.send(REQUEST);
    await transport.shutdown();

    expect(outcome).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
  });

  test("gzip is asked for and done", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    const seen: { encoding: unknown; body: Buffer }[] = [];
    const server = createServer().on("stream", (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        seen.push({ encoding: headers["grpc-encoding"], body: Buffer.concat(chunks) });
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(Buffer.alloc(5));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const transport = createTransport({ endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });

    const outcome = await transport.send(REQUEST);
    await transport.shutdown();
    server.close();

    // A gRPC message: one byte that says compressed, four of length, then the message.
    expect({
      outcome,
      seen: seen.map(({ encoding, body }) => [encoding, body[0], String(gunzipSync(body.subarray(5)))]),
    }).toEqual({ outcome: ACCEPTED, seen: [["gzip", 1, REQUEST.toString()]] });
  });

  test.each([
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"],
    ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"],
  ])("%s=%s is refused with what to set instead", (name, value) => {
    vi.stubEnv(name, value);

    expect(() => createTransport()).toThrow(
      new RegExp(`${name} is "${value}".*set OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc`),
    );
  });

  test("a METRICS_ protocol of grpc wins over another general one", () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc");

    expect(createTransport({ endpoint: "http://collector:4317" }).target).toBe("collector:4317");
  });

  test("a certificate file that does not exist stops the agent at its start", () => {
    expect(() => createTransport({ endpoint: "https://collector:4317", caFile: "/does/not/exist.pem" })).toThrow(
      /exist\.pem/,
    );
  });
});

describe("TLS", () => {
  /** A CA, a server certificate for localhost and a client certificate; gone after `act`. */
  async function withCertificates(act: (path: (name: string) => string) => Promise<void>): Promise<void> {
    const directory = mkdtempSync(join(tmpdir(), "flowspan-tls-"));
    const path = (name: string) => join(directory, name);
    const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    try {
      openssl("req", "-x509", ...key, "-days", "1", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.pem");
      for (const name of ["server", "client"]) {
        const request = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost"];
        openssl("req", ...key, ...request, "-keyout", `${name}.key`, "-out", `${name}.csr`);
        const sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-copy_extensions", "copy"];
        openssl("x509", "-req", "-in", `${name}.csr`, ...sign, "-out", `${name}.pem`);
      }
      await act(path);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  test("a server that wants a client certificate takes ours, from options and from the environment", async () => {
    await withCertificates(async (path) => {
      const pair = { private_key: readFileSync(path("server.key")), cert_chain: readFileSync(path("server.pem")) };
      const credentials = ServerCredentials.createSsl(readFileSync(path("ca.pem")), [pair], true);
      await using collector = await startFakeCollector([ACCEPT], credentials);
      const endpoint = `https://localhost:${collector.port}`;

      const files = { caFile: path("ca.pem"), certFile: path("client.pem"), keyFile: path("client.key") };
      const fromOptions = createTransport({ endpoint, timeoutMs: 5000, ...files });
      vi.stubEnv("OTEL_EXPORTER_OTLP_CERTIFICATE", path("ca.pem"));
      vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", path("client.pem"));
      vi.stubEnv("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", path("client.key"));
      const fromEnvironment = createTransport({ endpoint, timeoutMs: 5000 });
      const outcomes = [await fromOptions.send(REQUEST), await fromEnvironment.send(REQUEST)];
      await Promise.all([fromOptions.shutdown(), fromEnvironment.shutdown()]);

      expect(outcomes).toEqual([ACCEPTED, ACCEPTED]);
    });
  });

  test("a server whose certificate nobody we trust has signed gets nothing", async () => {
    await withCertificates(async (path) => {
      const pair = { private_key: readFileSync(path("server.key")), cert_chain: readFileSync(path("server.pem")) };
      await using collector = await startFakeCollector([ACCEPT], ServerCredentials.createSsl(null, [pair]));

      const transport = createTransport({ endpoint: `https://localhost:${collector.port}`, timeoutMs: 2000 });
      const outcome = await transport.send(REQUEST);
      await transport.shutdown();

      expect(outcome).toMatchObject({ state: "failed", retryable: true });
      expect(collector.received).toEqual([]);
    });
  });
});
