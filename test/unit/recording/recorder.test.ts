import { mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import type { EdgeGrowth } from "../../../agent/model/edge.ts";
import { RecordingDamage, readEntries } from "../../../agent/recording/container.ts";
import { ReplaySource } from "../../../agent/recording/recorded-source.ts";
import { Recorder } from "../../../agent/recording/recorder.ts";
import type { ErrorLogger } from "../../../agent/shared/logger.ts";
import { EXCHANGE_COMMAND, FLUSH_COMMAND } from "../../../agent/source/commands.ts";
import { type Frame, packFrames } from "../../../agent/source/frames.ts";
import { ProbeClient } from "../../../agent/source/probe-client.ts";
import { type ExchangeData, type ProbeSource, SourceError } from "../../../agent/source/source.ts";
import { FakeProbe } from "../source/fake-probe.ts";
import {
  cgroupFrame,
  connectionFrame,
  type EdgeValues,
  edgeRow,
  exchangeFrames,
  helloFrame,
  said as rowSaid,
} from "../source/frames-builder.ts";

let directory: string;
let logged: string[];
const log: ErrorLogger = {
  info: () => {},
  warn: (_, message) => logged.push(message),
  error: (_, message) => logged.push(message),
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "flowspan-record-"));
  logged = [];
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function path(name = "recording"): string {
  return join(directory, name);
}

function edges(...bytes: readonly number[]): EdgeValues[] {
  return bytes.map((bytesSent, index) => ({ key: { serverPort: 80 + index }, counters: { bytesSent } }));
}

/** Writes a recording by hand: the agent asks and answers as a test says. */
async function record(name: string, play: (recorder: Recorder) => void, end = true): Promise<string> {
  const recorder = new Recorder({ path: path(name), log, nowUnixNs: () => 23n });
  play(recorder);
  if (end) await recorder.close();
  return path(name);
}

function fromProbe(recorder: Recorder, ...frames: readonly Frame[]): void {
  recorder.fromProbe(packFrames(frames));
}

function greeted(recorder: Recorder): void {
  recorder.connected();
  fromProbe(recorder, helloFrame());
}

function recordedExchange(recorder: Recorder, exchange: bigint, settles: boolean, ...bytes: readonly number[]): void {
  recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
  fromProbe(recorder, ...exchangeFrames({ exchange, edges: edges(...bytes) }));
  const rows = edges(...bytes).map((edge) => ({
    kind: FrameKind.COMMAND_SETTLE,
    payload: edgeRow({ exchange, ...edge }),
  }));
  if (settles) recorder.toProbe(packFrames([...rows, FLUSH_COMMAND]));
}

/** All exchanges of a source, and the error it ended with. */
async function playAll(source: ProbeSource, settles: boolean) {
  const exchanges: ExchangeData[] = [];
  const errors: SourceError[] = [];
  for (;;) {
    try {
      const exchange = await source.exchange();
      if (exchange === undefined) return { exchanges, errors };
      exchanges.push(exchange);
      if (settles) source.settle(exchange.rows);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      errors.push(error);
    }
  }
}

function bytesOf(rows: readonly EdgeGrowth[]): (number | undefined)[] {
  return rows.map((row) => row.counters[0]);
}

/** All that an exchange says, as a value to compare. */
function whole({ free, rows, ...rest }: ExchangeData) {
  return { ...rest, rows: rows.map(rowSaid) };
}

function said(exchanges: readonly ExchangeData[]) {
  return exchanges.map((exchange) => ({ exchange: exchange.begin.exchange, bytes: bytesOf(exchange.rows) }));
}

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
    greeted(recorder);
    recorder.toProbe(packFrames([EXCHANGE_COMMAND]));
    recorder.fromProbe(packFrames(exchangeFrames({ edges: edges(23) })).subarray(0, 100));
    recorder.disconnected();
    greeted(recorder);
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
      greeted(recorder);
      recordedExchange(recorder, 1n, false, 23);
      recordedExchange(recorder, 2n, false, 23 + 29);
      recordedExchange(recorder, 3n, true, 23 + 29 + 31);
    });

    const { exchanges } = await playAll(new ReplaySource({ path: file }), true);

    expect(said(exchanges).map(({ bytes }) => bytes)).toEqual([[23], [29], [31]]);
  });

  test("is told again what it could not export itself", async () => {
    const file = await record("there", (recorder) => {
      greeted(recorder);
      recordedExchange(recorder, 1n, true, 23);
      recordedExchange(recorder, 2n, true, 29);
    });

    const { exchanges } = await playAll(new ReplaySource({ path: file }), false);

    expect(said(exchanges).map(({ bytes }) => bytes)).toEqual([[23], [52]]);
  });
});

describe("damage", () => {
  const play = (recorder: Recorder) => {
    greeted(recorder);
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
        greeted(recorder);
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
      greeted(recorder);
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
      greeted(recorder);
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

/** Rows that do not compress away: different for each exchange. */
function noise(seed: number): number[] {
  return Array.from({ length: 5 }, (_, i) => (seed * 7919 + i * 104729) % 1_000_003);
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8((copy[at] as number) ^ 1, at);
  return copy;
}
