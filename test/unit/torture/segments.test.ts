/** How many segments each end's socket counts, by the wire and the calls; expectations by the kernel's rules, not by the code's. */
import { expect, test } from "vitest";
import { truthOf } from "../../torture/oracle.ts";
import { PLAIN_CONNECTION } from "../../torture/plain.ts";
import { PLAIN_BOOKS, PLAIN_CALLS, PLAIN_WIRE, traceOf } from "./traces.ts";

const MANY = Number.POSITIVE_INFINITY;

function segments(text: string, program: readonly string[] = PLAIN_CONNECTION) {
  const { ends } = truthOf(program, traceOf(text));
  return Object.fromEntries(ends.map(({ role, segments }) => [role, segments]));
}

/** The plain trace with lines replaced. */
function plain(...changes: readonly (readonly [line: string, by: string])[]): string {
  return changes.reduce(
    (text, [line, by]) => {
      expect(text).toContain(line);
      return text.replace(line, by);
    },
    PLAIN_CALLS + PLAIN_WIRE + PLAIN_BOOKS,
  );
}

test("the answer to the last FIN is TIME_WAIT's where the socket was closed, and the server's SYN-ACK is its request's", () => {
  // Client: SYN, ACK, data, ACK, FIN. Its last ACK comes after its socket. Server: ACK, data, FIN and ACK of the FIN.
  expect(segments(plain())).toEqual({ client: { out: [5, 5], in: [4, 4] }, server: { out: [4, 4], in: [6, 6] } });
});

test("the answer to the last FIN is the socket's where it was only shut down", () => {
  const calls = plain(
    ["call 10 a close 1 8000 8100 0 0 state=1 unread=0", "call 10 a shut 1 8000 8100 0 0"],
    [
      "call 13 b close 0 11000 11010 0 0",
      "call 13 b close 0 11000 11010 0 0\ncall 13 a close 1 12000 12100 0 0 state=7 unread=0",
    ],
  );

  expect(segments(calls).client).toEqual({ out: [6, 6], in: [5, 5] });
});

test("a packet that the device would cut counts as its segments at both ends", () => {
  const { client, server } = segments(plain(["> 4005 A 101 501 1009", "> 4005 A 101 501 1009 3"]));

  expect([client?.out, server?.in]).toEqual([
    [7, 7],
    [8, 8],
  ]);
});

test("a SYN that comes again counts at the client, and once at the server", () => {
  const { client, server } = segments(plain(["> 2020 S 100 0", "> 2020 S 100 0\n> 2025 S 100 0"]));

  expect([client?.out, server?.in]).toEqual([
    [6, 6],
    [6, 6],
  ]);
});

test("the RST of a close comes after the count; one of `ss -K` may be in it", () => {
  const rest = "\n< 8030 A 524 1111\n  < 10020 FA 524 1111\n  > 10030 A 1111 525";
  const aborted = plain(["> 8020 FA 1110 524", "> 8050 RA 1110 524"]).replace(rest.trim(), "");
  const killed = aborted.replace("call 9 a recv 1", "call 9 a kill 1");

  expect(segments(aborted).client?.out).toEqual([4, 4]);
  expect(segments(killed).client?.out).toEqual([4, 5]);
});

test("what comes while sockets are destroyed finds its own destroyed, or not", () => {
  const reset = plain(
    ["> 8020 FA 1110 524", "> 8020 RA 1110 524"],
    ["< 8030 A 524 1111", ""],
    ["< 10020 FA 524 1111", ""],
  );
  const open = reset.replace("> 10030 A 1111 525", "").replace(/call 1[0-2].*/g, "");

  expect(segments(open).server?.in).toEqual([5, 5]);
  expect(segments(`${open}\n  destroyed 8000`).server?.in).toEqual([4, 5]);
});

test("what an OUTPUT rule takes was counted as sent, and what an INPUT rule takes is on the wire alone", () => {
  const rule = (chain: string, side: string) => [
    ...PLAIN_CONNECTION,
    `. rule 4 -A ${chain} -p tcp ${side} 8000 -j DROP`,
  ];

  expect(segments(plain(), rule("OUTPUT", "--dport")).client?.out).toEqual([5, MANY]);
  expect(segments(plain(), rule("OUTPUT", "--dport")).server?.out[1]).toBe(4);
  expect(segments(plain(), rule("INPUT", "--dport")).server?.in).toEqual([1, 6]);
  expect(segments(plain(), rule("INPUT", "--dport")).client?.out[0]).toBe(5);
});

test("answers that a request dropped are not its child's", () => {
  const dropped = plain(["TcpExt.ListenDrops=0", "TcpExt.ListenDrops=1"]);

  expect(segments(dropped).server?.in).toEqual([1, 6]);
  expect(segments(dropped).client?.in).toEqual([4, 4]);
});

test("where requests dropped answers, an ACK of nothing but the SYN may be the request's", () => {
  const probed = ["> 4005 A 101", "> 3500 A 100 501\n< 3510 A 501 101\n> 4005 A 101"] as const;
  const dropped = ["TcpExt.ListenDrops=0", "TcpExt.ListenDrops=1"] as const;

  expect(segments(plain(probed)).server?.out).toEqual([5, 5]);
  expect(segments(plain(probed, dropped)).server?.out).toEqual([4, 5]);
});

test("a segment as close to a close as the clocks are is the socket's or nobody's", () => {
  const { client } = segments(
    plain(["< 10020 FA 524 1111", "< 8150 FA 524 1111"], ["> 10030 A 1111 525", "> 8160 A 1111 525"]),
  );

  expect(client).toEqual({ out: [5, 6], in: [4, 5] });
});
