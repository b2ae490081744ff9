/**
 * Attributes as the bytes of OTLP KeyValues, encoded once per object and kept as long as the object is.
 *
 * The pipeline keeps the attribute objects of a flow and of a resource between exchanges, so that their
 * identity is the cache's key and nothing has to be compared, evicted or counted here.
 */
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import { WireWriter } from "./wire.ts";

/** Field 7 of NumberDataPoint and of Exemplar, length-delimited: the tag before each KeyValue. */
const NUMBER_ATTRIBUTE_TAG = 0x3a;
/** Field 1 of ExponentialHistogramDataPoint and of Resource. */
export const FIRST_FIELD_TAG = 0x0a;

const writer = new WireWriter(1024);
const encoded = new WeakMap<Attributes, Uint8Array>();

/** @returns the KeyValues, each under NUMBER_ATTRIBUTE_TAG; the same bytes for the same object */
export function attributeBytes(attributes: Attributes): Uint8Array {
  const known = encoded.get(attributes);
  if (known !== undefined) return known;
  // Buffer.from shares pages among many: a buffer of its own costs more in headers than in bytes.
  const bytes = Buffer.from(encodeAttributes(attributes, NUMBER_ATTRIBUTE_TAG));
  encoded.set(attributes, bytes);
  return bytes;
}

/** Encodes attributes anew, each KeyValue under `tag`. */
export function encodeAttributes(attributes: Attributes, tag: number): Uint8Array {
  for (const [key, value] of Object.entries(attributes)) {
    writer.reserve(32);
    writer.byte(tag);
    const pair = writer.open();
    writer.byte(0x0a);
    writer.text(key);
    writer.reserve(32);
    writer.byte(0x12);
    const any = writer.open();
    writeAnyValue(value);
    writer.close(any);
    writer.close(pair);
  }
  return writer.take();
}

/** An empty value is a value: its tag is written, so that it does not decode to "no value at all". */
function writeAnyValue(value: AttributeValue): void {
  if (typeof value === "string") {
    writer.byte(0x0a);
    writer.text(value);
  } else if (typeof value === "boolean") {
    writer.byte(0x10);
    writer.byte(value ? 1 : 0);
  } else if (typeof value === "number") {
    writeNumber(value);
  } else {
    writer.byte(0x2a);
    const array = writer.open();
    for (const item of value) {
      writer.reserve(32);
      writer.byte(0x0a);
      const any = writer.open();
      writeAnyValue(item);
      writer.close(any);
    }
    writer.close(array);
  }
}

/** As the SDK does: whole numbers that fit int64 are int_value, all others double_value. */
function writeNumber(value: number): void {
  if (Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63) {
    writer.byte(0x18);
    writer.int64(BigInt(value));
  } else {
    writer.byte(0x21);
    writer.double(value);
  }
}

/**
 * Gives KeyValues that were copied into `target` another field number.
 *
 * A number point holds its attributes in field 7, a histogram point in field 1; keeping one copy and
 * changing some five bytes costs less than keeping two for each of 10,000 flows.
 */
export function retag(target: WireWriter, start: number, end: number, tag: number): void {
  let place = start;
  while (place < end) {
    target.patch(place++, tag);
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = target.peek(place++);
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    place += length;
  }
}
