/** The suite of contract.ts on every source that there is: a probe's socket, a recording, and the fake of other tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import { ReplaySource } from "../../../agent/recording/recorded-source.ts";
import { Recorder } from "../../../agent/recording/recorder.ts";
import { EXCHANGE_COMMAND } from "../../../agent/source/commands.ts";
import { packFrames } from "../../../agent/source/frames.ts";
import type { ProbeSource, SourceListeners } from "../../../agent/source/source.ts";
import { type Answer, describeSource, type StoryConnection } from "./contract.ts";
import type { FakeConnection, FakeProbe } from "./fake-probe.ts";
import { exchangeOf, FakeSource } from "./fake-source.ts";
import { helloFrame, settledFrame } from "./frames-builder.ts";
import { startProbing } from "./probing.ts";

async function openSocket(story: readonly StoryConnection[], listeners: SourceListeners): Promise<ProbeSource> {
  const { probe, client } = await startProbing({ listeners });
  void playProbe(probe, story);
  return client;
}

async function playProbe(probe: FakeProbe, story: readonly StoryConnection[]): Promise<void> {
  for (const [index, { hello, unasked = [], answers }] of story.entries()) {
    const connection = await probe.accept();
    connection.send(helloFrame(hello), ...unasked);
    const isLast = index === story.length - 1;
    await answerAll(connection, answers, isLast);
    if (!isLast) connection.die();
  }
}

/** Answers flushes too; on the last connection for ever. */
async function answerAll(connection: FakeConnection, answers: readonly Answer[], isLast: boolean): Promise<void> {
  const left = [...answers];
  let settled = 0;
  while (isLast || left.length > 0) {
    const { kind } = await connection.commandFrame();
    if (kind === FrameKind.COMMAND_SETTLE) settled++;
    if (kind === FrameKind.COMMAND_FLUSH) connection.send(settledFrame({ rows: settled }));
    if (kind === FrameKind.COMMAND_FLUSH) settled = 0;
    if (kind !== FrameKind.COMMAND_EXCHANGE) continue;
    const answer = left.shift();
    if (answer === undefined) continue;
    connection.sendBytes(bytesOf(answer));
  }
}

function bytesOf({ frames, cutAt }: Answer): Buffer {
  return packFrames(frames).subarray(0, cutAt);
}

async function openRecording(story: readonly StoryConnection[], listeners: SourceListeners): Promise<ProbeSource> {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-contract-"));
  const path = join(directory, "recording.gz");
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const recorder = new Recorder({ path, log });
  for (const { hello, unasked = [], answers } of story) {
    recorder.connected();
    recorder.fromProbe(packFrames([helloFrame(hello), ...unasked]));
    for (const answer of answers) {
      recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
      recorder.fromProbe(bytesOf(answer));
    }
    recorder.disconnected();
  }
  await recorder.close();
  const source = new ReplaySource({ path, listeners });
  onTestFinished(async () => {
    await source.close();
    rmSync(directory, { recursive: true });
  });
  return source;
}

async function openFake(story: readonly StoryConnection[]): Promise<ProbeSource> {
  return new FakeSource(
    story.flatMap(({ answers }) =>
      answers.map(
        ({ frames }) =>
          () =>
            exchangeOf(frames),
      ),
    ),
  );
}

describeSource({ name: "a probe's socket", open: openSocket, readsBytes: true, ends: false });
describeSource({ name: "a recording", open: openRecording, readsBytes: true, ends: true });
describeSource({ name: "the fake of other tests", open: openFake, readsBytes: false, ends: true });
