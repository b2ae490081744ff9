/** What the probe says: whole exchanges, what comes between them, and what cannot be used. */
import { describe, expect, test } from "vitest";
import { type Frame, packFrames } from "../../../agent/source/frames.ts";
import {
  beginFrame,
  connectionFrame,
  edgeFrame,
  endFrame,
  exchangeFrames,
  helloFrame,
  settledFrame,
  statusFrame,
} from "./frames-builder.ts";
import { edge, startProbing } from "./probing.ts";

test("an exchange hands out all its frames in their order", async () => {
  const { probe, client } = await startProbing();
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

describe("what cannot be used", () => {
  test("is counted by name, and the exchange around it goes on", async () => {
    const { probe, client } = await startProbing();
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
    const { probe, client } = await startProbing();
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
    const { probe, client } = await startProbing();
    const connection = await probe.welcome();
    await client.hello();

    connection.send(...exchangeFrames());

    await connection.closed();
    expect(client.stats().failures).toEqual({ exchange_out_of_order: 1 });
  });

  test("a probe that sends more rows than its HELLO has room for is given up, which is counted", async () => {
    const { probe, client } = await startProbing();
    const connection = await probe.welcome({ edgeCapacity: 16, cpus: 1 });
    const asked = client.exchange();
    await connection.command();

    connection.send(beginFrame({ exchange: 1n }), ...Array<Frame>(16 + 3 + 1 + 1).fill(edgeFrame()));

    await expect(asked).rejects.toMatchObject({
      code: "bad_stream",
      message: expect.stringContaining("the probe sent more frames of kind edge than its HELLO allows"),
    });
    await connection.closed();
    expect(client.stats().failures).toEqual({ beyond_hello: 1 });
  });

  test("a stream that does not begin with HELLO is not listened to", async () => {
    const { probe, client, logged } = await startProbing();
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
  const { probe, client } = await startProbing({
    listeners: { connection: (connection) => ended.push(connection.bytesSent) },
  });
  const probeSide = await probe.welcome();
  await client.hello();

  probeSide.send(connectionFrame({ bytesSent: 23 }), connectionFrame({ bytesSent: 29 }));
  const answered = probeSide.answerExchange();
  await client.exchange();
  await answered;

  expect(ended).toEqual([23, 29]);
});
