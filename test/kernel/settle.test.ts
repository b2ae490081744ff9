/**
 * Settling in the kernel: what was accepted is subtracted once, however often it is said, and what grew
 * meanwhile stays.
 *
 *   one pod: container `client` ── lo ── container `server`, this process in the agent's place
 */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect } from "vitest";
import { EDGE_COUNTERS } from "../../agent/generated/layout.ts";
import type { EdgeGrowth } from "../../agent/model/edge.ts";
import { settleCommands } from "../../agent/source/commands.ts";
import { decodeEdgeKey } from "../../agent/source/edge-key.ts";
import { packFrames } from "../../agent/source/frames.ts";
import { Tally } from "../lab/agents/tally.ts";
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
    { rows: rows.length, unknown: 0 },
    { rows: 0, unknown: rows.length },
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

/**
 * An exchange that found no connection open, in which `count` or more have opened: all closes are in it. An orphan on its
 * way to its close has no file, and a walk over files does not see it (ARCHITECTURE.md, "Two walks").
 */
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
