/** Who held a connection up, by which of its numbers, from each end; and which numbers say nothing. */
import { expect, test } from "vitest";
import { judgeConnection } from "../../../agent/spans/judge-connection.ts";
import { connectionOf } from "./builders.ts";

type Given = Parameters<typeof connectionOf>[0];

const told = (connection: Given, errorType?: string, resetBy?: string) => {
  const verdict = judgeConnection(connectionOf(connection), errorType, resetBy);
  return verdict === undefined ? "-" : `${verdict.who}, ${verdict.reason}, ${Number(verdict.value.toFixed(3))}`;
};
const atServer = { key: { role: "server" as const } };

test.each<[string, Given, string, string]>([
  // Of a second in all.
  ["the peer's window", { rwndLimitedUs: 600_000 }, "server_application", "client_application"],
  ["the own send buffer", { sndbufLimitedUs: 600_000 }, "client_application", "server_application"],
])("an end that waits for %s names an application, whichever end it is", (what, connection, ofClient, ofServer) => {
  const reason = what.includes("window") ? "receive_window" : "send_buffer";

  expect(told(connection)).toBe(`${ofClient}, ${reason}, 0.6`);
  expect(told({ ...connection, ...atServer })).toBe(`${ofServer}, ${reason}, 0.6`);
});

test.each<[string, string, Given, string]>([
  ["a refused connect", "refused", {}, "server_application, refused, 1"],
  ["no local port", "no_local_port", {}, "client_node, no_local_port, 1"],
  ["a SYN that this machine refused", "not_sent", {}, "client_node, not_sent, 1"],
  ["no way to the host", "host_unreachable", {}, "path, unreachable, 1"],
  ["no way to the network", "net_unreachable", {}, "path, unreachable, 1"],
  ["SYNs without an answer", "timed_out", { retransmits: 6, retransmitsSyn: 6 }, "unknown, no_answer, 6"],
  ["an attempt given up while a SYN was sent again", "cancelled", { retransmitsSyn: 1 }, "unknown, no_answer, 1"],
  ["an attempt given up before that", "cancelled", {}, "-"],
])("%s", (_, errorType, connection, expected) => {
  expect(told(connection, errorType)).toBe(expected);
});

test("a reset is its sender's, and of one that came nobody knows whose it is", () => {
  expect(told({}, "reset", "local")).toBe("client_application, reset, 1");
  expect(told(atServer, "reset", "local")).toBe("server_application, reset, 1");
  expect(told({}, "reset", "remote")).toBe("unknown, reset, 1");
});

test("a closed window before a reset that came is what held it up", () => {
  expect(told({ rwndLimitedUs: 900_000 }, "reset", "remote")).toBe("server_application, receive_window, 0.9");
});

test.each<[string, Given, string]>([
  ["a resend after the timer", { segsOut: 100, retransmits: 1, retransmitsTimeout: 1 }, "path, retransmits, 0.01"],
  ["a percent sent again", { segsOut: 300, retransmits: 3, retransmitsFast: 3 }, "path, retransmits, 0.01"],
  ["segments too large", { retransmits: 2, retransmitsNonCongestion: 2 }, "path, too_large, 2"],
  ["a handshake that came again", { retransmits: 1, retransmitsSyn: 1 }, "unknown, no_answer, 1"],
  ["a newest round trip of 80 times the shortest", { minRttUs: 2_000, lastRttUs: 160_000 }, "unknown, round_trip, 80"],
])("%s", (_, connection, expected) => {
  expect(told(connection)).toBe(expected);
});

test.each<[string, Given]>([
  ["a healthy connection", {}],
  ["a window that limits for a moment", { rwndLimitedUs: 90_000 }],
  ["a window that limits a small share of a long time", { rwndLimitedUs: 900_000, endNs: 200_000_000_000n }],
  ["a few of many segments", { segsOut: 100_000, retransmits: 5, retransmitsFast: 5 }],
  ["resends that the peer had already", { segsOut: 10, retransmits: 3, retransmitsTlp: 3, spurious: 3 }],
  ["an acknowledgement that was held back", { minRttUs: 50, lastRttUs: 40_000 }],
  ["a round trip that was never measured", { minRttUs: 0xffff_ffff, lastRttUs: 0 }],
  ["time in which nobody sent anything", { endNs: 10_000_000_000_000n }],
])("%s has no verdict", (_, connection) => {
  expect(told(connection)).toBe("-");
});
