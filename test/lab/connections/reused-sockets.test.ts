/**
 * Sockets that are used again, after connect(AF_UNSPEC) or a refusal: each connection shows what is its own, at
 * both ends and in the metrics, and nothing of the one before.
 */
import { expect } from "vitest";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { needs } from "../../machine/needs.ts";
import { NEEDS, spanOfRecord, useCallLab } from "../agents/call-lab.ts";

/** How long the first connection's data waits for its reader. */
const WAIT_MS = 503;
/** What is busy for a moment may show up to three: one begun, one ended, one that a neighbour on the CPU took. */
const JIFFY_US = 10_000;
const UPLOAD = 200_003;

const test = needs(...NEEDS);
const calls = useCallLab();

/** A connection of socket 1 whose data waits, and then is read. */
function busy(port: number): string[] {
  return [
    `listen 0 ${port}`,
    "rcvbuf 0 4096",
    `connect 1 ${port}`,
    "accept 2 0",
    "send 1 60013",
    `pause 0 ${WAIT_MS}`,
    "recv 2 60013",
    "drained 1",
  ];
}

test("three connections of one socket: each has its own busy time, port, bytes and duration", async () => {
  const [port, closed] = [7601, 7602];
  const told = await calls().play(
    busy(port),
    ["unspec 1", "close 2", `connect 1 ${port}`, "accept 2 0", "send 1 101", "recv 2 101", "pause 0 211", "drained 1"],
    ["unspec 1", `connect 1 ${closed}`],
  );
  const [first, second] = clients(await calls().records(port, 4));
  const [third] = await calls().records(closed, 1);
  const ports = told.ports.map(([, each]) => each);

  expect(told.failures).toEqual({ "connect ECONNREFUSED": 1 });
  expect(first?.busyUs).toBeGreaterThanOrEqual(WAIT_MS * 1000 - JIFFY_US);
  expect(second?.busyUs).toBeLessThan(3 * JIFFY_US);
  expect([first?.localPort, second?.localPort]).toEqual(ports);
  expect([first?.bytesSent, second?.bytesSent, third?.bytesSent]).toEqual([60_013, 101, 0]);
  expect(durationMs(second)).toBeLessThan(WAIT_MS);
  expect(third).toMatchObject({ busyUs: 0, lastRttUs: 0, srttUs: 0, establishedNs: 0n, segsOut: 1 });
  expect(ports).not.toContain(third?.localPort);
  expect(third && spanOfRecord(third).attributes["flowspan.tcp.rtt.min"]).toBeUndefined();
  const { busyUs, bytesSent, opened, closed: ended } = calls().counters(port, "client");
  expect(Math.abs(busyUs - (first?.busyUs ?? 0))).toBeLessThan(2 * JIFFY_US);
  expect([bytesSent, opened, ended]).toEqual([60_114, 2, 2]);
  expect(calls().counters(closed, "client").busyUs).toBe(0);
  expect(calls().tally.losses).toEqual({});
});

test("a socket that is dissolved with data in its queue is not busy until it connects again", async () => {
  const [port, closed] = [7603, 7604];
  await calls().play(
    [`listen 0 ${port}`, "rcvbuf 0 4096", `connect 1 ${port}`, "accept 2 0", "send 1 60013", "unspec 1"],
    [`pause 0 ${WAIT_MS}`, "close 2", `connect 1 ${port}`, "accept 2 0", "send 1 101", "recv 2 101", "drained 1"],
    ["unspec 1", `connect 1 ${closed}`],
  );
  const [, second] = clients(await calls().records(port, 4));
  const [third] = await calls().records(closed, 1);

  expect(second).toMatchObject({ bytesSent: 101 });
  expect(second?.busyUs).toBeLessThan(WAIT_MS * 1000 - JIFFY_US);
  expect(third?.busyUs).toBe(0);
  expect(calls().counters(closed, "client").busyUs).toBe(0);
});

test("sockets that a used socket accepts have none of its busy time; where the kernel refuses it to listen, it is no listener", async () => {
  const [port, own, tried] = [7605, 7606, 7608];
  const first = await calls().play(
    [`listen 0 ${port}`, `bind 1 ${tried}`, `connect 1 ${port}`, "unspec 1", "relisten 1 8"],
    ["pause 0 300"],
  );
  if (Object.keys(first.failures).length > 0) {
    expect(first.failures).toEqual({ "relisten EINVAL": 1 });
    await calls().tally.take();
    const listeners = [...calls().tally.edges.values()].filter(({ key }) => key.serverPort === tried);
    expect(listeners.filter(({ limit, open }) => limit > 0 || open > 0)).toEqual([]);
    return;
  }
  const told = await calls().play(
    [`bind 1 ${own}`, ...busy(port), "unspec 1", "relisten 1 8"],
    [`connect 3 ${own}`, "accept 4 1", "send 3 103", "recv 4 103", "send 4 107", "recv 3 107", "drained 4"],
    ["close 3", "recv 4 0", "close 4"],
  );
  const records = await calls().records(own, 2);

  expect(told.failures).toEqual({});
  expect(records.map(({ key, bytesSent }) => [key.role, bytesSent]).toSorted()).toEqual([
    ["client", 103],
    ["server", 107],
  ]);
  expect(records.filter(({ busyUs }) => busyUs >= 3 * JIFFY_US)).toEqual([]);
  expect(calls().counters(own, "server").busyUs).toBeLessThan(3 * JIFFY_US);
});

test("a socket that was refused and then connects is one failure and one connection", async () => {
  const port = 7607;
  const told = await calls().play(
    [`connect 1 ${port}`, `listen 0 ${port}`, `connect 1 ${port}`, "accept 2 0", `send 1 ${UPLOAD}`],
    ["shutdown 1 1", `recv 2 ${UPLOAD}`, "recv 2 0", "close 2"],
  );
  const [failed, whole] = clients(await calls().records(port, 3));

  expect(told.failures).toEqual({ "connect ECONNREFUSED": 1 });
  expect([failed, whole].map((each) => each && spanOfRecord(each).attributes["error.type"])).toEqual([
    "refused",
    undefined,
  ]);
  expect(failed?.localPort).not.toBe(whole?.localPort);
  expect([failed?.bytesSent, whole?.bytesSent]).toEqual([0, UPLOAD]);
  const { opened, failedRefused, closed, bytesSent } = calls().counters(port, "client");
  expect([opened, failedRefused, closed, bytesSent]).toEqual([1, 1, 1, UPLOAD]);
});

/** The client's, in order of time. */
function clients(records: readonly Connection[]): Connection[] {
  return records.filter(({ key }) => key.role === "client").toSorted((a, b) => Number(a.startNs - b.startNs));
}

function durationMs(record: Connection | undefined): number {
  return record === undefined ? Number.NaN : Number(record.endNs - record.startNs) / 1e6;
}
