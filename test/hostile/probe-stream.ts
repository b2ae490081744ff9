/** What a probe sends that somebody has taken over, or that is none: exchanges of as many frames of a kind as it likes. */
import { setTimeout as delay } from "node:timers/promises";
import { FrameKind } from "../../agent/generated/layout.ts";
import { type Frame, packFrames } from "../../agent/source/frames.ts";
import type { FakeConnection } from "../unit/source/fake-probe.ts";
import {
  beginFrame,
  cgroupFrame,
  edgeFrame,
  endFrame,
  evidenceFrame,
  namespaceFrame,
  settledFrame,
  statusFrame,
} from "../unit/source/frames-builder.ts";

const BATCH = 1_000;
const GROWTH = { bytesSent: 23, opened: 1, closed: 1 };

const address = (i: number) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
const name = (i: number, level: number) => `${i}-${level}-`.padEnd(255, "x");

/** The frame of each kind that makes an agent hold most. */
export const FRAMES_OF = {
  edges: (i: number) => edgeFrame({ key: { remoteAddress: address(i) }, counters: GROWTH }),
  evidence: (i: number, exchange: bigint) => evidenceFrame({ exchange, remoteAddress: address(i) }),
  namespaces: (i: number) => namespaceFrame({ netns: i + 1, cookie: BigInt(i + 1) }),
  /** With the longest names, others in each exchange. */
  cgroups: (i: number, exchange: bigint) =>
    cgroupFrame({
      id: (exchange << 32n) + BigInt(i),
      names: Array.from({ length: 8 }, (_, level) => name(i, level)),
    }),
} as const satisfies Record<string, (i: number, exchange: bigint) => Frame>;

/** Answers flushes until the agent asks for an exchange. */
export async function nextExchange(connection: FakeConnection, isClosed: () => boolean): Promise<"asked" | "closed"> {
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
export async function sendAll(
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
