/** A probe that comes, goes, dies, is silent or of another version: how the client finds and leaves it. */
import { describe, expect, test } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../../agent/generated/layout.ts";
import { packFrames } from "../../../agent/source/frames.ts";
import { beginFrame, connectionFrame, edgeGrowth, exchangeFrames, helloFrame } from "./frames-builder.ts";
import { edge, SHORT_MS, startProbing } from "./probing.ts";

test("a probe that starts after the agent is found", async () => {
  const { probe, client } = await startProbing({ isThere: false });
  const hello = client.hello();
  await probe.listen();

  await probe.welcome({ probePid: 23 });

  expect((await hello).probePid).toBe(23);
});

test("a call says that no probe answers, where, and what to look at", async () => {
  const { client } = await startProbing({ isThere: false, answerTimeoutMs: SHORT_MS });

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
    const { probe, client } = await startProbing();
    const exchange = client.exchange();
    const connection = await probe.accept();

    connection.send(helloFrame({ protocol }));

    await expect(exchange).rejects.toMatchObject({
      code: "protocol_mismatch",
      message: `the probe speaks protocol ${protocol}, this agent ${FLOWSPAN_PROTOCOL}: ${remedy}`,
    });
  });

  test("does not keep the agent from the right probe that comes later", async () => {
    const { probe, client } = await startProbing();
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
    const { probe, client } = await startProbing();
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
    const { probe, client, logged } = await startProbing();
    for (let i = 0; i < 5; i++) (await probe.accept()).die();
    await probe.welcome();
    await client.hello();

    expect(logged).toEqual([
      "warn: the connection to the probe broke: the probe closed the connection",
      "info: connected to the probe",
    ]);
  });

  test("says each cgroup once, though two probes did", async () => {
    const { probe, client } = await startProbing();
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
    const { probe, client } = await startProbing({ answerTimeoutMs: SHORT_MS });
    const silent = await probe.accept();

    await silent.closed();
    await probe.welcome({ probePid: 23 });

    expect((await client.hello()).probePid).toBe(23);
    expect(client.stats().failures).toEqual({ answer_timeout: 1 });
  });

  test("in the middle of an exchange fails it with a timeout", async () => {
    const { probe, client } = await startProbing({ answerTimeoutMs: SHORT_MS });
    const connection = await probe.welcome();
    const exchange = client.exchange();

    await connection.command();
    connection.send(beginFrame());

    await expect(exchange).rejects.toMatchObject({ code: "timeout" });
    await connection.closed();
  });

  test("while nothing is asked is left alone, whatever connections end", async () => {
    const limitMs = SHORT_MS;
    const { probe, client } = await startProbing({ answerTimeoutMs: limitMs });
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

test("settings and scopes are said again to each new probe", async () => {
  const { probe, client } = await startProbing();
  client.settings({ idleNs: 1n, records: false });
  client.settings({ idleNs: 2n, records: true });
  client.prefixRules([{ address: "10.0.0.0", prefixLength: 8, collapse: true }]);
  const first = await probe.welcome();
  const firstCommands = await first.commands(2);
  first.die();

  const second = await probe.welcome();
  const settings = await second.commandFrame();

  expect(firstCommands).toEqual(["COMMAND_SETTINGS", "COMMAND_PREFIX_RULE"]);
  expect(Buffer.from(settings.payload).readBigUInt64LE(0)).toBe(2n);
  expect(await second.command()).toBe("COMMAND_PREFIX_RULE");
});

test("close() fails the calls that wait, and no call works after it", async () => {
  const { probe, client } = await startProbing();
  const connection = await probe.welcome();
  await client.hello();
  const exchange = client.exchange();
  await connection.command();
  client.settle([edgeGrowth()]);
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
