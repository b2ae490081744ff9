/** Texts of addresses and prefixes over them. */
import { isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseAddress } from "../../../agent/shared/address.ts";
import { canonicalAddress, canonicalAddresses, inPrefix, parsePrefix } from "../../../agent/shared/prefix.ts";

test.each([
  ["10.0.0.23", "10.0.0.23"],
  ["::ffff:10.0.0.23", "10.0.0.23"],
  ["::FFFF:0a00:0017", "10.0.0.23"],
  ["2001:DB8:0:0:0:0:0:23", "2001:db8::23"],
  ["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
  ["::", "::"],
  ["::1", "::1"],
  ["fe80::", "fe80::"],
  ["10.0.0", undefined],
  ["cart.shop", undefined],
  ["", undefined],
])("the one text of %s is %s", (text, canonical) => {
  expect(canonicalAddress(text)).toBe(canonical);
});

test("each address is kept once and what is no address is left out", () => {
  expect(canonicalAddresses(["10.0.0.1", "None", "", undefined, 7, "::ffff:10.0.0.1", "fd00:0::1"])).toEqual([
    "10.0.0.1",
    "fd00::1",
  ]);
});

test("the one text of an address is its own", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const canonical = canonicalAddress(text) ?? "";
      expect(isIP(canonical)).not.toBe(0);
      expect(canonicalAddress(canonical)).toBe(canonical);
    }),
  );
});

describe("prefixes", () => {
  test.each([
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["10.7.9.1/20", "10.7.15.255", true],
    ["10.7.9.1/20", "10.7.16.0", false],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["::/0", "2001:db8::1", true],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["192.0.2.7", "192.0.2.7", true],
    ["192.0.2.7", "192.0.2.8", false],
  ])("%s and %s: %s", (cidr, address, inside) => {
    const prefix = parsePrefix(cidr);
    const bytes = parseAddress(address);
    expect(prefix && bytes && inPrefix(bytes, prefix)).toBe(inside);
  });

  test.each(["10.0.0.0/33", "2001:db8::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "shop/8", ""])(
    "%j is none",
    (cidr) => {
      expect(parsePrefix(cidr)).toBeUndefined();
    },
  );
});
