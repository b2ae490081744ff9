/**
 * A probe that somebody has taken over, or is none, sends an agent as much of each kind as the agent takes: what the agent holds
 * of it is bounded, and it lives.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import { type Frame, packFrames } from "../../../agent/source/frames.ts";
import { watchAnonymousMemory } from "../../hostile/anonymous-memory.ts";
import { ALLOWED_MIB } from "../../hostile/recordings.ts";
import { launcherSettings } from "../../hostile/replayer.ts";
import { type FakeConnection, FakeProbe } from "../source/fake-probe.ts";
import {
  beginFrame,
  cgroupFrame,
  edgeFrame,
  endFrame,
  evidenceFrame,
  namespaceFrame,
  settledFrame,
  statusFrame,
} from "../source/frames-builder.ts";

const MAIN = join(import.meta.dirname, "../../../agent/main.ts");
/** As root the agent would start a probe. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
const BATCH = 1_000;
const EXCHANGES = 3n;

const address = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
const growth = { bytesSent: 23, opened: 1, closed: 1 };
const name = (i: number, level: number) => `${i}-${level}-`.padEnd(255, "x");

/** Of each kind: how many in an exchange, and whether the agent takes so many. */
const ATTACKS: readonly [string, number, "taken" | "refused", (i: number, exchange: bigint) => Frame][] = [
  [
    "edges of as many addresses",
    65_536,
    "taken",
    (i) => edgeFrame({ key: { remoteAddress: address(i) }, counters: growth }),
  ],
  [
    "edges as a HELLO of a million allows",
    400_000,
    "refused",
    (i) => edgeFrame({ key: { remoteAddress: address(i) } }),
  ],
  ["evidence", 65_536, "taken", (i, exchange) => evidenceFrame({ exchange, remoteAddress: address(i) })],
  ["net namespaces", 16_384, "taken", (i) => namespaceFrame({ netns: i + 1, cookie: BigInt(i + 1) })],
  ["net namespaces without end", 65_536, "refused", (i) => namespaceFrame({ netns: i + 1, cookie: BigInt(i + 1) })],
  [
    "cgroups with the longest names, others each time",
    8_192,
    "taken",
    (i, exchange) =>
      cgroupFrame({
        id: (exchange << 32n) + BigInt(i),
        names: Array.from({ length: 8 }, (_, level) => name(i, level)),
      }),
  ],
];

test.each(ATTACKS)(
  "%s, %i in each exchange, are %s, and the agent stays below 256 MiB",
  async (what, count, outcome, make) => {
    const probe = await new FakeProbe().listen();
    onTestFinished(() => probe.close());
    for (const path of [join(probe.path, ".."), probe.path]) chmodSync(path, 0o777);
    const agent = startAgent(probe.path);
    const peak = watchAnonymousMemory(agent);
    let said = 0;
    let refused = false;
    const connection = await probe.welcome({ edgeCapacity: 1_000_000 });

    void connection.closed().then(() => {
      refused = true;
    });
    for (let exchange = 1n; exchange <= EXCHANGES && !refused; exchange++) {
      if ((await nextExchange(connection, () => refused)) === "closed") break;
      said = await sendAll(connection, exchange, count, make, () => refused);
    }
    if (!refused) await nextExchange(connection, () => refused);

    console.log(`${what}: ${peak()} MiB anonymous at most, ${said} sent in the last exchange`);
    expect({ refused, exit: agent.exitCode }).toEqual({ refused: outcome === "refused", exit: null });
    expect(peak()).toBeGreaterThan(20);
    expect(peak()).toBeLessThanOrEqual(ALLOWED_MIB);
  },
  120_000,
);

function startAgent(socket: string): ChildProcess {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-hostile-"));
  chmodSync(directory, 0o777);
  const own = ["--probe-socket", socket, "--probe", "/nowhere", "--admin-socket", join(directory, "admin.sock")];
  const { flags, env } = launcherSettings();
  const agent = spawn(
    process.execPath,
    [...flags, MAIN, "agent", ...own, "--interval", "1000", "--endpoint", "http://127.0.0.1:1", "--kubernetes", "off"],
    { ...NOBODY, env: { PATH: process.env.PATH, ...env }, stdio: "ignore" },
  );
  onTestFinished(() => {
    agent.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  return agent;
}

/** Answers flushes until the agent asks for an exchange. */
async function nextExchange(connection: FakeConnection, isClosed: () => boolean): Promise<"asked" | "closed"> {
  for (let rows = 0; !isClosed(); ) {
    const frame = await Promise.race([connection.commandFrame(), connection.closed()]);
    if (frame === undefined) return "closed";
    if (frame.kind === FrameKind.COMMAND_EXCHANGE) return "asked";
    if (frame.kind === FrameKind.COMMAND_SETTLE) rows++;
    if (frame.kind !== FrameKind.COMMAND_FLUSH) continue;
    connection.send(settledFrame({ rows }));
    rows = 0;
  }
  return "closed";
}

/** One exchange, as fast as the agent reads. @returns how many were sent */
async function sendAll(
  connection: FakeConnection,
  exchange: bigint,
  count: number,
  make: (i: number, exchange: bigint) => Frame,
  isClosed: () => boolean,
): Promise<number> {
  connection.send(beginFrame({ exchange }));
  let sent = 0;
  for (; sent < count && !isClosed(); sent += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, count - sent) }, (_, i) => make(sent + i, exchange));
    connection.sendBytes(packFrames(batch));
    await delay(1);
  }
  if (!isClosed()) connection.send(statusFrame(), endFrame({ exchange }));
  return sent;
}
