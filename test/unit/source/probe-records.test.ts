/** What the agent tells the probe of the connection records that it was sent: those of a killed agent are counted by it. */
import { expect, test, vi } from "vitest";
import { FrameKind } from "../../../agent/generated/layout.ts";
import { connectionFrame } from "./frames-builder.ts";
import { startProbing } from "./probing.ts";

test("what became of records is told with each connection, over all of them, and where it has changed with an exchange", async () => {
  const { probe, client } = await startProbing();
  const first = await probe.welcome();
  const atFirst = await first.recordsTold();
  first.send(connectionFrame(), connectionFrame());
  const answered = first.answerExchange();
  await client.exchange();
  await answered;
  void client.exchange().catch(() => {});
  const atExchange = await first.recordsTold();
  first.die();
  const atSecond = await (await probe.welcome()).recordsTold();

  const { agent } = atFirst;
  expect([atFirst, atExchange, atSecond]).toEqual([
    { agent, received: 0, resolved: 0 },
    { agent, received: 2, resolved: 2 },
    { agent, received: 2, resolved: 2 },
  ]);
});

test("what became of records leaves out those that are still pending, until it is asked to tell again", async () => {
  let pending = 0;
  const listeners = { connection: () => pending++ };
  const { probe, client } = await startProbing({ listeners, pendingRecords: () => pending });
  const probeSide = await probe.welcome();
  await probeSide.recordsTold();
  probeSide.send(connectionFrame(), connectionFrame(), connectionFrame());
  const answered = probeSide.answerExchange();
  await client.exchange();
  await answered;
  client.reportRecords();
  const before = await probeSide.recordsTold();
  pending = 1;
  client.reportRecords();

  expect(before).toMatchObject({ received: 3, resolved: 0 });
  expect(await probeSide.recordsTold()).toMatchObject({ received: 3, resolved: 2 });
});

test("what became of records counts one that cannot be decoded as resolved: it is a loss with a name of its own", async () => {
  const { probe, client } = await startProbing({ pendingRecords: () => 0 });
  const probeSide = await probe.welcome();
  await probeSide.recordsTold();
  probeSide.send({ kind: FrameKind.FRAME_CONNECTION, payload: Buffer.alloc(8) });
  const answered = probeSide.answerExchange();
  await client.exchange();
  await answered;
  client.reportRecords();

  expect(await probeSide.recordsTold()).toMatchObject({ received: 1, resolved: 1 });
  expect(client.stats().failures).toEqual({ wrong_length: 1 });
});

test("what became of records is told once more at the end", async () => {
  const { probe, client } = await startProbing();
  const probeSide = await probe.welcome();
  await probeSide.recordsTold();
  probeSide.send(connectionFrame());
  await vi.waitFor(() => expect(client.stats().frames).toBe(2), 30_000);

  await client.close();

  expect(await probeSide.recordsTold()).toMatchObject({ received: 1, resolved: 1 });
});

test("what became of records is another agent's after a restart", async () => {
  const agents = new Set<bigint>();
  for (let i = 0; i < 3; i++) {
    const { probe } = await startProbing();
    agents.add((await (await probe.welcome()).recordsTold()).agent);
  }

  expect(agents.size).toBe(3);
});
