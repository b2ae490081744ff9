/**
 * What a gRPC status means to an OTLP client: may the same data be sent again, and when.
 *
 * The table is the OTLP specification's ("OTLP/gRPC Response", failures). RESOURCE_EXHAUSTED depends on
 * the server: only with RetryInfo does it say that trying again can help. RetryInfo comes as
 * google.rpc.Status in the trailer `grpc-status-details-bin`; anything unreadable there counts as absent.
 */
import { type ServiceError, status } from "@grpc/grpc-js";
import type { FailedExport } from "../model/export-outcome.ts";

const RETRYABLE: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]);

/** The outcome of a request that ended in this error. */
export function failureOf(error: Pick<ServiceError, "code" | "details" | "metadata">): FailedExport {
  const details = error.metadata?.get("grpc-status-details-bin")[0];
  const retryAfterMs = details instanceof Uint8Array ? retryDelayMs(details) : undefined;
  const retryable =
    RETRYABLE.has(error.code) || (error.code === status.RESOURCE_EXHAUSTED && retryAfterMs !== undefined);
  return {
    state: "failed",
    reason: status[error.code] ?? "UNKNOWN",
    message: error.details ?? "",
    retryable,
    retryAfterMs: retryable ? retryAfterMs : undefined,
  };
}

/** @param details a serialized google.rpc.Status @returns its words for people; empty where it has none */
export function messageOf(details: Uint8Array): string {
  const [text] = messages(details, 2);
  return text === undefined ? "" : Buffer.from(text).toString("utf8");
}

const RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";

/** @param details a serialized google.rpc.Status */
export function retryDelayMs(details: Uint8Array): number | undefined {
  for (const any of messages(details, 3)) {
    const type = messages(any, 1)[0];
    if (type === undefined || Buffer.from(type).toString("utf8") !== RETRY_INFO) continue;
    for (const info of messages(any, 2)) {
      for (const delay of messages(info, 1)) {
        const seconds = varints(delay, 1)[0] ?? 0n;
        const nanos = varints(delay, 2)[0] ?? 0n;
        const ms = Number(seconds) * 1000 + Number(nanos) / 1e6;
        if (ms >= 0) return ms;
      }
    }
  }
  return undefined;
}

function messages(bytes: Uint8Array, field: number): Uint8Array[] {
  return fields(bytes).flatMap(([number, value]) => (number === field && value instanceof Uint8Array ? [value] : []));
}

function varints(bytes: Uint8Array, field: number): bigint[] {
  return fields(bytes).flatMap(([number, value]) =>
    number === field && typeof value === "bigint" ? [BigInt.asIntN(64, value)] : [],
  );
}

/** The fields of one message up to its end or to the first that cannot be read. */
function fields(bytes: Uint8Array): [number: number, value: bigint | Uint8Array][] {
  const found: [number, bigint | Uint8Array][] = [];
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) return undefined;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === undefined) break;
    const number = Number(tag >> 3n);
    const type = Number(tag & 7n);
    if (type === 0) {
      const value = varint();
      if (value === undefined) break;
      found.push([number, value]);
    } else if (type === 2) {
      const length = varint();
      if (length === undefined || BigInt(at) + length > BigInt(bytes.length)) break;
      found.push([number, bytes.subarray(at, at + Number(length))]);
      at += Number(length);
    } else if (type === 1 || type === 5) {
      at += type === 1 ? 8 : 4;
    } else {
      break;
    }
  }
  return found;
}
