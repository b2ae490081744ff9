/**
 * What a message will cost whoever decodes it, found before anything of it is decoded.
 *
 * Two bytes on the wire can become an object of some hundred bytes. So the size of a message alone bounds nothing: fields are
 * counted, and texts are as short as Kubernetes lets a name be. Pure.
 */
import protobuf from "protobufjs/light.js";

/** Far above what a replica sends: 256 answers of some 25 fields. */
const MAX_FIELDS = 65_536;
/** A DNS subdomain, the longest name in Kubernetes, has 253. */
const MAX_TEXT_BYTES = 512;
/** What a field costs besides its bytes: a text's header, its place in an object or a list. */
const FIELD_BYTES = 32;

export interface MessageCost {
  /** Bytes of memory, roughly, for all of the message. */
  readonly total: number;
  /** For each element of the list that was asked for, in order. */
  readonly elements: readonly number[];
}

export interface CostOptions {
  /** The field of the message whose elements are counted one by one. */
  readonly list: string;
  /** Message types that cost more than their fields, by name. */
  readonly extra?: Readonly<Record<string, number>>;
}

/** @throws Error when a text is too long, there are too many fields, or the bytes are no message */
export function costOf(type: protobuf.Type, bytes: Uint8Array, { list, extra = {} }: CostOptions): MessageCost {
  const reader = protobuf.Reader.create(bytes);
  const elements: number[] = [];
  let fields = 0;
  const measure = (of: protobuf.Type, end: number): number => {
    let cost = extra[of.name] ?? 0;
    while (reader.pos < end) {
      if (++fields > MAX_FIELDS) throw new Error(`more than ${MAX_FIELDS} fields in one message`);
      const begin = reader.pos;
      const tag = reader.uint32();
      const field = of.fieldsById[tag >>> 3];
      const inner = bodyOf(reader, tag & 7, field, end, measure);
      const own = FIELD_BYTES + (inner ?? reader.pos - begin);
      if (of === type && field?.name === list) elements.push(own);
      cost += own;
    }
    return cost;
  };
  return { total: measure(type, reader.len), elements };
}

/** Passes over a field's value. @returns its cost where it is a message */
function bodyOf(
  reader: protobuf.Reader,
  wireType: number,
  field: protobuf.Field | undefined,
  end: number,
  measure: (type: protobuf.Type, end: number) => number,
): number | undefined {
  if (wireType !== 2) {
    if (wireType === 3 || wireType === 4) throw new Error("a group, which no message has");
    reader.skipType(wireType);
    return undefined;
  }
  const length = reader.uint32();
  const until = reader.pos + length;
  if (until > end) throw new Error("a field is longer than its message");
  const type = field?.resolve().resolvedType;
  if (type instanceof protobuf.Type) return measure(type, until);
  if (field !== undefined && length > MAX_TEXT_BYTES) {
    throw new Error(`${field.name} has ${length} bytes: at most ${MAX_TEXT_BYTES} are a name or an address`);
  }
  reader.pos = until;
  return undefined;
}
