/** What the Collector accepted goes back to the probe: verbatim, until it is confirmed, and once. */
import { describe, expect, test } from "vitest";
import { decodeEdge } from "../../../agent/source/decode-edge.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import { edgeGrowth, said } from "./frames-builder.ts";
import { edge, SHORT_MS, startProbing } from "./probing.ts";

describe("settled rows", () => {
  const rows = [80, 81, 82].map((port) => edgeGrowth(edge(port, port)));
  const payloads = rows.map(({ row }) => row);

  test("reach the probe verbatim, and the flush says how many", async () => {
    const { probe, client } = await startProbing();
    const connection = await probe.welcome();
    await client.hello();

    client.settle(rows);
    const flushed = client.flush();
    const settled = await connection.answerSettles(3);

    expect(settled).toEqual(payloads);
    expect(await flushed).toEqual({ rows: 3, unknown: 0, refused: 0 });
  });

  test("that were not confirmed go to the next probe before anything else, and the flush resolves there", async () => {
    const { probe, client } = await startProbing();
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

    expect(again).toEqual(payloads);
    expect(await flushed).toEqual({ rows: 3, unknown: 0, refused: 0 });
    expect(client.stats().resent).toBe(3);
  });

  test("that were confirmed are not sent again", async () => {
    const { probe, client } = await startProbing();
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
    const { probe, client } = await startProbing();
    const connection = await probe.welcome();
    await client.hello();

    client.settle(rows);
    const exchange = client.exchange();
    await connection.answerSettles(3);
    await connection.answerExchange();

    await exchange;
    expect(await client.flush()).toEqual({ rows: 0, unknown: 0, refused: 0 });
  });

  test("that were settled between two probes go to the second", async () => {
    const { probe, client } = await startProbing();
    const first = await probe.welcome();
    const asked = client.exchange();
    await first.command();
    first.die();
    await expect(asked).rejects.toMatchObject({ code: "disconnected" });

    client.settle(rows);
    const second = await probe.welcome();

    expect(await second.answerSettles(3)).toEqual(payloads);
  });

  test("of maps that are gone are dropped and counted, never applied to the new maps", async () => {
    const { probe, client } = await startProbing();
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

    expect(await flushed).toEqual({ rows: 0, unknown: 3, refused: 0 });
    expect(client.stats().failures).toEqual({ settle_void: 3 });
  });

  test("keep until a flush is confirmed, though its call gave up", async () => {
    const { probe, client } = await startProbing({ answerTimeoutMs: SHORT_MS });
    const first = await probe.welcome();
    await client.hello();
    client.settle(rows);

    await expect(client.flush()).rejects.toMatchObject({ code: "timeout" });
    await first.closed();
    const second = await probe.welcome();

    expect(await second.answerSettles(3)).toEqual(payloads);
  });

  test("leave no faster than the probe reads, and all of them", async () => {
    const { probe, client } = await startProbing();
    const connection = await probe.welcome();
    await client.hello();
    const many = Array.from({ length: 20_011 }, (_, i) => edgeGrowth(edge(i % 60_000, i)));
    connection.pause();

    client.settle(many);
    const flushed = client.flush();
    connection.resume();
    const settled = await connection.answerSettles(many.length);

    expect(Buffer.concat(settled).equals(Buffer.concat(many.map(({ row }) => row)))).toBe(true);
    expect(await flushed).toEqual({ rows: many.length, unknown: 0, refused: 0 });
  });
});

test("a row can be decoded again from what COMMAND_SETTLE carries", async () => {
  const { probe, client } = await startProbing();
  const connection = await probe.welcome();
  const answered = connection.answerExchange({ edges: [{ ...edge(80, 23), slots: [[5, 2]] }] });
  const { rows } = await client.exchange();
  await answered;

  client.settle(rows);
  const flushed = client.flush();
  const [settled] = await connection.answerSettles(1);
  await flushed;

  const again = decodeEdge(settled as Buffer, new RowPages());
  if (typeof again === "string") throw new Error(again);
  expect(rows.map(said)).toEqual([said(again)]);
});
