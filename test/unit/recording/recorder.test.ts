/** A recording is what the probe said: replays say the same, and settle as their own reader does. */
import { openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ReplaySource } from "../../../agent/recording/recorded-source.ts";
import { Recorder } from "../../../agent/recording/recorder.ts";
import { EXCHANGE_COMMAND } from "../../../agent/source/commands.ts";
import { packFrames } from "../../../agent/source/frames.ts";
import { ProbeClient } from "../../../agent/source/probe-client.ts";
import type { ExchangeData } from "../../../agent/source/source.ts";
import { FakeProbe } from "../source/fake-probe.ts";
import { connectionFrame, exchangeFrames, helloFrame } from "../source/frames-builder.ts";

import {
  edges,
  fromProbe,
  log,
  logged,
  path,
  playAll,
  record,
  recordedExchange,
  said,
  sendHello,
  useRecordings,
  whole,
} from "./recordings.ts";

useRecordings();

test.each(["live", "live.gz"])("%s: a replay says the same exchanges as the probe did", async (name) => {
  const probe = await new FakeProbe().listen();
  const recorder = new Recorder({ path: path(name), log });
  const client = new ProbeClient({ path: probe.path, log, tap: recorder, backoffMs: 1 });
  const live: ExchangeData[] = [];

  for (const start of [1n, 3n]) {
    const connection = await probe.welcome({ exchange: start - 1n });
    for (const exchange of [start, start + 1n]) {
      const answered = connection.answerExchange({
        exchange,
        cgroups: [{ id: exchange }],
        edges: edges(23, 29, Number(exchange)),
        namespaces: [{ netns: 7 }],
        programs: [{ runs: 31 }],
      });
      const data = await client.exchange();
      await answered;
      live.push(data);
      client.settle(data.rows);
      const flushed = client.flush();
      await connection.answerSettles(3);
      await flushed;
    }
    connection.die();
    await connection.closed();
  }
  await client.close();
  await recorder.close();
  await probe.close();
  const replay = new ReplaySource({ path: path(name) });
  const { exchanges, errors } = await playAll(replay, true);

  expect(live).toHaveLength(4);
  expect({ exchanges: exchanges.map(whole), errors }).toEqual({ exchanges: live.map(whole), errors: [] });
  expect(replay.stats()).toMatchObject({ connects: 2, failures: {} });
  expect(statSync(path(name)).mode & 0o777).toBe(0o600);
});

test("a file whose name ends in .gz is compressed, any other is not", async () => {
  await record("a.gz", (recorder) => recordedExchange(recorder, 1n, true, 23));
  await record("a", (recorder) => recordedExchange(recorder, 1n, true, 23));

  expect(gunzipSync(readFileSync(path("a.gz"))).equals(readFileSync(path("a")))).toBe(true);
});

test("HELLO can be read before the first exchange, and connections reach the listener", async () => {
  const file = await record("hello", (recorder) => {
    recorder.connected();
    fromProbe(recorder, helloFrame({ probePid: 23 }), connectionFrame({ bytesSent: 29 }));
    recorder.disconnected();
  });
  const ended: number[] = [];
  const replay = new ReplaySource({ path: file, listeners: { connection: (one) => ended.push(one.bytesSent) } });

  expect((await replay.hello()).probePid).toBe(23);
  expect({ exchange: await replay.exchange(), ended }).toEqual({ exchange: undefined, ended: [29] });
});

test("an exchange that broke when it was recorded breaks again, and the next one is played", async () => {
  const file = await record("broken", (recorder) => {
    sendHello(recorder);
    recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
    recorder.fromProbe(packFrames(exchangeFrames({ edges: edges(23) })).subarray(0, 100));
    recorder.disconnected();
    sendHello(recorder);
    recordedExchange(recorder, 2n, true, 29);
    recorder.disconnected();
  });
  const replay = new ReplaySource({ path: file });

  const { exchanges, errors } = await playAll(replay, true);

  expect({
    said: said(exchanges),
    codes: errors.map((error) => error.code),
    failures: replay.stats().failures,
  }).toEqual({
    said: [{ exchange: 2n, bytes: [29] }],
    codes: ["disconnected"],
    failures: { frame_cut: 1 },
  });
});

test("a connection that broke before its HELLO does not hide the damage behind it", async () => {
  const file = await record("unnamed", (recorder) => {
    recorder.connected();
    recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
    recorder.disconnected();
  });
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 16));

  await expect(new ReplaySource({ path: file }).hello()).rejects.toThrow(
    /^the recording is damaged at byte 72: it ends/,
  );
});

describe("a pipeline that settles other exchanges than the recorded one", () => {
  test("is not told twice what the recorded agent could not export", async () => {
    const file = await record("away", (recorder) => {
      sendHello(recorder);
      recordedExchange(recorder, 1n, false, 23);
      recordedExchange(recorder, 2n, false, 23 + 29);
      recordedExchange(recorder, 3n, true, 23 + 29 + 31);
    });

    const { exchanges } = await playAll(new ReplaySource({ path: file }), true);

    expect(said(exchanges).map(({ bytes }) => bytes)).toEqual([[23], [29], [31]]);
  });

  test("is told again what it could not export itself", async () => {
    const file = await record("there", (recorder) => {
      sendHello(recorder);
      recordedExchange(recorder, 1n, true, 23);
      recordedExchange(recorder, 2n, true, 29);
    });

    const { exchanges } = await playAll(new ReplaySource({ path: file }), false);

    expect(said(exchanges).map(({ bytes }) => bytes)).toEqual([[23], [52]]);
  });
});

test("what a connection says after the recording was closed is left out", async () => {
  const recorder = new Recorder({ path: path("closed.gz"), log });
  recorder.connected();
  await recorder.close();

  recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
  recorder.disconnected();

  expect(await playAll(new ReplaySource({ path: path("closed.gz") }), true)).toEqual({ exchanges: [], errors: [] });
  expect(logged).toEqual([]);
});

test("a disk that fails ends the recording with a named error, not the agent", async () => {
  const recorder = new Recorder({ path: path(), file: openSync("/dev/full", "w"), log });

  recorder.connected();
  await recorder.close();
  recorder.fromProbe(Buffer.from("late"));

  expect({ failed: recorder.failed, logged }).toEqual({
    failed: true,
    logged: [expect.stringMatching(/^the recording has ended early, the agent goes on: ENOSPC/)],
  });
});
