/** Who means harm to a replica, without a token and with one: what it costs, and that other agents are answered meanwhile. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { Client, credentials, type ServiceError, status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { type Ask, encodeAsk, FOLLOW } from "../../../agent/directory/protocol.ts";
import { heaviest } from "../../../agent/directory/server/limits.ts";
import { pod } from "../naming/cluster-builders.ts";
import { certificates, eventually, type Serving, startAsking, startServing } from "./serving.ts";

const cart = pod("cart-a", { addresses: ["10.1.0.2"], createdMs: 1000 });

/** An agent's stream by hand. */
function openStream({ address }: Serving) {
  const client = new Client(address, credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
  onTestFinished(() => client.close());
  const call = client.makeBidiStreamRequest(FOLLOW.path, FOLLOW.requestSerialize, FOLLOW.responseDeserialize);
  const ended = new Promise<ServiceError>((resolve) => call.on("error", resolve));
  call.on("data", () => {});
  return { ask: (ask: Ask) => call.write(encodeAsk(ask)), ended };
}

const keys = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    address: `10.7.0.${(first + i) % 250}`,
    port: Math.floor((first + i) / 250),
  }));

function hold(socket: Socket): Socket {
  onTestFinished(() => void socket.destroy());
  return socket.on("error", () => {}).resume();
}

test("connections that show no token keep no agent out: the oldest are closed and counted", async () => {
  const made = certificates();
  made.make("server");
  writeFileSync(made.path("tokens"), "one\n");
  const files = { certFile: made.path("server.pem"), keyFile: made.path("server.key"), tokenFile: made.path("tokens") };
  const serving = await startServing({ insecure: false, ...files, limits: { waiting: 20, idleMs: 60_000 } });
  serving.put("pods", cart);
  const agent = { insecure: false, caFile: made.path("ca.pem"), tokenFile: made.path("tokens") };
  const early = startAsking([serving.address], agent);
  early.ask("10.1.0.2");
  await eventually(() => expect(early.pods()).toEqual({ "10.1.0.2": "cart-a" }));

  const sockets: Socket[] = [];
  for (let i = 0; i < 100; i++) {
    const tls = connectTls({ port: serving.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    sockets.push(hold(tls));
    await Promise.race([once(tls, "secureConnect"), once(tls, "close")]);
  }
  const late = startAsking([serving.address], agent);
  late.ask("10.1.0.2");
  await eventually(() => expect(late.pods()).toEqual({ "10.1.0.2": "cart-a" }));

  await eventually(() => expect(sockets.filter(({ destroyed }) => !destroyed).length).toBeLessThanOrEqual(20));
  expect(serving.server.stats().refusals.too_many).toBeGreaterThanOrEqual(80);
  // Who was let in is not one of those that wait.
  expect([early, late].map(({ client }) => client.state.failures)).toEqual([{}, {}]);
});

test("a connection on which no TLS comes to be, or no call, is closed after a while", async () => {
  const made = certificates();
  made.make("server");
  writeFileSync(made.path("tokens"), "one\n");
  const files = { certFile: made.path("server.pem"), keyFile: made.path("server.key"), tokenFile: made.path("tokens") };
  const serving = await startServing({ insecure: false, ...files, limits: { idleMs: 200 } });
  const silent = hold(connect(serving.port, "127.0.0.1"));
  const idle = hold(
    connectTls({ port: serving.port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] }),
  );
  idle.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0000\u0004\u0000\u0000\u0000\u0000\u0000", "latin1");

  await Promise.all([once(silent, "close"), once(idle, "close")]);

  expect(serving.server.stats().refusals).toEqual({ tls: 1, timeout: 1 });
});

test.each([
  ["a text of 3.9 MB", { address: "x".repeat(3_900_000), port: 1 }, status.RESOURCE_EXHAUSTED, "larger than max"],
  ["a text of 600 bytes", { address: "x".repeat(600), port: 1 }, status.INVALID_ARGUMENT, "address has 600 bytes"],
  ["a name", { address: "cart.shop", port: 1 }, status.INVALID_ARGUMENT, "no address in its canonical form"],
  ["an address in capitals", { address: "FD00::1", port: 1 }, status.INVALID_ARGUMENT, "canonical"],
  ["an address with zeros", { address: "fd00:0::1", port: 1 }, status.INVALID_ARGUMENT, "canonical"],
  ["a port that there is not", { address: "10.1.0.2", port: 65_536 }, status.INVALID_ARGUMENT, "or no port"],
])("%s as a key ends the stream, is counted and leaves nothing", async (_, key, code, words) => {
  const serving = await startServing();
  const { ask, ended } = openStream(serving);
  ask({ node: "node-1", add: [key] });

  const error = await ended;

  expect([error.code, error.details]).toEqual([code, expect.stringContaining(words)]);
  await eventually(() => expect(serving.server.stats()).toMatchObject({ streams: 0, keys: 0 }));
  expect(serving.server.stats().refusals).toEqual({ [status[code] as string]: 1 });
});

test("a replica with too many keys ends the largest stream; an agent with few keeps its own", async () => {
  const serving = await startServing({ limits: { keys: 1_000 } });
  serving.put("pods", cart);
  const agent = startAsking([serving.address]);
  agent.ask("10.1.0.2");
  await eventually(() => expect(agent.pods()).toEqual({ "10.1.0.2": "cart-a" }));

  const greedy = [0, 1].map((n) => {
    const stream = openStream(serving);
    for (let i = 0; i < 6; i++) stream.ask({ add: keys(n * 600 + i * 100, 100) });
    return stream;
  });
  const error = await Promise.race(greedy.map(({ ended }) => ended));

  expect([error.code, error.details]).toEqual([
    status.RESOURCE_EXHAUSTED,
    expect.stringContaining("more than 1000 addresses"),
  ]);
  expect(serving.server.stats().keys).toBeLessThanOrEqual(1_000);
  expect(agent.client.state.failures).toEqual({});
  expect(serving.server.stats().refusals).toEqual({ RESOURCE_EXHAUSTED: 1 });
});

test("keys that all streams follow are bounded as well, and so are streams", async () => {
  const serving = await startServing({ limits: { followed: 250, streams: 3 } });
  const same = [0, 1, 2].map(() => openStream(serving));
  for (const { ask } of same) ask({ add: keys(0, 100) });
  await Promise.race(same.map(({ ended }) => ended));
  expect(serving.server.stats()).toMatchObject({ keys: 100, streams: 2 });

  const more = [0, 1].map(() => openStream(serving));
  for (const { ask } of more) ask({ node: "node-1" });
  await eventually(() => expect(serving.server.stats().streams).toBe(3));
  expect(serving.server.stats().refusals).toEqual({ RESOURCE_EXHAUSTED: 2 });
});

test("who costs most is found by address, with however many streams", () => {
  const stream = (host: string, keys: number) => ({ host, keys });
  const one = stream("10.0.0.1", 700);
  const many = [400, 500, 300].map((keys) => stream("10.0.0.2", keys));

  expect(heaviest([one, ...many], ({ keys }) => keys)).toBe(many[1]);
  expect(heaviest([], () => 1)).toBeUndefined();
});
