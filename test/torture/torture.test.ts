/**
 * Random programs of socket calls (test/torture/): each has its own net namespace and counts for itself what it did; all
 * that is told of it must equal that count, the wire and the kernel's books. `make torture` runs more of them.
 *
 * Programs that found a fault once are in test/torture/found/, under late/ where the probe has to come in their middle.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { EDGE_COUNTERS } from "../../agent/generated/layout.ts";
import { ROOT } from "../lab/programs/run.ts";
import { missing, needs } from "../machine/needs.ts";
import { type Performed, TortureBench } from "./batch.ts";
import { differences, type Seen } from "./compare.ts";
import { differencesInWindow } from "./compare-window.ts";
import { plain } from "./evidence.ts";
import { judge } from "./judge.ts";
import { KNOWN } from "./known.ts";
import { PLAIN, PLAIN_GAP } from "./plain.ts";
import { parseProgram } from "./program.ts";
import { ADOPTED } from "./record-flags.ts";
import { playSample, SEED } from "./sample.ts";
import type { Upheaval } from "./upheaval.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const FOUND = join(ROOT, "test/torture/found");
const PROGRAMS = 199;
/** Under probes that are not there all the time, which takes longer. */
const LATE = 61;

let bench: TortureBench;

beforeAll(async () => {
  if (missing(...NEEDS) === undefined) bench = await TortureBench.start();
});

afterAll(() => bench?.close());

test(`${PROGRAMS} random programs of seed ${SEED} are told as they were`, async () => {
  expect(await playSample<Upheaval>(bench, { from: 0, count: PROGRAMS }, "upgrade", 0)).toEqual([]);
});

for (const [i, [upheaval, what]] of (
  [
    ["late", "whose probe comes in their middle"],
    ["gap", "whose probe is away for a while"],
    ["kill", "whose probe is killed"],
    ["reader", "whose reader goes in the middle of an exchange"],
  ] as const
).entries())
  test(`${LATE} random programs of seed ${SEED} ${what} are told as they were`, async () => {
    expect(await playSample<Upheaval>(bench, { from: PROGRAMS + i * LATE, count: LATE }, upheaval, 0)).toEqual([]);
  });

for (const [upheaval, directory] of [
  ["none", FOUND],
  ["late", join(FOUND, "late")],
] as const)
  test(`programs that found a fault once are told as they were, with upheaval ${upheaval}`, async () => {
    const programs = readdirSync(directory)
      .filter((name) => name.endsWith(".txt"))
      .map((name) => parseProgram(readFileSync(join(directory, name), "utf8")));

    expect(programs.length).toBeGreaterThan(0);
    expect(await judge(bench, programs, upheaval)).toEqual([]);
  });

test("an oracle that is told one number wrongly says so, whichever it is", async () => {
  const { performed, losses } = await bench.run([PLAIN]);
  const [plain] = performed;
  if (!plain) throw new Error("nothing was performed");
  expect(losses).toEqual({});
  expect(differences(plain.program, plain.trace, plain.seen, KNOWN)).toEqual([]);

  const unnoticed = [...wrongEdges(plain.seen), ...wrongRecords(plain.seen)]
    .filter(({ seen }) => differences(plain.program, plain.trace, seen).length === 0)
    .map(({ what }) => what);

  expect(unnoticed).toEqual([]);
});

test("an oracle of a probe that went early and one that came late says so, too, but for times that have no second count", async () => {
  const { performed } = await bench.run([PLAIN_GAP], "gap");
  const [{ program, trace, phases = [] } = {}] = performed;
  if (!program || !trace || phases.length !== 2) throw new Error("nothing was performed");
  const differing = phases.flatMap(({ seen, window }) => differencesInWindow(program, trace, seen, window));
  expect(differing).toEqual([]);

  const unnoticed = phases.flatMap(({ seen, window }, phase) =>
    [...wrongEdges(seen), ...wrongRecords(seen)]
      .filter((wrong) => differencesInWindow(program, trace, wrong.seen, window).length === 0)
      .map(({ what }) => `phase ${phase}: ${what}`),
  );

  expect(unnoticed.sort()).toEqual([
    // What stays open when its probe goes has a handshake, and no record that tells its time.
    "phase 0: client edge of 8000: handshakeUs",
    "phase 0: client record of 8000: handshakeUs",
    "phase 0: server edge of 8000: handshakeUs",
    "phase 0: server record of 8000: handshakeUs",
    // Of what is older than its probe the duration is not known, and is in no edge.
    "phase 1: older client record of 8000: endNs",
    "phase 1: older server record of 8000: endNs",
  ]);
});

interface Wrong {
  /** Of which end and number; no place in a list, since the kernel's tables give edges in an order of their own. */
  readonly what: string;
  readonly seen: Seen;
}

/** The RTT's sum has no second count, and a client has no queue. */
const UNCOUNTED = new Set(["rttUs", "listenerDrops"]);

function wrongEdges(seen: Seen): Wrong[] {
  return seen.edges
    .filter(({ key }) => key.role !== "listener")
    .flatMap((edge) =>
      EDGE_COUNTERS.filter(
        (name) => !UNCOUNTED.has(name) && (edge.key.role === "client" || !name.startsWith("failed")),
      ).map((name) => ({
        what: `${edge.key.role} edge of ${edge.key.serverPort}: ${name}`,
        seen: {
          ...seen,
          edges: seen.edges.map((each) =>
            each === edge ? { ...edge, counters: { ...edge.counters, [name]: edge.counters[name] + 1 } } : each,
          ),
        },
      })),
    );
}

const OF_OPEN = ({ traceId, handshakeUs, endNs }: Performed["seen"]["records"][number]) => [
  { traceId: traceId.split("").reverse().join("") },
  { handshakeUs: handshakeUs + 1 },
  { endNs: endNs + 1_000n },
];

function wrongRecords(seen: Seen): Wrong[] {
  const wrong = (record: Performed["seen"]["records"][number]) => [
    { bytesSent: record.bytesSent + 1 },
    { bytesReceived: record.bytesReceived + 1 },
    { segsOut: record.segsOut + 1 },
    { segsIn: record.segsIn + 1 },
    { key: { ...plain(record.key), cgroup: record.key.cgroup + 1n } },
    { localPort: record.localPort + 1 },
    { remotePort: record.remotePort + 1 },
    { flags: record.flags ^ 2 },
    { flags: record.flags ^ 4 },
    { pid: record.pid + 1 },
    { startNs: record.startNs - 1_000_000_000n },
    { establishedNs: record.establishedNs > 0n ? 0n : record.startNs },
    ...(record.key.role === "client" && record.pid !== 0 ? [{ pid: 0 }] : []),
    ...(record.establishedNs > 0n ? OF_OPEN(record) : [{ error: 0 }]),
  ];
  return seen.records.flatMap((record) =>
    wrong(record).map((change) => ({
      what: `${record.flags & ADOPTED ? "older " : ""}${record.key.role} record of ${record.key.serverPort}: ${Object.keys(change)}`,
      seen: {
        ...seen,
        records: seen.records.map((each) => (each === record ? { ...plain(record), ...change } : each)),
      },
    })),
  );
}
