import { expect, test } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import { prefixRuleCommands, settingsCommand } from "../../../agent/source/commands.ts";

function hex(payload: Uint8Array): string {
  return Buffer.from(payload).toString("hex");
}

test("COMMAND_SETTINGS has the bytes that contract.h gives it", () => {
  const { kind, payload } = settingsCommand({
    idleNs: 60_000_000_000n,
    edgesShare: 137,
    records: true,
    recordsAtOnce: true,
    recording: {
      activeTimeoutNs: 10_000_000_000n,
      traceKey: [0x0706050403020100n, 0x0f0e0d0c0b0a0908n],
      threshold: 0xc0_0000_0000_0000n,
      every: 23,
      adaptive: { rttUs: 100_000, retransmits: 3 },
      rate: { perSecond: 100, burst: 1000 },
    },
  });

  expect({ kind, bytes: hex(payload) }).toEqual({
    kind: FrameKind.COMMAND_SETTINGS,
    bytes: [
      "005847f80d000000", // idle_ns
      "00e40b5402000000", // active_timeout_ns
      "000102030405060708090a0b0c0d0e0f", // trace_key
      "000000000000c000", // sample_threshold
      "01000000", // records
      "17000000", // sample_every
      "01000000", // adaptive
      "a0860100", // adaptive_rtt_us
      "03000000", // adaptive_retransmits
      "64000000", // records_per_s
      "e8030000", // records_burst
      "01000000", // records_at_once
      "89000000", // edges_share
      "00000000", // zero
    ].join(""),
  });
});

test("settings that say nothing of records keep each of them, without a limit", () => {
  expect(hex(settingsCommand({ idleNs: 0n, records: true }).payload)).toBe(
    [
      "00".repeat(32), // idle_ns, active_timeout_ns, trace_key
      "0000000000000001", // sample_threshold = SAMPLE_NEVER
      "01000000", // records
      "00000000", // sample_every
      "00000000", // adaptive
      "00000000", // adaptive_rtt_us
      "ffffffff", // adaptive_retransmits
      "00".repeat(12), // records_per_s, records_burst, records_at_once
      "64000000", // edges_share
      "00000000", // zero
    ].join(""),
  );
});

test("COMMAND_PREFIX_RULE has the bytes that contract.h gives it, and only the first says so", () => {
  const commands = prefixRuleCommands([
    { address: "10.0.0.0", prefixLength: 8, collapse: true },
    { address: "2001:db8::", prefixLength: 32, collapse: false },
  ]);

  expect(commands.map(({ kind, payload }) => ({ kind, bytes: hex(payload) }))).toEqual([
    {
      kind: FrameKind.COMMAND_PREFIX_RULE,
      bytes: [
        "00000000000000000000ffff0a000000", // addr
        "68000000", // prefix_length = 96 + 8
        "03000000", // PREFIX_RULE_FIRST | PREFIX_RULE_COLLAPSE
      ].join(""),
    },
    {
      kind: FrameKind.COMMAND_PREFIX_RULE,
      bytes: ["20010db8000000000000000000000000", "20000000", "00000000"].join(""),
    },
  ]);
});

test("no scopes are one that keeps every address", () => {
  expect(prefixRuleCommands([]).map(({ payload }) => hex(payload))).toEqual([
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
  expect(() => prefixRuleCommands([{ address, prefixLength, collapse: false }])).toThrow(RangeError);
});
