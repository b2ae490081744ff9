/** What `flowspan replay` makes of the connections in a recording: the same lines on every machine. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Recorder } from "../../../../agent/recording/recorder.ts";
import { packFrames } from "../../../../agent/source/frames.ts";
import {
  beginFrame,
  cgroupFrame,
  connectionFrame,
  endFrame,
  helloFrame,
  statusFrame,
} from "../../source/frames-builder.ts";
import { TRACE_ID } from "../../spans/builders.ts";
import { replayed } from "./replayed.ts";

const S = 1_000_000_000n;

/** A client's connection before the wall clock is set an hour on, and one after. */
async function recording(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-replay-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "recording");
  const recorder = new Recorder({ path, log: { info() {}, warn() {}, error() {} }, nowUnixNs: () => 0n });
  recorder.connected();
  const traceId = Buffer.from(TRACE_ID, "hex");
  const before = { bootNs: 115n * S, realtimeNs: 1_000_115n * S };
  const after = { exchange: 2n, bootNs: 130n * S, realtimeNs: 1_003_730n * S };
  const frames = [
    helloFrame({ bootNs: 100n * S, realtimeNs: 1_000_100n * S }),
    connectionFrame({ traceId, startNs: 101n * S, establishedNs: 101n * S, endNs: 102n * S, bytesSent: 23 }),
    ...[beginFrame(before), cgroupFrame(), statusFrame(), endFrame(before)],
    ...[beginFrame(after), statusFrame(), endFrame(after)],
    connectionFrame({
      traceId,
      startNs: 131n * S,
      error: 111,
      endNs: 132n * S,
      events: [{ kind: 1, segments: 1, timeNs: 131n * S }],
    }),
  ];
  recorder.fromProbe(packFrames(frames));
  await recorder.close();
  return path;
}

test("each recorded connection is a line, at the wall time of its own end, and a second run gives the same text", async () => {
  const path = await recording();

  const { text, failure } = await replayed(path);
  const lines = text.trim().split("\n");
  const spans = lines.map((line) => JSON.parse(line)).filter(({ traceId }) => traceId !== undefined);

  expect(
    spans.map(({ name, kind, startTimeUnixNano, status, events }) => [
      name,
      kind,
      startTimeUnixNano,
      status,
      events.length,
    ]),
  ).toEqual([
    ["tcp connection", "client", String(1_000_101n * S), "unset", 2],
    ["tcp connection", "client", String(1_003_731n * S), "error", 2],
  ]);
  expect(spans[0]).toMatchObject({
    traceId: TRACE_ID,
    resource: { "host.name": "recorded", "flowspan.systemd.unit": "nginx.service" },
    attributes: { "flowspan.tcp.bytes.sent": 23, "network.peer.address": "10.0.0.2" },
  });
  expect(failure).toBeUndefined();
  expect(await replayed(path)).toEqual({ text, failure });
});
