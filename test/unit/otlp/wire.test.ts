/** Our wire format against protobufjs' reader. */
import fc from "fast-check";
import protobuf from "protobufjs";
import { expect, test } from "vitest";
import { varintSize, WireWriter } from "../../../agent/otlp/wire.ts";

const uint53 = fc.oneof(
  fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(0, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1),
);

test("a varint reads back, from as many bytes as varintSize says", () => {
  fc.assert(
    fc.property(uint53, (value) => {
      const writer = new WireWriter();
      writer.varint(value);
      const bytes = writer.take();

      expect({ value: Number(protobuf.Reader.create(bytes).uint64()), size: bytes.length }).toEqual({
        value,
        size: varintSize(value),
      });
    }),
  );
});

test("an int64 reads back, negative ones too", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const writer = new WireWriter();
      writer.int64(value);

      expect(protobuf.Reader.create(writer.take()).int64().toString()).toBe(value.toString());
    }),
  );
});

test("a fixed integer reads back, negative ones too", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const writer = new WireWriter();
      writer.integer64(value);

      expect(Number(protobuf.Reader.create(writer.take()).sfixed64())).toBe(value);
    }),
  );
});

test("a zigzag integer reads back", () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      const writer = new WireWriter();
      writer.zigzag(value);

      expect(protobuf.Reader.create(writer.take()).sint32()).toBe(value);
    }),
  );
});

test.each([0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])(
  "a field of %i bytes has its length in front",
  (length) => {
    const content = new Uint8Array(length).fill(23);
    const writer = new WireWriter(16);
    writer.reserve(length + 8);
    const start = writer.open();
    writer.raw(content);
    writer.close(start);

    const bytes = writer.take();

    expect(bytes.length).toBe(length + varintSize(length));
    expect(Buffer.compare(protobuf.Reader.create(bytes).bytes(), content)).toBe(0);
  },
);

test("writing more than was reserved is an error, not a cut request", () => {
  const writer = new WireWriter(4);
  for (let i = 0; i < 5; i++) writer.byte(i);

  expect(() => writer.take()).toThrow(RangeError);
});
