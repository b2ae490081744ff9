import fc from "fast-check";
import { expect, test } from "vitest";
import { formatAddress, parseAddress } from "../../../agent/shared/address.ts";

function formatted(bytes: Uint8Array): string {
  return formatAddress(Buffer.from(bytes).toString("latin1"));
}

test.each([
  // written, canonical by RFC 5952 section 4
  ["10.0.0.1", "10.0.0.1"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["::ffff:a00:1", "10.0.0.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["::", "::"],
  ["::1", "::1"],
  ["1::", "1::"],
  ["2001:0DB8::0001", "2001:db8::1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["fe80::1.2.3.4", "fe80::102:304"],
])("%s has the canonical text %s", (written, canonical) => {
  expect(formatted(parseAddress(written) as Uint8Array)).toBe(canonical);
});

test.each(["", "10.0.0", "10.0.0.256", "1::2::3", "fe80::1%eth0", "example.com", "10.0.0.1/8"])(
  "%j is no address",
  (text) => {
    expect(parseAddress(text)).toBeUndefined();
  },
);

test("any 16 bytes come back from their text", () => {
  const mostlyZero = fc.array(fc.oneof(fc.constant(0), fc.nat(255)), { minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(mostlyZero, (bytes) => {
      expect([...(parseAddress(formatted(Uint8Array.from(bytes))) ?? [])]).toEqual(bytes);
    }),
  );
});
