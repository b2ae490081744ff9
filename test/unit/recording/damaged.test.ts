/** Recordings that were cut, broken or written by somebody else: what is whole is played, and what is not is named. */
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RecordingDamage, readEntries } from "../../../agent/recording/container.ts";
import { ReplaySource } from "../../../agent/recording/recorded-source.ts";
import type { Recorder } from "../../../agent/recording/recorder.ts";
import { type Frame, packFrames } from "../../../agent/source/frames.ts";
import { cgroupFrame, connectionFrame, exchangeFrames, helloFrame } from "../source/frames-builder.ts";

import {
  edges,
  fromProbe,
  path,
  playAll,
  record,
  recordedExchange,
  said,
  sendHello,
  useRecordings,
} from "./recordings.ts";

useRecordings();

const play = (recorder: Recorder) => {
  sendHello(recorder);
  recordedExchange(recorder, 1n, true, 23);
  recordedExchange(recorder, 2n, true, 29);
};

test("a recording that was cut plays what is whole, and says where it was cut", async () => {
  const whole = readFileSync(await record("whole", play));
  writeFileSync(path("cut"), whole.subarray(0, whole.length - 50));

  const { exchanges, errors } = await playAll(new ReplaySource({ path: path("cut") }), true);

  expect({ said: said(exchanges).length, errors: errors.map(({ code, message }) => ({ code, message })) }).toEqual({
    said: 2,
    errors: [
      {
        code: "recording_damaged",
        message: `the recording is damaged at byte ${whole.length - 50}: it ends within an entry`,
      },
    ],
  });
});

test("a recorder that was killed leaves a file that says so", async () => {
  const whole = readFileSync(await record("whole", play));
  writeFileSync(path("killed"), whole.subarray(0, whole.length - 16));

  const { exchanges, errors } = await playAll(new ReplaySource({ path: path("killed") }), true);

  expect({ said: said(exchanges).length, messages: errors.map((error) => error.message) }).toEqual({
    said: 2,
    messages: [
      `the recording is damaged at byte ${whole.length - 16}: it ends within an entry's header: the recorder was killed or the file cut`,
    ],
  });
});

test("a compressed recording that was cut plays what is whole", async () => {
  const whole = readFileSync(await record("whole.gz", play));
  writeFileSync(path("cut.gz"), whole.subarray(0, whole.length - 20));

  const { exchanges, errors } = await playAll(new ReplaySource({ path: path("cut.gz") }), true);

  expect({ said: said(exchanges).length, codes: errors.map((error) => error.code) }).toEqual({
    said: 2,
    codes: ["recording_damaged"],
  });
});

test("a compressed recording with broken bytes plays what comes before them", async () => {
  const whole = readFileSync(
    await record("long.gz", (recorder) => {
      sendHello(recorder);
      for (let i = 1; i <= 300; i++) recordedExchange(recorder, BigInt(i), true, ...noise(i));
    }),
  );
  whole.fill(0xff, Math.floor(whole.length * 0.9));
  writeFileSync(path("broken.gz"), whole);

  const { exchanges, errors } = await playAll(new ReplaySource({ path: path("broken.gz") }), true);

  expect(exchanges.length).toBeGreaterThan(250);
  expect(errors.map((error) => error.code)).toEqual(["recording_damaged"]);
});

test.each<[string, (bytes: Buffer) => void, RegExp]>([
  ["another file", (bytes) => bytes.write("PK"), /byte 0: this is no flowspan recording/],
  ["a newer container", (bytes) => bytes.writeUInt32LE(2, 8), /container has version 2, this flowspan reads 1/],
  ["another protocol", (bytes) => bytes.writeUInt32LE(9, 12), /holds protocol 9, .* use the one that recorded it/],
  ["an entry of no kind", (bytes) => bytes.writeUInt32LE(77, 20), /byte 16: no entry has kind 77/],
  ["an entry without end", (bytes) => bytes.writeUInt32LE(2 ** 31, 16), /byte 16: no entry has 2147483648 bytes/],
])("%s is refused with the reason", async (_, damage, message) => {
  const bytes = readFileSync(await record("whole", play));
  damage(bytes);
  writeFileSync(path("damaged"), bytes);

  const { errors } = await playAll(new ReplaySource({ path: path("damaged") }), true);

  expect(errors.map((error) => error.message)).toEqual([expect.stringMatching(message)]);
});

test("a file that does not exist is an error of the source, once", async () => {
  const { exchanges, errors } = await playAll(new ReplaySource({ path: path("nowhere") }), true);

  expect({ exchanges, codes: errors.map((error) => error.code) }).toEqual({
    exchanges: [],
    codes: ["recording_damaged"],
  });
  expect(errors[0]?.message).toMatch(/ENOENT/);
});

test.each([
  ["other bytes follow the compressed ones", (whole: Buffer) => Buffer.concat([whole, Buffer.alloc(40_000)])],
  ["incorrect data check", (whole: Buffer) => flipped(whole, whole.length - 8)],
])("what gzip alone can see ends the replay, and does not hold it: %s", async (why, damage) => {
  writeFileSync(path("damaged.gz"), damage(readFileSync(await record("whole.gz", play))));

  const { errors } = await playAll(new ReplaySource({ path: path("damaged.gz") }), true);

  expect(errors.map(({ message }) => message)).toEqual([
    expect.stringMatching(new RegExp(`damaged at byte \\d+: ${why}$`)),
  ]);
});

test("bytes behind the end entry are no recorder's", async () => {
  const whole = readFileSync(await record("whole", play));
  writeFileSync(path("longer"), Buffer.concat([whole, Buffer.alloc(3)]));

  const { errors } = await playAll(new ReplaySource({ path: path("longer") }), true);

  expect(errors.map(({ message }) => message)).toEqual([
    `the recording is damaged at byte ${whole.length}: more bytes follow its end entry`,
  ]);
});

test("a settle of more than was reported names the exchange that has too little", async () => {
  const file = await record("negative", (recorder) => {
    sendHello(recorder);
    recordedExchange(recorder, 1n, false, 23);
    recordedExchange(recorder, 2n, false, 11);
  });

  const { exchanges, errors } = await playAll(new ReplaySource({ path: file }), true);

  expect({ said: said(exchanges).length, messages: errors.map(({ message }) => message) }).toEqual({
    said: 1,
    messages: [
      expect.stringMatching(
        /damaged at byte \d+: in exchange 2, an edge has grown by less than nothing, or by more than a counter holds$/,
      ),
    ],
  });
});

test.each<[string, readonly Frame[], RegExp]>([
  ["rows", exchangeFrames({ edges: edges(23) }), /frame 1 of connection 1: the probe began with exchange-begin/],
  ["connection records", [connectionFrame()], /frame 1 of connection 1: the probe began with connection/],
  ["a second HELLO", [helloFrame(), helloFrame()], /frame 2 of connection 1: the probe said HELLO twice/],
  ["a HELLO of another protocol", [helloFrame({ protocol: 77 })], /frame 1 of connection 1: HELLO has protocol 77/],
  [
    "more rows than HELLO has room for",
    [helloFrame({ edgeCapacity: 16, cpus: 2 }), ...exchangeFrames({ edges: edges(...Array(22).fill(1)) })],
    /frame 24 of connection 1: the probe sent more frames of kind edge than its HELLO allows/,
  ],
  [
    "more cgroups than HELLO has room for",
    [
      helloFrame({ edgeCapacity: 16, cpus: 2 }),
      ...Array.from({ length: 22 }, (_, id) => cgroupFrame({ id: BigInt(id) })),
    ],
    /frame 23 of connection 1: the probe sent more frames of kind cgroup than its HELLO allows/,
  ],
])("what no probe sends first, or so often, ends the replay: %s", async (_, frames, message) => {
  const file = await record("endless", (recorder) => {
    recorder.connected();
    fromProbe(recorder, ...frames);
  });

  const { exchanges, errors } = await playAll(new ReplaySource({ path: file }), true);

  expect({ exchanges, messages: errors.map((error) => error.message) }).toEqual({
    exchanges: [],
    messages: [expect.stringMatching(message)],
  });
});

test("what cannot be read is counted, with the place of the first", async () => {
  const unknown = { kind: 63, payload: Buffer.alloc(3) };
  const file = await record("unread", (recorder) => {
    sendHello(recorder);
    fromProbe(recorder, unknown, unknown);
  });
  const replay = new ReplaySource({ path: file });

  await playAll(replay, true);

  // The head, CONNECTED, and HELLO's entry lie before.
  const at = 16 + 16 + 16 + packFrames([helloFrame()]).length;
  expect(replay.unread()).toEqual([{ name: "unknown_kind", count: 2, at, frame: 2 }]);
});

test("arbitrary bytes end in entries or in a named damage", async () => {
  const head = readFileSync(await record("empty", () => {})).subarray(0, 16);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), async (chunks) => {
      async function* bytes() {
        yield head;
        for (const chunk of chunks) yield Buffer.from(chunk);
      }
      const read = async () => {
        for await (const entry of readEntries(bytes(), 1)) expect(entry.kind).toBeLessThan(5);
      };

      await read().catch((error) => expect(error).toBeInstanceOf(RecordingDamage));
    }),
  );
});

/** Rows that do not compress away: different for each exchange. */
function noise(seed: number): number[] {
  return Array.from({ length: 5 }, (_, i) => (seed * 7919 + i * 104729) % 1_000_003);
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8((copy[at] as number) ^ 1, at);
  return copy;
}
