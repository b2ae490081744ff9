/**
 * Attributes as the bytes of OTLP KeyValues.
 *
 * Nothing is kept here: the bytes of 10,000 flows, and what finds them again, take 3 MiB, and making them anew for
 * each request a few per cent of its time.
 */
import type { Attributes, AttributeValue } from "../model/attribute.ts";
import { WireWriter } from "./wire.ts";

/** Field 7 of NumberDataPoint and of Exemplar, length-delimited: the tag before each KeyValue. */
export const NUMBER_ATTRIBUTE_TAG = 0x3a;
/** Field 1 of ExponentialHistogramDataPoint and of Resource. */
export const FIRST_FIELD_TAG = 0x0a;

const writer = new WireWriter(1024);

/** @returns bytes of their own, each KeyValue under `tag` */
export function encodeAttributes(attributes: Attributes, tag: number): Uint8Array {
  writeAttributes(writer, attributes, tag);
  return writer.take();
}

export function writeAttributes(w: WireWriter, attributes: Attributes, tag: number): void {
  for (const name in attributes) writeAttribute(w, tag, name, attributes[name] as AttributeValue);
}

/** Most KeyValues, and the values in them, are shorter than 128 bytes: their lengths take one. */
const SHORT = 1;
/** More than a tag, a length and a number take. */
const NUMBER_ROOM = 32;

/** Writes one KeyValue under `tag`. Reserves for itself. */
export function writeAttribute(w: WireWriter, tag: number, name: string, value: AttributeValue): void {
  w.reserve(NUMBER_ROOM);
  w.byte(tag);
  const pair = w.open(SHORT);
  w.byte(0x0a);
  w.text(name);
  w.reserve(NUMBER_ROOM);
  w.byte(0x12);
  const any = w.open(SHORT);
  writeAnyValue(w, value);
  w.close(any, SHORT);
  w.close(pair, SHORT);
}

/** An empty value is a value: its tag is written, so that it does not decode to "no value at all". */
function writeAnyValue(w: WireWriter, value: AttributeValue): void {
  if (typeof value === "number") {
    writeNumber(w, value);
  } else if (typeof value === "string") {
    w.byte(0x0a);
    w.text(value);
  } else if (typeof value === "boolean") {
    w.byte(0x10);
    w.byte(value ? 1 : 0);
  } else {
    w.byte(0x2a);
    const array = w.open();
    for (const item of value) {
      w.reserve(NUMBER_ROOM);
      w.byte(0x0a);
      const any = w.open(SHORT);
      writeAnyValue(w, item);
      w.close(any, SHORT);
    }
    w.close(array);
  }
}

/** As the SDK does: whole numbers that fit int64 are int_value, all others double_value. */
function writeNumber(w: WireWriter, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) {
    w.byte(0x18);
    w.varint(value);
  } else if (Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63) {
    w.byte(0x18);
    w.int64(BigInt(value));
  } else {
    w.byte(0x21);
    w.double(value);
  }
}

/**
 * Gives KeyValues that were copied into `target` another field number.
 *
 * A number point holds its attributes in field 7, a histogram point in field 1; keeping one copy and
 * changing some five bytes costs less than encoding them twice.
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
