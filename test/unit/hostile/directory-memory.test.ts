/** Agents without scruples fill all that a replica of the directory lets them fill: what it holds is bounded, and it lives. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client, credentials } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { encodeAsk, FOLLOW } from "../../../agent/directory/protocol.ts";
import type { DirectoryStats } from "../../../agent/directory/server/directory-server.ts";
import { LIMITS } from "../../../agent/directory/server/limits.ts";
import { watchAnonymousMemory } from "../../hostile/anonymous-memory.ts";
import { ALLOWED_MIB } from "../../hostile/recordings.ts";
import { launcherSettings } from "../../hostile/replayer.ts";

const PROGRAM = join(import.meta.dirname, "../../hostile/directory-process.ts");
const KEYS_PER_ASK = 1_000;

interface Attack {
  readonly what: string;
  readonly streams: number;
  /** Of each stream. */
  readonly keys: number;
  /** Whether all streams ask for the same. */
  readonly isShared: boolean;
}

const ATTACKS: readonly Attack[] = [
  { what: "all keys of a replica, by few streams", streams: 5, keys: 60_000, isShared: false },
  { what: "all that streams may follow, the same keys each", streams: 26, keys: 60_000, isShared: true },
  { what: "streams that ask for little", streams: 1_000, keys: 10, isShared: true },
];

test.each(ATTACKS)(
  "$what: the replica stays below 256 MiB",
  async (attack) => {
    const { replica, port } = await startReplica();
    const peak = watchAnonymousMemory(replica);

    const streams = Array.from({ length: attack.streams }, () => openStream(port));
    for (let first = 0; first < attack.keys; first += KEYS_PER_ASK) {
      for (const [i, stream] of streams.entries()) await stream.ask(keys(attack, i, first));
    }
    const stats = await atRest(replica);

    console.log(
      `${attack.what}: ${peak()} MiB anonymous at most, with ${stats.keys} keys of ${stats.streams} streams, refused: ${JSON.stringify(stats.refusals)}`,
    );
    expect(stats.keys).toBeLessThanOrEqual(LIMITS.keys);
    expect(stats.streams).toBeGreaterThan(0);
    expect(peak()).toBeGreaterThan(20);
    expect(peak()).toBeLessThanOrEqual(ALLOWED_MIB);
  },
  120_000,
);

async function startReplica(): Promise<{ replica: ChildProcess; port: number }> {
  const { flags, env } = launcherSettings();
  const replica = fork(PROGRAM, [], { execArgv: flags, env: { PATH: process.env.PATH, ...env } });
  onTestFinished(() => void replica.kill("SIGKILL"));
  const [{ port }] = (await once(replica, "message")) as [{ port: number }];
  return { replica, port };
}

async function statsOf(replica: ChildProcess): Promise<DirectoryStats> {
  const answer = once(replica, "message");
  replica.send("stats");
  const [stats] = (await answer) as [DirectoryStats];
  return stats;
}

/** @returns what it holds once it has taken all that is on its way: nothing has changed for three seconds */
async function atRest(replica: ChildProcess): Promise<DirectoryStats> {
  let [stats, unchanged] = [await statsOf(replica), 0];
  while (unchanged < 6) {
    await delay(500);
    const now = await statsOf(replica);
    unchanged =
      now.keys === stats.keys && now.streams === stats.streams && now.answers === stats.answers ? unchanged + 1 : 0;
    stats = now;
  }
  return stats;
}

/** A stream on a connection of its own, which writes as fast as the replica reads. */
function openStream(port: number) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  onTestFinished(() => client.close());
  const call = client.makeBidiStreamRequest(FOLLOW.path, FOLLOW.requestSerialize, FOLLOW.responseDeserialize);
  let isOver = false;
  call.on("data", () => {});
  call.on("error", () => {
    isOver = true;
  });
  return {
    async ask(add: readonly { readonly address: string; readonly port: number }[]): Promise<void> {
      if (isOver) return;
      await new Promise<void>((done) => {
        call.once("error", () => done());
        call.write(encodeAsk({ node: "node-1", add }), () => done());
      });
    },
  };
}

function keys({ keys: count, isShared }: Attack, stream: number, first: number) {
  const last = Math.min(first + KEYS_PER_ASK, count);
  return Array.from({ length: last - first }, (_, i) => ({
    address: `10.${isShared ? 0 : stream}.${(first + i) >> 8}.${(first + i) & 255}`,
    port: 80,
  }));
}
