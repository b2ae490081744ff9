import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeEdge } from "../../../agent/source/decode.ts";
import { packFrames } from "../../../agent/source/frames.ts";
import { ProbeClient, type ProbeOptions } from "../../../agent/source/probe.ts";
import type { SourceLog } from "../../../agent/source/source.ts";
import { FakeProbe } from "./fake-probe.ts";
import {
  beginFrame,
  connectionFrame,
  edgeFrame,
  edgeRow,
  endFrame,
  exchangeFrames,
  helloFrame,
  settledFrame,
  statusFrame,
} from "./frames-builder.ts";

/** Long enough for a busy machine; only the tests of silence wait for a time of their own. */
const PATIENT_MS = 10_000;
const SHORT_MS = 700;

let probe: FakeProbe;
let clients: ProbeClient[];
let logged: string[];

const log: SourceLog = {
  info: (_, message) => logged.push(`info: ${message}`),
  warn: (_, message) => logged.push(`warn: ${message}`),
  error: (_, message) => logged.push(`error: ${message}`),
};

beforeEach(async () => {
  probe = await new FakeProbe().listen();
  clients = [];
  logged = [];
});

afterEach(async () => {
  for (const client of clients) await client.close();
  await probe.close();
});

function startClient(options: Partial<ProbeOptions> = {}): ProbeClient {
  const timing = { answerTimeoutMs: PATIENT_MS, backoffMs: 1, backoffMaxMs: 20 };
  const client = new ProbeClient({ path: probe.path, log, ...timing, ...options });
  clients.push(client);
  return client;
}

/** Ports tell edges apart; bytes say which exchange a row is from. */
function edge(serverPort: number, bytesSent: number) {
  return { key: { serverPort }, counters: { bytesSent } };
}

test("an exchange hands out all its frames in their order", async () => {
  const client = startClient();
  const connection = await probe.welcome();
  const cgroups = [{ id: 7n, names: ["a.service"] }];
  const answered = connection.answerExchange({
    exchange: 3n,
    cgroups,
    edges: [edge(80, 23), edge(81, 29)],
    namespaces: [{ netns: 31 }],
    programs: [{ name: "walk" }],
    status: { edges: 2 },
  });

  const exchange = await client.exchange();
  await answered;

  expect({
    begin: exchange.begin.exchange,
    cgroups: exchange.cgroups.map((cgroup) => cgroup.names),
    rows: exchange.rows.map((row) => row.counters[0]),
    namespaces: exchange.namespaces.map((namespace) => namespace.netns),
    programs: exchange.programs.map((program) => program.name),
    status: exchange.status.edges,
    end: exchange.end.edges,
    failures: client.stats().failures,
  }).toEqual({
    begin: 3n,
    cgroups: [["a.service"]],
    rows: [23, 29],
    namespaces: [31],
    programs: ["walk"],
    status: 2,
    end: 2,
    failures: {},
  });
});

test("a probe that starts after the agent is found", async () => {
  await probe.close();
  probe = new FakeProbe();
  const client = startClient();
  const hello = client.hello();
  await probe.listen();

  await probe.welcome({ probePid: 23 });

  expect((await hello).probePid).toBe(23);
});

test("a call says that no probe answers, where, and what to look at", async () => {
  await probe.close();
  const client = startClient({ answerTimeoutMs: 50 });

  await expect(client.exchange()).rejects.toMatchObject({
    code: "disconnected",
    message: expect.stringMatching(/no probe answers at .*probe\.sock \(.*ENOENT.*\): is flowspan-probe running\?/),
  });
});

describe("a HELLO of another protocol", () => {
  test.each([
    [0, "upgrade flowspan-probe"],
    [99, "upgrade the flowspan agent"],
  ])("%d says which side is too old", async (protocol, remedy) => {
    const client = startClient();
    const exchange = client.exchange();
    const connection = await probe.accept();

    connection.send(helloFrame({ protocol }));

    await expect(exchange).rejects.toMatchObject({
      code: "protocol_mismatch",
      message: `the probe speaks protocol ${protocol}, this agent 1: ${remedy}`,
    });
  });

  test("does not keep the agent from the right probe that comes later", async () => {
    const client = startClient();
    (await probe.accept()).send(helloFrame({ protocol: 99 }));

    const connection = await probe.welcome();
    const answered = connection.answerExchange({ exchange: 5n });

    expect((await client.exchange()).begin.exchange).toBe(5n);
    await answered;
    expect(client.stats().failures).toEqual({ protocol_mismatch: 1 });
  });
});

describe("a connection that breaks", () => {
  test("in the middle of a frame fails the exchange, and the next one is whole", async () => {
    const client = startClient();
    const first = await probe.welcome();
    const broken = client.exchange();
    const whole = packFrames(exchangeFrames({ exchange: 1n, edges: [edge(80, 23)] }));

    expect(await first.command()).toBe("COMMAND_EXCHANGE");
    first.sendBytes(whole.subarray(0, 200));
    first.die();
    await expect(broken).rejects.toMatchObject({ code: "disconnected" });
    const second = await probe.welcome();
    const answered = second.answerExchange({ exchange: 2n, edges: [edge(80, 29)] });
    const exchange = await client.exchange();
    await answered;

    expect({ rows: exchange.rows.map((row) => row.counters[0]), failures: client.stats().failures }).toEqual({
      rows: [29],
      failures: { frame_cut: 1 },
    });
  });

  test("is said once in the log, however often it breaks in the same way", async () => {
    const client = startClient();
    for (let i = 0; i < 5; i++) (await probe.accept()).die();
    await probe.welcome();
    await client.hello();

    expect(logged).toEqual([
      "warn: the connection to the probe broke: the probe closed the connection",
      "info: connected to the probe",
    ]);
  });

  test("says each cgroup once, though two probes did", async () => {
    const client = startClient();
    const first = await probe.welcome();
    const broken = client.exchange();
    await first.command();
    first.send(...exchangeFrames({ cgroups: [{ id: 7n }] }).slice(0, 2));
    first.die();
    await expect(broken).rejects.toMatchObject({ code: "disconnected" });

    const second = await probe.welcome();
    const answered = second.answerExchange({ cgroups: [{ id: 7n }] });
    const exchange = await client.exchange();
    await answered;

    expect(exchange.cgroups.map((cgroup) => cgroup.id)).toEqual([7n]);
  });
});

describe("a probe that is silent", () => {
  test("after the connect is given up, and another one is tried", async () => {
    const client = startClient({ answerTimeoutMs: SHORT_MS });
    const silent = await probe.accept();

    await silent.closed();
    await probe.welcome({ probePid: 23 });

    expect((await client.hello()).probePid).toBe(23);
    expect(client.stats().failures).toEqual({ answer_timeout: 1 });
  });

  test("in the middle of an exchange fails it with a timeout", async () => {
    const client = startClient({ answerTimeoutMs: SHORT_MS });
    const connection = await probe.welcome();
    const exchange = client.exchange();

    await connection.command();
    connection.send(beginFrame());

    await expect(exchange).rejects.toMatchObject({ code: "timeout" });
    await connection.closed();
  });

  test("while nothing is asked is left alone, whatever connections end", async () => {
    const limitMs = 50;
    const client = startClient({ answerTimeoutMs: limitMs });
    const connection = await probe.welcome();
    await client.hello();

    const untilMs = performance.now() + 3 * limitMs;
    while (performance.now() < untilMs) {
      connection.send(connectionFrame());
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answered = connection.answerExchange({ exchange: 23n });

    expect((await client.exchange()).begin.exchange).toBe(23n);
    await answered;
    expect(client.stats()).toMatchObject({ connects: 1, failures: {} });
  });
});

describe("settled rows", () => {
  const rows = [80, 81, 82].map((port) => edgeRow(edge(port, port)));

  test("reach the probe verbatim, and the flush says how many", async () => {
    const client = startClient();
    const connection = await probe.welcome();
    await client.hello();

    client.settle(rows);
    const flushed = client.flush();
    const settled = await connection.answerSettles(3);

    expect(settled).toEqual(rows);
    expect(await flushed).toEqual({ rows: 3, unknown: 0 });
  });

  test("that were not confirmed go to the next probe before anything else, and the flush resolves there", async () => {
    const client = startClient();
    const first = await probe.welcome();
    await client.hello();
    client.settings({ idleNs: 23n, records: false });
    client.settle(rows);
    const flushed = client.flush();
    expect(await first.commands(5)).toEqual([
      "COMMAND_SETTINGS",
      "COMMAND_SETTLE",
      "COMMAND_SETTLE",
      "COMMAND_SETTLE",
      "COMMAND_FLUSH",
    ]);
    first.die();

    const second = await probe.welcome();
    const again = await second.answerSettles(3);
    const answered = second.command().then(() => second.answerExchange());
    await client.exchange();
    await answered;

    expect(again).toEqual(rows);
    expect(await flushed).toEqual({ rows: 3, unknown: 0 });
    expect(client.stats().resent).toBe(3);
  });

  test("that were confirmed are not sent again", async () => {
    const client = startClient();
    const first = await probe.welcome();
    await client.hello();
    client.settle(rows);
    const flushed = client.flush();
    await first.answerSettles(3);
    await flushed;
    first.die();

    const second = await probe.welcome();
    const answered = second.answerExchange();
    await client.exchange();
    await answered;

    expect(client.stats().resent).toBe(0);
  });

  test("are flushed before an exchange when nobody flushed them", async () => {
    const client = startClient();
    const connection = await probe.welcome();
    await client.hello();

    client.settle(rows);
    const exchange = client.exchange();
    await connection.answerSettles(3);
    await connection.answerExchange();

    await exchange;
    expect(await client.flush()).toEqual({ rows: 0, unknown: 0 });
  });

  test("that were settled between two probes go to the second", async () => {
    const client = startClient();
    const first = await probe.welcome();
    const asked = client.exchange();
    await first.command();
    first.die();
    await expect(asked).rejects.toMatchObject({ code: "disconnected" });

    client.settle(rows);
    const second = await probe.welcome();

    expect(await second.answerSettles(3)).toEqual(rows);
  });

  test("of maps that are gone are dropped and counted, never applied to the new maps", async () => {
    const client = startClient();
    const first = await probe.welcome({ startedNs: 1n });
    await client.hello();
    client.settle(rows);
    const flushed = client.flush();
    await first.commands(4);
    first.die();

    const second = await probe.welcome({ startedNs: 2n });
    const answered = second.answerExchange();
    await client.exchange();
    await answered;

    expect(await flushed).toEqual({ rows: 0, unknown: 3 });
    expect(client.stats().failures).toEqual({ settle_void: 3 });
  });

  test("keep until a flush is confirmed, though its call gave up", async () => {
    const client = startClient({ answerTimeoutMs: SHORT_MS });
    const first = await probe.welcome();
    await client.hello();
    client.settle(rows);

    await expect(client.flush()).rejects.toMatchObject({ code: "timeout" });
    await first.closed();
    const second = await probe.welcome();

    expect(await second.answerSettles(3)).toEqual(rows);
  });

  test("leave no faster than the probe reads, and all of them", async () => {
    const client = startClient();
    const connection = await probe.welcome();
    await client.hello();
    const many = Array.from({ length: 20_011 }, (_, i) => edgeRow(edge(i % 60_000, i)));
    connection.pause();

    client.settle(many);
    const flushed = client.flush();
    connection.resume();
    const settled = await connection.answerSettles(many.length);

    expect(Buffer.concat(settled).equals(Buffer.concat(many))).toBe(true);
    expect(await flushed).toEqual({ rows: many.length, unknown: 0 });
  });
});

test("settings and scopes are said again to each new probe", async () => {
  const client = startClient();
  client.settings({ idleNs: 1n, records: false });
  client.settings({ idleNs: 2n, records: true });
  client.scopes([{ address: "10.0.0.0", prefixLength: 8, collapse: true }]);
  const first = await probe.welcome();
  const firstCommands = await first.commands(2);
  first.die();

  const second = await probe.welcome();
  const settings = await second.commandFrame();

  expect(firstCommands).toEqual(["COMMAND_SETTINGS", "COMMAND_SCOPE"]);
  expect(Buffer.from(settings.payload).readBigUInt64LE(0)).toBe(2n);
  expect(await second.command()).toBe("COMMAND_SCOPE");
});

describe("what cannot be used", () => {
  test("is counted by name, and the exchange around it goes on", async () => {
    const client = startClient();
    const connection = await probe.welcome();
    const exchange = client.exchange();
    await connection.command();

    connection.send(
      beginFrame(),
      edgeFrame(edge(80, 23)),
      { kind: 3, payload: new Uint8Array(7) },
      { kind: 57, payload: new Uint8Array(7) },
      edgeFrame({ counters: { bytesSent: 2n ** 60n } }),
      settledFrame(),
      statusFrame(),
      endFrame({ edges: 3 }),
    );

    expect((await exchange).rows.map((row) => row.counters[0])).toEqual([23]);
    expect(client.stats().failures).toEqual({
      wrong_length: 1,
      unknown_kind: 1,
      number_too_large: 1,
      settled_unasked: 1,
      row_missing: 2,
    });
  });

  test.each([
    ["a frame that is too long", () => Buffer.from([0, 0, 2, 0, 3, 0, 0, 0]), { frame_too_long: 1 }],
    ["a second HELLO", () => packFrames([helloFrame()]), {}],
    ["an END without a BEGIN", () => packFrames([endFrame()]), { exchange_out_of_order: 1 }],
    ["a row before BEGIN", () => packFrames([edgeFrame()]), { exchange_out_of_order: 1 }],
    ["BEGIN twice", () => packFrames([beginFrame(), beginFrame()]), { exchange_out_of_order: 1 }],
    ["an END without a STATUS", () => packFrames([beginFrame(), endFrame()]), { exchange_out_of_order: 1 }],
  ])("%s ends the connection, and the next one works", async (_, bytes, failures) => {
    const client = startClient();
    const first = await probe.welcome();
    const exchange = client.exchange();
    await first.command();

    first.sendBytes(bytes());

    await expect(exchange).rejects.toMatchObject({ name: "SourceError" });
    await first.closed();
    const second = await probe.welcome();
    const answered = second.answerExchange();
    await client.exchange();
    await answered;
    expect(client.stats().failures).toMatchObject(failures);
  });

  test("an exchange that nobody asked for ends the connection", async () => {
    const client = startClient();
    const connection = await probe.welcome();
    await client.hello();

    connection.send(...exchangeFrames());

    await connection.closed();
    expect(client.stats().failures).toEqual({ exchange_out_of_order: 1 });
  });

  test("a stream that does not begin with HELLO is not listened to", async () => {
    const client = startClient();
    const connection = await probe.accept();

    connection.send(statusFrame());

    await connection.closed();
    await probe.welcome();
    await client.hello();
    expect(logged[0]).toBe("warn: the probe began with status instead of HELLO");
  });
});

test("ended connections reach the listener, also between exchanges", async () => {
  const ended: number[] = [];
  const client = startClient({ listeners: { connection: (connection) => ended.push(connection.bytesSent) } });
  const probeSide = await probe.welcome();
  await client.hello();

  probeSide.send(connectionFrame({ bytesSent: 23 }), connectionFrame({ bytesSent: 29 }));
  const answered = probeSide.answerExchange();
  await client.exchange();
  await answered;

  expect(ended).toEqual([23, 29]);
});

test("close() fails the calls that wait, and no call works after it", async () => {
  const client = startClient();
  const connection = await probe.welcome();
  await client.hello();
  const exchange = client.exchange();
  await connection.command();
  client.settle([edgeRow()]);
  const flushed = client.flush();

  const failed = Promise.all([
    expect(exchange).rejects.toMatchObject({ code: "closed" }),
    expect(flushed).rejects.toMatchObject({ code: "closed" }),
  ]);
  await client.close();
  await failed;

  await connection.closed();
  await expect(client.exchange()).rejects.toMatchObject({ code: "closed" });
  await expect(client.flush()).rejects.toMatchObject({ code: "closed" });
  await expect(client.hello()).rejects.toMatchObject({ code: "closed" });
});

test("a row can be decoded again from what COMMAND_SETTLE carries", async () => {
  const client = startClient();
  const connection = await probe.welcome();
  const answered = connection.answerExchange({ edges: [{ ...edge(80, 23), slots: [[5, 2]] }] });
  const { rows } = await client.exchange();
  await answered;

  client.settle(rows.map((row) => row.row));
  const flushed = client.flush();
  const [settled] = await connection.answerSettles(1);
  await flushed;

  expect(decodeEdge(settled as Buffer)).toEqual(rows[0]);
});
