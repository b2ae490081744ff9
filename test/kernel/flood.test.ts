/** A client of the probe's socket that does its worst, again and again: the log stays small and says how much is missing. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, expect } from "vitest";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);
/** "an agent is connected", what is wrong with its bytes, "the agent is gone", and one kind more. */
const KINDS = 4;
const BURST = 20;

let lab: Lab;
let tally: Tally;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both", containers: ["client", "server"] }] }));
  tally = await Tally.start(lab, "node-1");
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

test("1,000 connections with what is no command are 20 lines of each kind, and the number of the others", async () => {
  await tally.client.close();
  for (let i = 0; i < 1_000; i++) await sendNonsense(tally.probe.probeSocket);

  await eventually("the number", () => leftOut().length >= 2, 20_000);

  expect(lines().length).toBeLessThanOrEqual(KINDS * (BURST + 3));
  const counted = leftOut().map((line) => Number(/(\d+) lines like this were left out/.exec(line)?.[1]));
  expect(Math.max(...counted)).toBeGreaterThan(900);
  expect(tally.probe.probe.isRunning).toBe(true);
});

async function sendNonsense(path: string): Promise<void> {
  const socket = connect(path);
  socket.on("error", () => {}); // it may be closed before all is written
  socket.resume();
  socket.end(Buffer.alloc(64, 0xff));
  await once(socket, "close");
}

function lines(): readonly string[] {
  return tally.probe.probe.stderr;
}

function leftOut(): string[] {
  return lines().filter((line) => line.includes("were left out"));
}
