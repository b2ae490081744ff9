/** A directory that means harm, or one gone wrong: what an agent takes of its answers, and what it says of the rest. */
import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from "@grpc/grpc-js";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { AnswerFlow, budgetOf } from "../../../agent/directory/client/answer-budget.ts";
import { type Answer, decodeAnswers, decodeAsk, encodeAnswers, FOLLOW } from "../../../agent/directory/protocol.ts";
import { eventually, startAsking } from "./serving.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** A replica that says `messages` to each who comes, one after the other as fast as they are taken. */
async function startHostile(messages: () => Iterator<Buffer>): Promise<string> {
  const server = new Server({ "grpc.max_send_message_length": -1 });
  const follow = (call: Call) => {
    call.on("data", () => {});
    const source = messages();
    const pump = () => {
      for (let next = source.next(); !next.done && !call.cancelled; next = source.next()) {
        if (!call.write(next.value)) return void call.once("drain", pump);
      }
    };
    pump();
  };
  server.addService({ follow: FOLLOW } as ServiceDefinition, { follow });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  onTestFinished(() => server.forceShutdown());
  return `127.0.0.1:${port}`;
}

/** `intervals` pods that have the address, all of them new. */
function answerOf(address: string, first: number, intervals: number): Answer {
  const pod = (i: number) => {
    const names = { name: `pod-${i}`, namespace: "shop", addresses: [address] };
    return { fromAgeMs: 5, pod: { uid: `uid-${i}`, ...names, createdUnixMs: 1 } };
  };
  return { key: { address, port: 80 }, intervals: Array.from({ length: intervals }, (_, i) => pod(first + i)) };
}

test("a message of millions of empty answers is refused before it is decoded", async () => {
  const bytes = Buffer.alloc(1_000_000);
  for (let i = 0; i < bytes.length; i += 2) bytes[i] = 0x12; // field 2, length 0
  const address = await startHostile(() => [bytes].values());
  const asking = startAsking([address]);

  await eventually(() => expect(asking.client.state.failures.INTERNAL).toBeGreaterThan(0));

  expect(asking.client.state.trouble).toContain("an answer made no sense: more than 65536 fields in one message");
  expect(asking.changes).toEqual([]);
});

test("a message of many megabytes is refused at its length", async () => {
  const address = await startHostile(() => [Buffer.alloc(15_000_000)].values());
  const asking = startAsking([address]);

  await eventually(() => expect(asking.client.state.failures.RESOURCE_EXHAUSTED).toBeGreaterThan(0));

  expect(asking.client.state.trouble).toContain("larger than max");
});

test("a name that no object of Kubernetes has is refused", async () => {
  const long = { ...answerOf("10.1.0.2", 0, 1), atPort: { uid: "u", name: "x".repeat(600), namespace: "", zone: "" } };
  const address = await startHostile(() => [encodeAnswers({ answers: [long as unknown as Answer] })].values());
  const asking = startAsking([address]);
  asking.ask("10.1.0.2");

  await eventually(() => expect(asking.client.state.failures.INTERNAL).toBeGreaterThan(0));

  expect(asking.client.state.trouble).toContain("name has 600 bytes: at most 512 are a name or an address");
});

test("one address with more owners than all addresses can need is refused", async () => {
  // 20 addresses may cost some 4 MiB together, and 20,000 owners cost three times that.
  function* owners(): Generator<Buffer> {
    for (let n = 0; ; n++) yield encodeAnswers({ answers: [answerOf(`10.1.0.${n % 20}`, n * 1_000, 1_000)] });
  }
  const asking = startAsking([await startHostile(owners)], { backoff: { firstMs: 60_000, maxMs: 60_000 } });
  for (let i = 0; i < 20; i++) asking.ask(`10.1.0.${i}`);

  await eventually(() => expect(asking.client.state.failures.RESOURCE_EXHAUSTED).toBe(1));

  expect(asking.client.state.trouble).toContain("its answers are more than 20 addresses can need");
  expect(asking.changes.length).toBeLessThan(20_000);
});

test("owners that follow each other faster than any cluster changes are refused, and the last names stay", async () => {
  function* changes(): Generator<Buffer> {
    for (let n = 0; ; n++) yield encodeAnswers({ answers: [answerOf("10.1.0.2", n * 100, 100)] });
  }
  const asking = startAsking([await startHostile(changes)], { backoff: { firstMs: 60_000, maxMs: 60_000 } });
  asking.ask("10.1.0.2");

  await eventually(() => expect(asking.client.state.failures.RESOURCE_EXHAUSTED).toBe(1), 50_000);

  expect(asking.client.state.trouble).toContain("its answers of 5 minutes are more than 1 addresses can need");
  expect(Object.keys(asking.pods())).toEqual(["10.1.0.2"]);
  // Sixteen MiB, an owner some 700 bytes, and an upsert and a removal for each.
  expect(asking.changes.length).toBeLessThan(100_000);
});

test("what an agent takes grows with what it asked for, and comes back with time", () => {
  const flow = new AnswerFlow();
  const all = 4 * budgetOf(1_000);
  flow.take(all, 1_000, 0);
  expect(() => flow.take(1_000, 1_000, 0)).toThrow("its answers of 5 minutes are more than 1000 addresses can need");

  flow.take(all / 2, 1_000, 150_000);

  expect(() => flow.take(all / 2, 1_000, 150_000)).toThrow();
  // What honest answers cost: two owners for each address, with all the words that they may have.
  expect(budgetOf(1_000) / 1_000).toBeGreaterThan(2 * honestCost());
});

function honestCost(): number {
  const uid = "0b25b3b6-4a45-4a2e-9d3f-0a2f5c1e7d11";
  const node = { uid, name: "ip-10-1-2-3.eu-central-1.compute.internal", addresses: ["10.1.2.3"], podCidrs: [] };
  const where = { node: { ...node, zone: "eu-central-1a", region: "eu-central-1", createdUnixMs: 1e12 } };
  const name = { name: "checkout-6d5f7c9b8d-x2x4z", namespace: "production" };
  const pod = { uid, ...name, addresses: ["10.1.0.2"], createdUnixMs: 1e12, service: name, ...where };
  const answer = { key: { address: "10.1.0.2", port: 8080 }, intervals: [{ fromAgeMs: 1e6, pod }] };
  return decodeAnswers(encodeAnswers({ answers: [answer] })).cost;
}

test("random bytes are a message with a cost for each answer, or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const message = orError(() => decodeAnswers(bytes));
      if (!(message instanceof Error)) expect(message.costs.length).toBe(message.answers.length);
      orError(() => decodeAsk(bytes));
    }),
    { numRuns: 5_000 },
  );
});

/** What is thrown is an Error, or the test fails. */
function orError<T>(body: () => T): T | Error {
  try {
    return body();
  } catch (error) {
    if (error instanceof Error) return error;
    throw new TypeError(`thrown: ${error}`);
  }
}
