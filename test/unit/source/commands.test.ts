import { expect, test } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import { scopeCommands, settingsCommand } from "../../../agent/source/commands.ts";

function hex(payload: Uint8Array): string {
  return Buffer.from(payload).toString("hex");
}

test("COMMAND_SETTINGS has the bytes that flowspan.h gives it", () => {
  const { kind, payload } = settingsCommand({ idleNs: 60_000_000_000n, records: true });

  expect({ kind, bytes: hex(payload) }).toEqual({
    kind: FrameKind.COMMAND_SETTINGS,
    bytes: [
      "005847f80d000000", // idle_ns
      "01000000", // records
      "00000000", // zero
    ].join(""),
  });
});

test("COMMAND_SCOPE has the bytes that flowspan.h gives it, and only the first says so", () => {
  const commands = scopeCommands([
    { address: "10.0.0.0", prefixLength: 8, collapse: true },
    { address: "2001:db8::", prefixLength: 32, collapse: false },
  ]);

  expect(commands.map(({ kind, payload }) => ({ kind, bytes: hex(payload) }))).toEqual([
    {
      kind: FrameKind.COMMAND_SCOPE,
      bytes: [
        "00000000000000000000ffff0a000000", // addr
        "68000000", // prefix_length = 96 + 8
        "03000000", // SCOPE_FIRST | SCOPE_COLLAPSE
      ].join(""),
    },
    { kind: FrameKind.COMMAND_SCOPE, bytes: ["20010db8000000000000000000000000", "20000000", "00000000"].join("") },
  ]);
});

test("no scopes are one that keeps every address", () => {
  expect(scopeCommands([]).map(({ payload }) => hex(payload))).toEqual([
    ["00000000000000000000000000000000", "80000000", "01000000"].join(""),
  ]);
});

test.each([
  ["example.com", 8],
  ["10.0.0.0", 33],
  ["::", 129],
  ["::", -1],
  ["::", 1.5],
])("%s/%d is refused", (address, prefixLength) => {
  expect(() => scopeCommands([{ address, prefixLength, collapse: false }])).toThrow(RangeError);
});
