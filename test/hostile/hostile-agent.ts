/**
 * What somebody does who has taken an agent over: it speaks the probe's protocol to a live probe, as the agent's own user, and
 * means it no good. It settles no growth that is there: that would be an agent's right, and is in no probe's power to refuse.
 *
 *     node hostile-agent.ts SOCKET ATTACK       prints `done N`: how often it did it
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  commandPrefixRule,
  commandRecords,
  commandSettings,
  EDGE_COUNTERS,
  edgeKey,
  FrameKind,
  frameEdge,
  frameEvidence,
  PrefixRuleFlag,
} from "../../agent/generated/layout.ts";
import { EXCHANGE_COMMAND, FLUSH_COMMAND } from "../../agent/source/commands.ts";
import { type Frame, FrameSplitter, packFrames } from "../../agent/source/frames.ts";

const [path = "", attack = ""] = process.argv.slice(2);

/** A connection that reads, and what it was sent. */
interface Open {
  readonly socket: Socket;
  readonly frames: Frame[];
  /** Resolves with its first frame of that kind from now on, or without one at the connection's end. */
  next(kind: number): Promise<Frame | undefined>;
  readonly isOver: () => boolean;
}

async function open(): Promise<Open> {
  const socket = connect(path);
  const frames: Frame[] = [];
  const splitter = new FrameSplitter();
  let isOver = false;
  let wake = () => {};
  socket.on("error", () => {});
  socket.on("close", () => {
    isOver = true;
    wake();
  });
  socket.on("data", (chunk: Buffer) => {
    splitter.push(chunk, (kind, payload) => frames.push({ kind, payload: Buffer.from(payload) }));
    wake();
  });
  await once(socket, "connect");
  return {
    socket,
    frames,
    isOver: () => isOver,
    async next(kind) {
      for (let at = frames.length; ; ) {
        for (; at < frames.length; at++) if (frames[at]?.kind === kind) return frames[at];
        if (isOver) return undefined;
        await new Promise<void>((done) => {
          wake = done;
        });
      }
    },
  };
}

/** Writes, and waits until the probe closes the connection or has taken it all for some time. */
async function say(bytes: Uint8Array, patienceMs = 300): Promise<void> {
  const connection = await open();
  connection.socket.write(bytes);
  await Promise.race([once(connection.socket, "close"), delay(patienceMs)]);
  connection.socket.destroy();
}

const header = (kind: number, length: number, zero = 0) => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(kind, 4);
  bytes.writeUInt16LE(zero, 6);
  return bytes;
};

/** The rows of one exchange. */
async function rowsOf(connection: Open, kind: number): Promise<Buffer[]> {
  connection.socket.write(packFrames([EXCHANGE_COMMAND]));
  await connection.next(FrameKind.FRAME_EXCHANGE_END);
  return connection.frames.filter((frame) => frame.kind === kind).map(({ payload }) => Buffer.from(payload));
}

function changed(row: Buffer, change: (copy: Buffer) => unknown): Buffer {
  const copy = Buffer.from(row);
  change(copy);
  return copy;
}

const asSettle = (payload: Buffer): Frame => ({ kind: FrameKind.COMMAND_SETTLE, payload });

async function settleMore(): Promise<number> {
  const connection = await open();
  const rows = await rowsOf(connection, FrameKind.FRAME_EDGE);
  const growthAt = frameEdge.fields.growth.offset;
  const more = rows.flatMap((row) =>
    EDGE_COUNTERS.map((_, i) =>
      changed(row, (copy) => copy.writeBigUInt64LE(copy.readBigUInt64LE(growthAt + 8 * i) + 1n, growthAt + 8 * i)),
    ),
  );
  const wraps = rows.map((row) => changed(row, (copy) => copy.writeBigUInt64LE(2n ** 64n - 1n, growthAt)));
  connection.socket.write(packFrames([...more.map(asSettle), ...wraps.map(asSettle), FLUSH_COMMAND]));
  await connection.next(FrameKind.FRAME_SETTLED);
  connection.socket.destroy();
  return more.length + wraps.length;
}

/** Rows under keys that it was never sent: another cgroup, net namespace, role, or time. */
async function settleOthers(): Promise<number> {
  const connection = await open();
  const rows = await rowsOf(connection, FrameKind.FRAME_EDGE);
  const at = (field: keyof typeof edgeKey.fields) => frameEdge.fields.key.offset + edgeKey.fields[field].offset;
  const others = rows.flatMap((row) => [
    changed(row, (copy) => copy.writeBigUInt64LE(1n, at("cgroup"))),
    changed(row, (copy) => copy.writeUInt32LE(4_026_531_840, at("netns"))),
    changed(row, (copy) => copy.writeUInt16LE(copy.readUInt16LE(at("serverPort")) ^ 0x8000, at("serverPort"))),
    changed(row, (copy) => copy.writeBigUInt64LE(2n ** 64n - 1n, frameEdge.fields.exchange.offset)),
    changed(row, (copy) => copy.writeBigUInt64LE(0n, frameEdge.fields.sinceNs.offset)),
  ]);
  // More than wait for a flush at once.
  const times = Math.ceil((6 << 20) / Buffer.concat(others).length);
  for (let i = 0; i < times; i++)
    if (!connection.socket.write(packFrames(others.map(asSettle)))) await once(connection.socket, "drain");
  connection.socket.write(packFrames([FLUSH_COMMAND]));
  await connection.next(FrameKind.FRAME_SETTLED);
  connection.socket.destroy();
  return times * others.length;
}

async function settleEvidence(): Promise<number> {
  const connection = await open();
  const payload = Buffer.alloc(frameEvidence.size, 0xff);
  const frames = Array.from({ length: 1_009 }, () => ({ kind: FrameKind.COMMAND_SETTLE_EVIDENCE, payload }));
  connection.socket.write(packFrames([...frames, FLUSH_COMMAND]));
  await connection.next(FrameKind.FRAME_SETTLED);
  connection.socket.destroy();
  return frames.length;
}

/** Had more records than were ever sent, and settled none; so says the next one, too. */
async function reportRecords(): Promise<number> {
  const numbers = [2n ** 64n - 1n, 2n ** 63n, 2n ** 62n, 1n, 0n];
  for (const received of numbers) {
    for (const agent of [1n, 1n, 2n]) {
      const payload = Buffer.alloc(commandRecords.size);
      payload.writeBigUInt64LE(agent, commandRecords.fields.agent.offset);
      payload.writeBigUInt64LE(received, commandRecords.fields.received.offset);
      await say(packFrames([{ kind: FrameKind.COMMAND_RECORDS, payload }]), 30);
    }
  }
  return 3 * numbers.length;
}

async function exchangesAtOnce(): Promise<number> {
  const count = 1_009;
  const connection = await open();
  connection.socket.write(packFrames(Array(count).fill(EXCHANGE_COMMAND)));
  while ((await connection.next(FrameKind.FRAME_EXCHANGE_END)) !== undefined);
  return connection.frames.filter(({ kind }) => kind === FrameKind.FRAME_EXCHANGE_END).length;
}

async function neverRead(): Promise<number> {
  const sockets: Socket[] = [];
  for (let i = 0; i < 23; i++) {
    const socket = connect(path);
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.pause();
    socket.write(packFrames([EXCHANGE_COMMAND]));
    await delay(30);
    socket.write(packFrames([EXCHANGE_COMMAND, FLUSH_COMMAND]));
    sockets.push(socket);
  }
  await delay(300);
  for (const socket of sockets) socket.destroy();
  return sockets.length;
}

async function manyConnections(): Promise<number> {
  let count = 0;
  for (let round = 0; round < 20; round++) {
    const sockets = Array.from({ length: 101 }, () => connect(path).on("error", () => {}));
    for (const socket of sockets) socket.on("connect", () => socket.write(header(FrameKind.COMMAND_SETTLE, 9)));
    await delay(50);
    count += sockets.length;
    for (const socket of sockets) socket.destroy();
  }
  return count;
}

async function noCommands(): Promise<number> {
  const bytes = [
    ...Object.values(FrameKind).map((kind) => Buffer.concat([header(kind, 24), Buffer.alloc(24, 0xff)])),
    ...Object.values(FrameKind).map((kind) => header(kind, 2 ** 32 - 1)),
    ...Object.values(FrameKind).map((kind) => header(kind, 0, 1)),
    ...Array.from({ length: 101 }, () => randomBytes(16_384)),
  ];
  for (const each of bytes) await say(each, 20);
  return bytes.length;
}

/** Halves of commands, and silence. */
async function halves(): Promise<number> {
  const whole = packFrames([{ kind: FrameKind.COMMAND_SETTINGS, payload: Buffer.alloc(commandSettings.size) }]);
  for (let length = 1; length < whole.length; length++) await say(whole.subarray(0, length), 5);
  return whole.length - 1;
}

/** All settings at their ends, and as many prefix rules as fit, the first of which makes all addresses one. */
async function settings(): Promise<number> {
  const connection = await open();
  const { fields } = commandSettings;
  const payload = Buffer.alloc(commandSettings.size);
  payload.writeBigUInt64LE(1n, fields.activeTimeoutNs.offset);
  payload.writeUInt32LE(1, fields.records.offset);
  payload.writeUInt32LE(1, fields.sampleEvery.offset);
  payload.writeUInt32LE(1, fields.recordsAtOnce.offset);
  payload.writeUInt32LE(10_000, fields.edgesShare.offset);
  const rules = Array.from({ length: 4_096 }, (_, i) => {
    const rule = Buffer.alloc(commandPrefixRule.size);
    rule.writeUInt32BE(i, 0);
    rule.writeUInt32LE(i === 0 ? 0 : 32, commandPrefixRule.fields.prefixLength.offset);
    const first = i === 0 ? PrefixRuleFlag.PREFIX_RULE_FIRST : 0;
    rule.writeUInt32LE(first | PrefixRuleFlag.PREFIX_RULE_COLLAPSE, commandPrefixRule.fields.flags.offset);
    return { kind: FrameKind.COMMAND_PREFIX_RULE, payload: rule };
  });
  connection.socket.write(packFrames([{ kind: FrameKind.COMMAND_SETTINGS, payload }, ...rules, FLUSH_COMMAND]));
  await connection.next(FrameKind.FRAME_SETTLED);
  connection.socket.destroy();
  return rules.length + 1;
}

const ATTACKS: Readonly<Record<string, () => Promise<number>>> = {
  settleMore,
  settleOthers,
  settleEvidence,
  reportRecords,
  exchangesAtOnce,
  neverRead,
  manyConnections,
  noCommands,
  halves,
  settings,
};

const perform = ATTACKS[attack];
if (perform === undefined) throw new Error(`no attack ${attack}; there are: ${Object.keys(ATTACKS).join(" ")}`);
console.log(`done ${await perform()}`);
process.exit(0);
