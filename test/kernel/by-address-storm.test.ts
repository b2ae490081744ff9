/**
 * Sockets that are known by their addresses (bpf/common/socket_storage.h) while thousands a second come and go at the same
 * addresses, under walks without a pause and probes that take over one after another.
 *
 *   clients on all cores ─► five ports of one pod ─► a probe that keeps sockets by address
 */
import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, expect } from "vitest";
import { SourceError } from "../../agent/source/source.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import type { Counts } from "../lab/programs/workload.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";
import { BY_ADDRESS, kept, NOTHING_KEPT } from "./kept-sockets.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

/** Each its own bytes and end: what was read at another socket's address would show. */
const PORTS = [
  { port: 7101, upload: 32, download: 0, closer: "reset" },
  { port: 7102, upload: 101, download: 0, closer: "client" },
  { port: 7103, upload: 32, download: 10_007, closer: "server" },
  { port: 7104, upload: 1_009, download: 503, closer: "reset" },
  { port: 7105, upload: 20_011, download: 40_009, closer: "client" },
] as const;
const COUNT = 4_001;
const TAKEOVERS = 3;
/** Of all ports together 2,500 connections a second at most. */
const PACE_MS = 2;
/** Each takeover loads all programs while the storm has the CPUs. */
const TAKEOVERS_MS = 180_000;

let lab: Lab;
let tally: Tally;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "both" }] }));
  tally = await Tally.start(lab, "node-1", [], BY_ADDRESS);
  await lab.pod("both").serve({ listen: PORTS.map(({ port }) => ({ port })) });
});

afterEach(async () => {
  await tally?.close();
  await lab?.close();
});

test("while walks follow each other without a pause, each port has its own connections and bytes", async () => {
  const storm = begin();
  let walks = 0;
  while (!storm.isOver) {
    await tally.take();
    walks++;
  }

  expect(walks).toBeGreaterThan(10);
  await isExact([storm]);
});

test(
  "while probes take over one after another, told to end or killed, each port has its own connections and bytes",
  async () => {
    const storms: Storm[] = [];
    for (let takeovers = 0; takeovers < TAKEOVERS; ) {
      const storm = begin(PACE_MS);
      storms.push(storm);
      while (!storm.isOver) await takeOver(takeovers++ % 2 === 1 ? "SIGKILL" : "SIGTERM");
    }

    await isExact(storms);
  },
  TAKEOVERS_MS,
);

interface Storm {
  isOver: boolean;
  readonly results: Promise<Counts[]>;
}

/** @param paceMs between the starts of two connections of a port: others have the CPUs, too */
function begin(paceMs = 0): Storm {
  const results = PORTS.map(({ port, ...what }) =>
    lab.pod("both").play("churn", {
      ...{ to: [{ address: "127.0.0.1", port }], count: COUNT, workers: 1, parallel: 3, paceMs },
      ...what,
    }),
  );
  const storm: Storm = { isOver: false, results: Promise.all(results) };
  const isOver = () => {
    storm.isOver = true;
  };
  storm.results.then(isOver, isOver);
  return storm;
}

/** What each port counted is what was done there, at both ends, and nothing is kept of it. */
async function isExact(storms: readonly Storm[]): Promise<void> {
  for (const { results } of storms)
    for (const result of await results) expect(result).toMatchObject({ opened: COUNT, failed: {} });
  await eventually("all are freed but the listeners", async () => {
    await tally.take();
    return isDeepStrictEqual(await kept(tally.probe), { ...NOTHING_KEPT, connections_by_address: PORTS.length });
  });
  const opened = COUNT * storms.length;
  for (const { port, upload, download, closer } of PORTS) {
    const resets = closer === "reset" ? opened : 0;
    const both = { opened, closed: opened, retransmitsOther: 0 };
    const [up, down] = [opened * upload, opened * download];
    const client = { ...both, bytesSent: up, bytesReceived: down, resetSent: resets, resetReceived: 0 };
    const server = { ...both, bytesSent: down, bytesReceived: up, resetSent: 0, resetReceived: resets };
    const of = (role: string) => tally.sum((key) => key.serverPort === port && key.role === role);
    expect({ port, client: of("client"), server: of("server") }).toMatchObject({ port, client, server });
  }
  expect(tally.losses).toEqual({});
}

/** The next probe comes while the one before is there, or was killed. */
async function takeOver(how: "SIGTERM" | "SIGKILL"): Promise<void> {
  const { probe } = tally;
  await tally.interrupt(async () => {
    if (how === "SIGKILL") await probe.probe.stop(how);
    await probe.startProbe();
  });
  await nextProbe();
}

async function nextProbe(): Promise<void> {
  await eventually("an exchange with the next probe", async () => {
    try {
      await tally.take();
      return true;
    } catch (error) {
      if (error instanceof SourceError) return false;
      throw error;
    }
  });
}
