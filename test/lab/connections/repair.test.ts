/**
 * TCP_REPAIR, as a checkpoint and a restore use it: the connection's bytes are each end's once, it is opened once and
 * closed once, and nobody resets it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { ConnectionFlag } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import { needs } from "../../machine/needs.ts";
import { NEEDS, pair, spanOfRecord, useCallLab } from "../agents/call-lab.ts";
import { eventually, LabProcess } from "../programs/process.ts";
import { program } from "../programs/run.ts";

const BEFORE = 997;
const AFTER = 1009;

const test = needs(...NEEDS);
const calls = useCallLab();

const TALK = (bytes: number) => [`send 1 ${bytes}`, `recv 2 ${bytes}`, `send 2 ${bytes}`, `recv 1 ${bytes}`];
const END = ["shutdown 1 1", "recv 2 0", "close 2", "recv 1 0", "close 1"];

for (const [socket, role] of [
  [1, "client"],
  [2, "server"],
] as const) {
  test(`the ${role}'s end is taken off its socket and made anew: one connection, all its bytes, no reset`, async () => {
    const port = 7800 + socket;

    const told = await calls().play(pair(port), TALK(BEFORE), `save ${socket}`, `restore ${socket}`, TALK(AFTER), END);
    const records = await calls().records(port, 3);

    expect(told.failures).toEqual({});
    expect(told.tcp).toMatchObject({ ActiveOpens: 1, PassiveOpens: 1, OutRsts: 0 });
    expect(books(port)).toEqual({ client: whole(), server: whole() });
    const parts = records.filter(({ key }) => key.role === role).toSorted((a, b) => Number(a.endNs - b.endNs));
    expect(parts.map((record) => [flagsOf(record), record.bytesSent, record.bytesReceived])).toEqual([
      ["checkpointed", BEFORE, BEFORE],
      ["restored", AFTER, AFTER],
    ]);
    const spans = records.map(spanOfRecord);
    expect(spans.filter(({ error }) => error)).toEqual([]);
    const [checkpointed] = parts.map(spanOfRecord);
    expect(checkpointed?.events.map(({ name }) => name)).toEqual(["flowspan.tcp.established"]);
    expect(calls().tally.losses).toEqual({});
  });
}

test("a connection that is restored before it sent a byte is in a trace of its own each time", async () => {
  const port = 7806;
  const again = ["save 1", "restore 1", "save 1", "restore 1"];
  const told = await calls().play(pair(port), again, TALK(AFTER), END);
  const records = await calls().records(port, 4);

  expect(told.failures).toEqual({});
  const traces = Map.groupBy(records, ({ traceId }) => traceId);
  const sharing = [...traces.values()].map((list) =>
    list.map((record) => `${record.key.role} ${flagsOf(record)}`.trim()).sort(),
  );
  expect(sharing.toSorted()).toEqual([
    ["client checkpointed restored"],
    ["client checkpointed", "server"],
    ["client restored"],
  ]);
});

test("bytes that the old socket sent and the new one has to send again are sent once", async () => {
  const port = 7803;
  const told = await calls().play(
    [...pair(port), "rcvbuf 2 4096", ...TALK(BEFORE), "send 1 211", "drained 1", "save 1"],
    ["restore 1 101", "recv 2 211", "send 1 103", "recv 2 103", ...END],
  );
  await calls().records(port, 3);

  expect(told.failures).toEqual({});
  expect(calls().counters(port, "client").bytesSent).toBe(BEFORE + 211 + 103);
  expect(calls().counters(port, "server").bytesReceived).toBe(BEFORE + 211 + 103);
});

test("a connection that is read in repair mode and goes on is one connection, and its span says nothing of it", async () => {
  const port = 7804;
  const told = await calls().play(pair(port), TALK(BEFORE), "repair 1 1", "repair 1 0", TALK(AFTER), END);
  const records = await calls().records(port, 2);

  expect(told.failures).toEqual({});
  expect(records.map(flagsOf)).toEqual(["", ""]);
  expect(books(port)).toEqual({ client: whole(), server: whole() });
});

test("a restored connection that is reset is reset, as both ends say", async () => {
  const port = 7805;
  const told = await calls().play(pair(port), TALK(BEFORE), "save 1", "restore 1", ["linger 1 0", "close 1"]);
  const outcomes = await calls().outcomes(port, 3);

  expect(told.tcp.OutRsts).toBe(1);
  expect(outcomes).toEqual(["client reset by local", "client unset", "server reset by remote"]);
});

test("a server's end is restored as a server's also where its listener is in a cgroup that is not counted", async () => {
  const port = 7807;
  const { lab, pod, tally } = calls();
  const process = new LabProcess({ ...pod.place, cgroup: lab.outsideCgroup }, [program("calls")]);
  for (const line of pair(port)) process.command(line);
  await eventually("both ends", async () => (await established(port)) === 2);
  // Only a socket that is made from now on is the pod's.
  writeFileSync(join(pod.place.cgroup, "cgroup.procs"), String(process.pid));
  for (const line of ["save 2", "restore 2", ...TALK(AFTER), ...END, "close 0"]) process.command(line);
  const [record, ...others] = await calls().records(port, 1);
  await process.stop();

  expect(others).toEqual([]);
  expect(record && [record.key.role, flagsOf(record), record.bytesSent, record.bytesReceived]).toEqual([
    "server",
    "restored",
    AFTER,
    AFTER,
  ]);
  expect(tally.losses).toEqual({});
});

test("a client that is restored on a port on which others listen at another address stays a client", async () => {
  const port = 7808;
  const clientPort = 7809;
  const server = await calls().pod.serve({ listen: [{ port: clientPort, address: "127.0.0.9" }] });
  const told = await calls().play(
    [`listen 0 ${port}`, `bind 1 ${clientPort}`, `connect 1 ${port}`, "accept 2 0"],
    [...TALK(BEFORE), "save 1", "restore 1", ...TALK(AFTER), ...END],
  );
  const records = await calls().records(port, 3);
  await server.close();

  expect(told.failures).toEqual({});
  expect(records.map((record) => `${record.key.role} ${flagsOf(record)}`.trim()).toSorted()).toEqual([
    "client checkpointed",
    "client restored",
    "server",
  ]);
  expect(books(port)).toEqual({ client: whole(), server: whole() });
});

async function established(port: number): Promise<number> {
  const { stdout } = await calls().pod.exec([
    "ss",
    "-Htn",
    "state",
    "established",
    `( sport = :${port} or dport = :${port} )`,
  ]);
  return stdout.split("\n").filter(Boolean).length;
}

function books(port: number) {
  const of = (role: "client" | "server") => {
    const { opened, closed, bytesSent, bytesReceived, resetSent, resetReceived } = calls().counters(port, role);
    return { opened, closed, bytesSent, bytesReceived, resets: resetSent + resetReceived };
  };
  return { client: of("client"), server: of("server") };
}

function whole() {
  return { opened: 1, closed: 1, bytesSent: BEFORE + AFTER, bytesReceived: BEFORE + AFTER, resets: 0 };
}

function flagsOf({ flags }: Connection): string {
  const { CONNECTION_CHECKPOINTED, CONNECTION_RESTORED } = ConnectionFlag;
  const has = (bit: number) => (flags & (1 << bit)) !== 0;
  return [has(CONNECTION_CHECKPOINTED) && "checkpointed", has(CONNECTION_RESTORED) && "restored"]
    .filter(Boolean)
    .join(" ");
}
