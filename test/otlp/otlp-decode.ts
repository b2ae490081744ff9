/**
 * OTLP metric requests as plain points, decoded by hand from opentelemetry-proto's field numbers: one more
 * reading of the wire format that shares no code with our encoder, and no dependency for the demo.
 *
 * Throws on bytes that are no valid request; unknown fields are skipped, as protobuf demands.
 */
import type { Attributes, AttributeValue } from "../../agent/model/attribute.ts";
import type { Point } from "./oracle.ts";

/** A point as test/otlp/oracle.ts reads it, and what else an OTLP point says. */
export interface ReceivedPoint extends Point {
  readonly scope: string;
  readonly unit: string;
  readonly instrument: "gauge" | "sum" | "exponential_histogram";
  /** Of a histogram. */
  readonly scale: number | undefined;
  readonly count: number | undefined;
  readonly exemplars: readonly ReceivedExemplar[];
}

export interface ReceivedExemplar {
  readonly traceId: string;
  readonly spanId: string;
  readonly timeUnixNs: bigint;
  readonly value: number;
}

export type Fields = Map<number, (bigint | Uint8Array)[]>;
const TEXT = new TextDecoder();

/** @param bytes an ExportMetricsServiceRequest */
export function decodeMetrics(bytes: Uint8Array): ReceivedPoint[] {
  const points: ReceivedPoint[] = [];
  for (const resourceMetrics of messages(readFields(bytes), 1)) {
    const resource = attributes(message(resourceMetrics, 1), 1);
    for (const scopeMetrics of messages(resourceMetrics, 2)) {
      const scope = text(message(scopeMetrics, 1), 1);
      for (const metric of messages(scopeMetrics, 2)) points.push(...metricPoints(metric, resource, scope));
    }
  }
  return points;
}

function metricPoints(metric: Fields, resource: Attributes, scope: string): ReceivedPoint[] {
  const instrument = metric.has(5) ? "gauge" : metric.has(7) ? "sum" : "exponential_histogram";
  const isHistogram = instrument === "exponential_histogram";
  if (isHistogram && !metric.has(10)) throw new Error(`metric ${text(metric, 1)} is of another kind`);
  const data = message(metric, { gauge: 5, sum: 7, exponential_histogram: 10 }[instrument]);
  const isMoment = instrument === "gauge" || (instrument === "sum" && scalar(data, 3) === 0n);
  return messages(data, 1).map((point) => ({
    metric: text(metric, 1),
    resource,
    attributes: attributes(point, isHistogram ? 1 : 7),
    startUnixNs: scalar(point, 2),
    timeUnixNs: scalar(point, 3),
    kind: isMoment ? "moment" : scalar(data, 2) === 1n ? "delta" : "cumulative",
    value: isHistogram ? double(point, 5) : numberValue(point),
    ...(isHistogram && { buckets: buckets(point) }),
    scope,
    unit: text(metric, 3),
    instrument,
    scale: isHistogram ? zigzag(scalar(point, 6)) : undefined,
    count: isHistogram ? Number(scalar(point, 4)) : undefined,
    exemplars: messages(point, isHistogram ? 11 : 5).map(exemplar),
  }));
}

function exemplar(fields: Fields): ReceivedExemplar {
  return {
    traceId: hex(fields, 5),
    spanId: hex(fields, 4),
    timeUnixNs: scalar(fields, 2),
    value: fields.has(6) ? Number(BigInt.asIntN(64, scalar(fields, 6))) : double(fields, 3),
  };
}

function numberValue(point: Fields): number {
  return point.has(6) ? Number(BigInt.asIntN(64, scalar(point, 6))) : double(point, 4);
}

/** Zeros under minus infinity, as the oracle has them. */
function buckets(point: Fields): Map<number, number> {
  const zeros = Number(scalar(point, 7));
  const positive = message(point, 8);
  const offset = zigzag(scalar(positive, 1));
  const counts = (positive.get(2) ?? []).flatMap((value) =>
    value instanceof Uint8Array ? varints(value) : [Number(value)],
  );
  const filled = counts.map((count, i) => [offset + i, count] as const).filter(([, count]) => count > 0);
  return new Map([...(zeros > 0 ? [[Number.NEGATIVE_INFINITY, zeros] as const] : []), ...filled]);
}

export function attributes(fields: Fields, field: number): Record<string, AttributeValue> {
  return Object.fromEntries(messages(fields, field).map((pair) => [text(pair, 1), attributeValue(message(pair, 2))]));
}

function attributeValue(value: Fields): AttributeValue {
  if (value.has(2)) return scalar(value, 2) === 1n;
  if (value.has(3)) return Number(BigInt.asIntN(64, scalar(value, 3)));
  if (value.has(4)) return double(value, 4);
  if (value.has(5)) return messages(message(value, 5), 1).map((each) => text(each, 1));
  return text(value, 1);
}

/** One message's fields: varints and fixed numbers as bigint, everything with a length as bytes. */
export function readFields(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at < bytes.length) {
    const [tag, afterTag] = readVarint(bytes, at);
    const [value, next] = readValue(bytes, view, afterTag, Number(tag & 7n));
    const field = Number(tag >> 3n);
    const values = fields.get(field);
    if (values) values.push(value);
    else fields.set(field, [value]);
    at = next;
  }
  return fields;
}

function readValue(bytes: Uint8Array, view: DataView, at: number, wireType: number): [bigint | Uint8Array, number] {
  if (wireType === 0) return readVarint(bytes, at);
  if (wireType === 1) return [view.getBigUint64(at, true), at + 8];
  if (wireType === 5) return [BigInt(view.getUint32(at, true)), at + 4];
  if (wireType !== 2) throw new Error(`wire type ${wireType}`);
  const [length, start] = readVarint(bytes, at);
  const end = start + Number(length);
  if (end > bytes.length) throw new Error("a field reaches past the end");
  return [bytes.subarray(start, end), end];
}

function readVarint(bytes: Uint8Array, from: number): [bigint, number] {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) throw new Error("a number reaches past the end");
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return [value, from + i + 1];
  }
  throw new Error("a number of more than 64 bits");
}

function varints(bytes: Uint8Array): number[] {
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [value, next] = readVarint(bytes, at);
    numbers.push(Number(value));
    at = next;
  }
  return numbers;
}

export function messages(fields: Fields, field: number): Fields[] {
  return (fields.get(field) ?? []).map((value) => {
    if (!(value instanceof Uint8Array)) throw new Error(`field ${field} is no message`);
    return readFields(value);
  });
}

export function message(fields: Fields, field: number): Fields {
  return messages(fields, field).at(-1) ?? new Map();
}

export function text(fields: Fields, field: number): string {
  const value = fields.get(field)?.at(-1);
  return value instanceof Uint8Array ? TEXT.decode(value) : "";
}

export function hex(fields: Fields, field: number): string {
  const value = fields.get(field)?.at(-1);
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : "";
}

export function scalar(fields: Fields, field: number): bigint {
  const value = fields.get(field)?.at(-1) ?? 0n;
  if (typeof value !== "bigint") throw new Error(`field ${field} is no number`);
  return value;
}

function double(fields: Fields, field: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, scalar(fields, field));
  return view.getFloat64(0);
}

function zigzag(value: bigint): number {
  return Number((value >> 1n) ^ -(value & 1n));
}
