/**
 * What records lose in the kernel, made to happen: exactly its counter moves, and metrics lose nothing.
 *
 *   both ends on one loopback of a pod
 */
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../../agent/generated/layout.ts";
import { needs } from "../../machine/needs.ts";
import { keepsInSockets } from "../../machine/socket-storage.ts";
import { CallLab, EVERYTHING, NEEDS, pair } from "../agents/call-lab.ts";
import { Tally } from "../agents/tally.ts";
import { eventually } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import { describe } from "../world/describe.ts";
import { startLab } from "../world/lab.ts";

/** Room for the storage of a connection, but not for that of its events; a namespace's own setting from Linux 6.8 on. */
const OPTMEM = 500;
/** Where events lie by their sockets' addresses, so many sockets' have room. */
const TROUBLES = 262_144;

const test = needs(...NEEDS);
const undo: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

test("events without memory or room are event_failed_detail, and the metrics have what they tell", async () => {
  const port = 7601;
  const calls = await start();
  await calls.tally.record(EVERYTHING);
  if (keepsInSockets()) await calls.sysctl(`net.core.optmem_max=${OPTMEM}`);
  else expect(Number(await run([program("fill-map"), troublesOf(calls)]))).toBe(TROUBLES);

  await calls.play(pair(port), "linger 1 0", "close 1", "state 2 7");
  const records = await calls.records(port, 2);

  expect(records.map(({ key, events }) => [key.role, events]).toSorted()).toEqual([
    ["client", []],
    ["server", []],
  ]);
  expect(await calls.outcomes(port, 2)).toEqual(["client reset by local", "server reset by remote"]);
  expect(calls.counters(port, "client")).toMatchObject({ opened: 1, closed: 1, resetSent: 1 });
  expect(calls.counters(port, "server")).toMatchObject({ opened: 1, closed: 1, resetReceived: 1 });
  expect(calls.tally.losses).toEqual({ event_failed_detail: 2 });
});

test("a server's connection from before spans were on has no process: process_unknown_detail", async () => {
  const port = 7602;
  const calls = await start();

  const playing = calls.play(pair(port), "state 1 7", "state 2 7");
  await calls.tally.until(
    () => "an open connection",
    () => calls.counters(port, "server").opened === 1 && calls.counters(port, "client").opened === 1,
  );
  await calls.tally.record(EVERYTHING);
  await eventually("an ended socket", async () => {
    const { stdout } = await calls.pod.exec(["ss", "-HK", "dport", "=", String(port)]);
    return stdout.includes(`:${port}`);
  });
  await playing;
  const records = await calls.records(port, 2);

  expect(records.map(({ key, pid }) => [key.role, pid > 0]).toSorted()).toEqual([
    ["client", true],
    ["server", false],
  ]);
  expect(calls.tally.losses).toEqual({ process_unknown_detail: 1 });
});

function troublesOf({ tally: { probe } }: CallLab): string {
  return join(probe.pins, `v${FLOWSPAN_PROTOCOL}`, "troubles_by_address");
}

async function start(): Promise<CallLab> {
  const lab = await startLab(describe({ nodes: 1, pods: [{ key: "both" }] }));
  undo.push(() => lab.close());
  const tally = await Tally.start(lab, "node-1");
  undo.push(() => tally.close());
  return new CallLab(lab, tally);
}
