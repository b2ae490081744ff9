/**
 * What is known of sockets by their addresses (bpf/common/socket_storage.h) belongs to the socket for as long as that lives,
 * and no longer: it may be used again, or end unseen, and another may lie where it was.
 *
 *   calls on one loopback of a pod ─► a probe that keeps sockets by address ─► records, and what lies in its maps
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterEach, beforeEach, expect } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../agent/generated/layout.ts";
import { CallLab, EVERYTHING } from "../lab/agents/call-lab.ts";
import { Tally } from "../lab/agents/tally.ts";
import { eventually } from "../lab/programs/process.ts";
import { output, PROBE, run } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const BY_ADDRESS = { FLOWSPAN_SOCKETS: "by-address" };
const NO_RTT = 0xffff_ffff;
/** Calls wait here, in accept(), until the test opens a connection to it. */
const GATE = 7099;
const MAPS = ["connections", "troubles", "interims"].map((name) => `${name}_by_address`);

let lab: Lab;
let tally: Tally | undefined;

beforeEach(async () => {
  if (missing(...NEEDS) === undefined) lab = await startLab(describe({ nodes: 1, pods: [{ key: "both" }] }));
});

afterEach(async () => {
  await tally?.close();
  tally = undefined;
  await lab?.close();
});

test("a socket that is used again is known as such, however many walks came between", async () => {
  const port = 7001;
  const calls = await start();
  const playing = calls.play(
    [`listen 8 ${GATE}`, `listen 0 ${port}`, `connect 1 ${port}`, "accept 2 0", "send 1 1009", "recv 2 1009"],
    ["unspec 1", "accept 9 8", `connect 1 ${port + 1}`],
  );
  await calls.records(port, 1);
  await walks(calls, 3);
  await openGate();
  await playing;

  const [refused] = await calls.records(port + 1, 1);

  // tcp_disconnect() leaves the smallest round trip of the connection before.
  expect({ error: refused?.error, minRttUs: refused?.minRttUs }).toEqual({ error: 111, minRttUs: NO_RTT });
  expect(calls.tally.losses).toEqual({});
});

test("an older socket that gets its cookie from ss keeps what is known of it, and leaves nothing behind", async () => {
  const port = 7003;
  const playing = new CallLab(lab, undefined as never).play(
    [`listen 8 ${GATE}`, `listen 0 ${port}`, `connect 1 ${port}`, "accept 2 0", "accept 9 8", "send 1 1009"],
    ["accept 10 8", "linger 1 0", "close 1", "state 2 7"],
  );
  const calls = await start();
  const undo = await calls.rule(`-t filter INPUT -p tcp --dport ${port} -j DROP`);
  await openGate();
  const resent = () => calls.resent(port, "client");
  await calls.tally.until(
    () => `a timeout, but ${JSON.stringify(resent())}`,
    () => resent().timeout > 0,
  );
  expect((await calls.pod.exec(["ss", "-Htn", "dport", "=", String(port)])).stdout).toContain(`:${port}`);
  await undo();
  await openGate();
  await playing;

  const records = await calls.records(port, 2);

  const client = records.find(({ key }) => key.role === "client");
  const kinds = client?.events.map(({ kind }) => kind) ?? [];
  expect(kinds.at(-1)).toBe("reset_sent");
  expect(kinds.slice(0, -1)).toContain("retransmit_timeout");
  expect(client?.retransmits).toBe(resent().timeout + resent().probe);
  expect(client?.retransmitsTimeout).toBe(resent().timeout);
  const none = { connections_by_address: 0, troubles_by_address: 0, interims_by_address: 0 };
  await eventually("all are freed", async () => {
    await walks(calls, 1);
    return isDeepStrictEqual(await elements(calls), none);
  });
  expect(calls.tally.losses).toEqual({});
});

test("what lies there of a socket that is gone, and whose close nobody saw, goes with the next walk", async () => {
  const calls = await start();
  const map = join(pinsOf(calls), "connections_by_address");
  const { bytes_value: size } = JSON.parse(await run(["bpftool", "-j", "map", "show", "pinned", map]));
  // No socket lies at address 0. start_ns is behind the edge's key.
  const key = [...Array(8).fill("0"), "5", ...Array(7).fill("0")];
  const value = Array.from({ length: size }, (_, i) => (i === 48 ? "1" : "0"));
  await run(["bpftool", "map", "update", "pinned", map, "key", ...key, "value", ...value]);
  expect((await elements(calls)).connections_by_address).toBe(1);

  await walks(calls, 1);

  expect((await elements(calls)).connections_by_address).toBe(0);
  expect(calls.tally.losses).toEqual({});
});

test("more sockets close between two walks than the queue has room for: each RST counts, and nothing stays", async () => {
  const count = 40_009; // two ends each
  const calls = await start(false);
  const server = await calls.pod.serve({ listen: [{ port: 7005 }] });
  const to = [{ address: "127.0.0.1", port: 7005 }];
  expect(await calls.pod.play("churn", { to, count, closer: "reset" })).toMatchObject({ opened: count });
  await server.process.stop();
  await walks(calls, 3);

  expect(calls.counters(7005, "client")).toMatchObject({ opened: count, closed: count, resetSent: count });
  expect(calls.counters(7005, "server")).toMatchObject({ opened: count, closed: count, resetReceived: count });
  // The kernel itself holds some for a moment more.
  await eventually("all are freed", async () => {
    await walks(calls, 1);
    return (await elements(calls)).connections_by_address === 0;
  });
  expect(calls.tally.losses).toEqual({});
});

test("pins of a probe that kept what it knows in the sockets are refused, and it is said how to go on", async () => {
  const pins = join("/sys/fs/bpf", lab.id, "in-sockets");
  const place = join(pins, `v${FLOWSPAN_PROTOCOL}`);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const shape = ["type", "hash", "key", "16", "value", "184", "entries", "1", "name", "connections_by_", "flags", "1"];
  await run(["bpftool", "map", "create", join(place, "connections_by_address"), ...shape]);

  const { code, stderr } = await output(["env", "FLOWSPAN_SOCKETS=by-address", PROBE, "--stdio", "--pins", pins], "");

  expect({ code, says: /flowspan-probe --unpin/.test(stderr) }).toEqual({ code: 1, says: true });
  expect(stderr).toContain("kept what it knows in the sockets");
  await run([PROBE, "--unpin", "--pins", pins]);
});

async function start(withRecords = true): Promise<CallLab> {
  tally = await Tally.start(lab, "node-1", [], BY_ADDRESS);
  if (withRecords) await tally.record(EVERYTHING);
  return new CallLab(lab, tally);
}

async function openGate(): Promise<void> {
  const { code, stderr } = await lab.pod("both").exec(["bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/${GATE}`]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

async function walks(calls: CallLab, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await calls.tally.take();
}

function pinsOf({ tally: { probe } }: CallLab): string {
  return join(probe.pins, `v${FLOWSPAN_PROTOCOL}`);
}

/** How many lie in each map. */
async function elements(calls: CallLab): Promise<Record<string, number>> {
  const counts = await Promise.all(
    MAPS.map(async (name) => {
      const said = await run(["bpftool", "-j", "map", "dump", "pinned", join(pinsOf(calls), name)]);
      return [name, (JSON.parse(said) as unknown[]).length] as const;
    }),
  );
  return Object.fromEntries(counts);
}
