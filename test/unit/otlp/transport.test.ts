import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import zlib, { type CompressCallback, gunzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ExportOutcome } from "../../../agent/model/export-outcome.ts";
import { createTransport, type TransportOptions } from "../../../agent/otlp/transport.ts";
import { release } from "../../../agent/otlp/wire.ts";
import { ACCEPT, type Answer, fail, startFakeCollector } from "./fake-collector.ts";

const REQUEST = Buffer.from("twenty-three bytes of it");
const ACCEPTED: ExportOutcome = { state: "accepted", rejectedPoints: 0, message: "" };

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_")) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

async function sendTo(answers: readonly Answer[], options: Omit<TransportOptions, "endpoint"> = {}, requests = 1) {
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
  test("headers, the user agent and nothing of the environment are sent", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=environment,x-other=environment");
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");

    const { received } = await sendTo([ACCEPT], { headers: { "x-tenant": "settings" } });

    const [{ headers = {} } = {}] = received;
    expect([headers["x-tenant"], headers["x-other"]]).toEqual(["settings", undefined]);
    expect(headers["user-agent"]).toMatch(/^flowspan\/\d+\.\d+\.\d+ OTel-OTLP/);
  });

  test("gzip is asked for and done", async () => {
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
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const transport = createTransport({ endpoint, compression: "gzip" });

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
    ["refused at its headers", true, "UNAUTHENTICATED"],
    ["not answered in time", false, "DEADLINE_EXCEEDED"],
  ])("a request that is %s may be released before it is compressed", async (_, isRefused, reason) => {
    const server = createServer().on("stream", (stream) => {
      if (!isRefused) return;
      const answer = { ":status": 200, "content-type": "application/grpc", "grpc-status": status.UNAUTHENTICATED };
      stream.respond(answer, { endStream: true });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const transport = createTransport({ endpoint, compression: "gzip", timeoutMs: 1000 });
    const compressor = heldCompressor();
    const bytes = Uint8Array.from(REQUEST);

    const outcome = await transport.send(bytes);
    release(bytes);
    const compressed = await compressor.run();
    await transport.shutdown();
    server.close();

    expect(outcome).toMatchObject({ state: "failed", reason });
    expect(gunzipSync(compressed)).toEqual(REQUEST);
  });

  test("a certificate file that does not exist stops the agent at its start", () => {
    expect(() => createTransport({ endpoint: "https://collector:4317", caFile: "/does/not/exist.pem" })).toThrow(
      /exist\.pem/,
    );
  });
});

/** The next request's compressor, as if all of Node's threads were busy until `run` is called. */
function heldCompressor() {
  const asked = Promise.withResolvers<() => void>();
  const compressed = Promise.withResolvers<Buffer>();
  const { gzip } = zlib;
  vi.spyOn(zlib, "gzip").mockImplementation(((bytes: Buffer, callback: CompressCallback) => {
    asked.resolve(() =>
      gzip(bytes, (error, output) => {
        if (error === null) compressed.resolve(output);
        else compressed.reject(error);
        callback(error, output);
      }),
    );
  }) as typeof gzip);
  return {
    async run(): Promise<Buffer> {
      const compress = await asked.promise;
      compress();
      return compressed.promise;
    },
  };
}
