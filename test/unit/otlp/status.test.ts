/** What becomes of a gRPC status: the OTLP specification's table, and RetryInfo from the trailer. */
import { Metadata, status } from "@grpc/grpc-js";
import fc from "fast-check";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { failureOf, retryDelayMs } from "../../../agent/otlp/status.ts";

const { root } = protobuf.parse(`
syntax = "proto3";
message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
message Any { string type_url = 1; bytes value = 2; }
message RetryInfo { Duration retry_delay = 1; }
message Duration { int64 seconds = 1; int32 nanos = 2; }
`);

function details(seconds: number, nanos: number): Buffer {
  const retry = root.lookupType("RetryInfo").encode({ retryDelay: { seconds, nanos } }).finish();
  return Buffer.from(
    root
      .lookupType("Status")
      .encode({
        code: 14,
        message: "busy",
        details: [
          { typeUrl: "type.googleapis.com/google.rpc.DebugInfo", value: new Uint8Array([10, 1, 120]) },
          { typeUrl: "type.googleapis.com/google.rpc.RetryInfo", value: retry },
        ],
      })
      .finish(),
  );
}

function errorOf(code: number, trailer?: Buffer) {
  const metadata = new Metadata();
  if (trailer !== undefined) metadata.set("grpc-status-details-bin", trailer);
  return { code, details: "said so", metadata };
}

test.each([
  ["CANCELLED", true],
  ["UNKNOWN", false],
  ["INVALID_ARGUMENT", false],
  ["DEADLINE_EXCEEDED", true],
  ["NOT_FOUND", false],
  ["ALREADY_EXISTS", false],
  ["PERMISSION_DENIED", false],
  ["RESOURCE_EXHAUSTED", false],
  ["FAILED_PRECONDITION", false],
  ["ABORTED", true],
  ["OUT_OF_RANGE", true],
  ["UNIMPLEMENTED", false],
  ["INTERNAL", false],
  ["UNAVAILABLE", true],
  ["DATA_LOSS", true],
  ["UNAUTHENTICATED", false],
] as const)("%s is retryable: %s", (name, retryable) => {
  expect(failureOf(errorOf(status[name]))).toEqual({
    state: "failed",
    reason: name,
    message: "said so",
    retryable,
    retryAfterMs: undefined,
  });
});

test.each([
  ["UNAVAILABLE", 23_500],
  ["RESOURCE_EXHAUSTED", 23_500],
] as const)("%s with RetryInfo is retryable after the delay that it gives", (name, retryAfterMs) => {
  const failure = failureOf(errorOf(status[name], details(23, 500_000_000)));

  expect(failure).toMatchObject({ reason: name, retryable: true, retryAfterMs });
});

test("RetryInfo makes no INVALID_ARGUMENT retryable", () => {
  const failure = failureOf(errorOf(status.INVALID_ARGUMENT, details(1, 0)));

  expect(failure).toMatchObject({ retryable: false, retryAfterMs: undefined });
});

test("a code that gRPC does not know is UNKNOWN", () => {
  expect(failureOf(errorOf(99))).toMatchObject({ reason: "UNKNOWN", retryable: false });
});

test("RetryInfo without a delay, and a negative one, count as absent", () => {
  expect([retryDelayMs(details(1, 0)), retryDelayMs(details(-1, 0)), retryDelayMs(new Uint8Array())]).toEqual([
    1000,
    undefined,
    undefined,
  ]);
});

test("a damaged trailer never throws and never gives a negative delay", () => {
  const whole = details(23, 0);
  const damaged = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })).map(([at, byte]) => {
      const copy = Uint8Array.from(whole);
      copy[at] = byte;
      return copy;
    }),
  );
  fc.assert(
    fc.property(damaged, (bytes) => {
      expect(retryDelayMs(bytes) ?? 0).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 2000 },
  );
});
