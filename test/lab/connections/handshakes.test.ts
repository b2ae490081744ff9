/**
 * A server's handshake takes from its SYN-ACK to the bare answer; where something else ends it, it has no time. A client
 * waits for a while after connect(), so that a time of that would show.
 *
 *   both ends on one loopback; rules take the client's first bare acknowledgement, and its first data
 */
import { expect } from "vitest";
import { needs } from "../../machine/needs.ts";
import { NEEDS, useCallLab } from "../agents/call-lab.ts";

const WAIT_MS = 307;
const BYTES = 101;
/** Of IP, TCP and its timestamps. */
const HEADERS = 52;

const ONCE = "-m limit --limit 1/day --limit-burst 1";
const BARE = `--tcp-flags FIN,SYN,RST NONE -m length --length ${HEADERS} ${ONCE}`;
const DATA = `-m length --length ${BYTES + HEADERS} ${ONCE}`;

const test = needs(...NEEDS, "iptables");
const calls = useCallLab();

interface Way {
  readonly name: string;
  readonly before?: readonly string[];
  readonly lost: readonly string[];
  readonly lines: readonly string[];
  readonly bytes: number;
  readonly isTimed: boolean;
}

const WAYS: readonly Way[] = [
  { name: "the bare answer", lost: [], lines: ["close 1"], bytes: 0, isTimed: true },
  {
    name: "a FIN where TCP_DEFER_ACCEPT held the answer back",
    before: ["defer 0 5"],
    lost: [],
    lines: ["close 1"],
    bytes: 0,
    isTimed: false,
  },
  { name: "a FIN where the answer was lost", lost: [BARE], lines: ["close 1"], bytes: 0, isTimed: false },
  {
    name: "data where the answer was lost",
    lost: [BARE],
    lines: [`send 1 ${BYTES}`, "close 1"],
    bytes: BYTES,
    isTimed: false,
  },
  {
    name: "a FIN that overtook data where the answer was lost",
    lost: [BARE, DATA],
    lines: [`send 1 ${BYTES}`, "close 1"],
    bytes: BYTES,
    isTimed: false,
  },
];

for (const [i, { name, before = [], lost, lines, bytes, isTimed }] of WAYS.entries())
  test(`${name} ends it: ${isTimed ? "its time counts" : "no time"}`, async () => {
    const port = 7701 + i;
    const remove: (() => Promise<unknown>)[] = [];
    for (const rule of lost)
      remove.push(await calls().rule(`-t filter INPUT -i lo -p tcp --dport ${port} ${rule} -j DROP`));

    const told = await calls().play(
      [...before, `listen 0 ${port}`, `connect 1 ${port}`, `pause 0 ${WAIT_MS}`, ...lines],
      ["accept 2 0", "recv 2 0", "close 2"],
    );
    const records = await calls().records(port, 2);
    for (const each of remove) await each();

    expect(told.failures).toEqual({});
    const server = records.filter(({ key }) => key.role === "server");
    expect(server.map(({ bytesReceived, handshakeUs }) => [bytesReceived, handshakeUs > 0])).toEqual([
      [bytes, isTimed],
    ]);
    const { opened, handshakeUs } = calls().counters(port, "server");
    expect([opened, handshakeUs]).toEqual([1, server[0]?.handshakeUs]);
    expect(handshakeUs).toBeLessThan(WAIT_MS * 1000);
    expect(calls().counters(port, "client")).toMatchObject({ opened: 1, bytesSent: bytes });
    expect(calls().tally.losses).toEqual({});
  });
