/**
 * Settling in the kernel: what was accepted is subtracted once, however often it is said, and what grew
 * meanwhile stays.
 *
 *   one pod: container `client` ── lo ── container `server`, this process in the agent's place
 */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, expect } from "vitest";
import { EDGE_COUNTERS, edgeKey, frameEdge, slotGrowth } from "../../agent/generated/layout.ts";
import type { EdgeGrowth } from "../../agent/model/edge.ts";
import { settleCommands } from "../../agent/source/commands.ts";
import { decodeEdgeKey } from "../../agent/source/edge-key.ts";
import { packFrames } from "../../agent/source/frames.ts";
import { Tally } from "../lab/agents/tally.ts";
import { enterArguments } from "../lab/programs/process.ts";
import { program } from "../lab/programs/run.ts";
import { clientArguments } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const PORT = 8080;
const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let tally: Tally;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both", containers: ["client", "server"] }] }));
  tally = await Tally.start(lab, "node-1");
  await lab.pod("both", "server").serve({ listen: [{ port: PORT }] });
});

afterAll(async () => {
  await tally?.close();
  await lab?.close();
});

test("rows that are settled twice are subtracted once, and the repetition is called unknown", async () => {
  await play(101);
  const { rows } = await exchanged(2 * 101);
  tally.client.settle(rows);
  const first = await tally.client.flush();
  await play(23);
  tally.client.settle(rows);

  const again = await tally.client.flush();

  expect([first, again]).toEqual([
    { rows: rows.length, unknown: 0, refused: 0 },
    { rows: 0, unknown: rows.length, refused: 0 },
  ]);
  const after = await exchanged(2 * 23);
  expect([opened(rows), opened(after.rows)]).toEqual([2 * 101, 2 * 23]);
  tally.client.settle(after.rows);
  await tally.client.flush();
});

test("rows of a reader that goes before it has flushed them come again, all of them", async () => {
  await play(37);
  const { rows } = await exchanged(2 * 37);
  await settleWithoutFlush(tally.probe.probeSocket, rows);
  await tally.replaceReader();

  // replaceReader() has taken and settled what came.
  expect(tally.sum().opened).toBe(2 * 37);
});

test("rows that nobody settles come again, with what grew since", async () => {
  await play(29);
  await exchanged(2 * 29);
  await play(31);

  const { rows } = await exchanged(2 * 60);

  expect(opened(rows)).toBe(2 * 60);
});

test("a settle with more than its edge has is refused whole and counted, whichever of its numbers is larger", async () => {
  await play(41);
  const { rows } = await exchanged(2 * 41);
  const client = rows.find((row) => decodeEdgeKey(row.id).role === "client") as EdgeGrowth;
  const larger = [
    ...EDGE_COUNTERS.map((_, index) => changed(client, COUNTERS_AT + 8 * index, 1)),
    ...Array.from({ length: client.slotCount }, (_, slot) => changed(client, SLOTS_AT + slotGrowth.size * slot, 1)),
    // One that wraps to less than there is.
    changed(client, COUNTERS_AT, 2 ** 31, 4),
  ];
  tally.client.settle(larger);

  const answer = await tally.client.flush();

  expect(answer).toEqual({ rows: 0, unknown: 0, refused: larger.length });
  const after = await exchanged(2 * 41);
  const now = after.rows.find(({ id }) => id === client.id) as EdgeGrowth;
  expect([now.counters, now.slots]).toEqual([client.counters, client.slots]);
  expect(after.status.losses.settle_refused).toBe(larger.length);
  tally.client.settle(after.rows);
  expect(await tally.client.flush()).toEqual({ rows: after.rows.length, unknown: 0, refused: 0 });
});

test("a row that was never sent, a row of an older exchange and a row that comes twice take nothing", async () => {
  await play(43);
  const old = await exchanged(2 * 43);
  const client = old.rows.find((row) => decodeEdgeKey(row.id).role === "client") as EdgeGrowth;
  tally.client.settle([client, client]);
  const twice = await tally.client.flush();
  await play(47);
  const stranger = changed(client, frameEdge.fields.key.offset + edgeKey.fields.serverPort.offset, 1, 2);
  const later = changed(client, frameEdge.fields.exchange.offset, 1000, 4);
  tally.client.settle([client, stranger, later]);

  const hostile = await tally.client.flush();

  expect([twice, hostile]).toEqual([
    { rows: 1, unknown: 1, refused: 0 },
    { rows: 0, unknown: 3, refused: 0 },
  ]);
  const after = await exchanged(2 * 47);
  expect(opened(after.rows.filter((row) => decodeEdgeKey(row.id).role === "client"))).toBe(47);
  tally.client.settle(after.rows);
  await tally.client.flush();
});

/** Enough rows to fill the probe's socket: a client's, a server's and a listener's edge for each port. */
const GROUPS = Array.from({ length: 10 }, (_, group) =>
  Array.from({ length: 100 }, (__, i) => ({ address: "127.0.0.1", port: 10_000 + 100 * group + i })),
);
const EDGES = GROUPS.flat().length;

/** One connection to each port, while this process stands still. */
function playStill(): void {
  for (const to of GROUPS) {
    const churn = clientArguments("churn", { to, count: to.length });
    const [file = "", ...rest] = enterArguments(lab.pod("both", "client").place, [program("workload"), ...churn]);
    execFileSync(file, rest);
  }
}

test("growth that comes while its exchange's rows are read leaves no start that is older than the next growth", async () => {
  for (const listen of GROUPS) await lab.pod("both", "server").serve({ listen });
  playStill();
  const late = tally.client.exchange();
  // The command is on its way; while this process stands still, the probe cannot send more than its socket holds.
  await setImmediate();
  playStill();
  const { rows } = await late;
  tally.client.settle(rows);
  await tally.client.flush();
  const both = new Set(rows.filter((row) => opened([row]) === 2).map(({ id }) => id));
  await tally.take();
  const { bootNs } = (await tally.take()).begin;

  playStill();
  const next = (await exchanged(2 * EDGES)).rows;

  expect(both.size).toBeGreaterThan(EDGES / 10);
  const older = next.filter(({ id, sinceNs }) => both.has(id) && sinceNs < bootNs);
  expect(older.map(({ sinceNs }) => bootNs - sinceNs)).toEqual([]);
  tally.client.settle(next);
  await tally.client.flush();
});

const COUNTERS_AT = frameEdge.fields.growth.offset;
const SLOTS_AT = frameEdge.size + slotGrowth.fields.count.offset;

/** The row with one of its numbers raised, as only a hostile agent sends it. */
function changed({ row }: EdgeGrowth, at: number, by: number, bytes = 4): { row: Uint8Array } {
  const copy = Buffer.from(row);
  copy.writeUIntLE(copy.readUIntLE(at, bytes) + by, at, bytes);
  return { row: copy };
}

/** As an agent that is killed between the rows and their flush. Resolves when the probe has read them and the end. */
async function settleWithoutFlush(path: string, rows: readonly EdgeGrowth[]): Promise<void> {
  const socket = connect(path);
  await once(socket, "connect");
  socket.end(packFrames([...settleCommands(rows)]));
  socket.resume();
  await once(socket, "close");
}

async function play(count: number): Promise<void> {
  const to = [{ address: "127.0.0.1", port: PORT }];
  expect(await lab.pod("both", "client").play("churn", { to, count })).toMatchObject({ opened: count, closed: count });
}

/** An exchange that found no connection open, in which `count` or more have opened: all closes are in it. */
async function exchanged(count: number) {
  for (const deadline = Date.now() + 10_000; ; ) {
    const exchange = await tally.client.exchange();
    const open = exchange.rows.filter((row) => row.open > 0 && decodeEdgeKey(row.id).role !== "listener");
    const isWhole = open.length === 0 && opened(exchange.rows) >= count;
    if (isWhole) return exchange;
    if (Date.now() > deadline)
      throw new Error(`${opened(exchange.rows)} of ${count} opened, ${open.length} edges are open`);
  }
}

function opened(rows: readonly EdgeGrowth[]): number {
  return rows.reduce((sum, { counters }) => sum + (counters[EDGE_COUNTERS.indexOf("opened")] ?? 0), 0);
}
