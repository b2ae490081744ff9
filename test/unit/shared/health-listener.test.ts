/** What somebody on the network can do to the health port, and that a kubelet is answered meanwhile. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { type HealthListenerOptions, listenForHealth } from "../../../agent/shared/health-listener.ts";

async function start(options: HealthListenerOptions) {
  const listener = await listenForHealth("127.0.0.1:0", (_, response) => response.end("fine"), options);
  onTestFinished(() => listener.close());
  return listener;
}

interface Peer {
  readonly socket: Socket;
  /** All that the peer was sent, once its connection is closed. */
  readonly heard: Promise<string>;
  isOpen(): boolean;
}

async function open(port: number, sends = ""): Promise<Peer> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let words = "";
  socket.on("data", (chunk) => {
    words += chunk;
  });
  socket.on("error", () => {}); // a reset is an end as well
  const heard = new Promise<string>((resolve) => socket.once("close", () => resolve(words)));
  await once(socket, "connect");
  if (sends !== "") socket.write(sends);
  return { socket, heard, isOpen: () => !socket.destroyed };
}

const ask = async (port: number) => (await fetch(`http://127.0.0.1:${port}/healthz`)).text();

test("connections that say nothing keep nobody out: the oldest are closed, told why and counted", async () => {
  const { port, refusals } = await start({ maxConnections: 20, requestMs: 60_000 });
  const peers: Peer[] = [];
  for (let i = 0; i < 300; i++) peers.push(await open(port, i % 2 === 0 ? "" : "GET /healthz HTTP/1.1\r\nx: "));

  expect(await ask(port)).toBe("fine");

  const [first] = peers;
  expect(await first?.heard).toContain("503 Service Unavailable");
  expect(await first?.heard).toContain("more than 20 connections are open");
  await vi.waitFor(() => expect(peers.filter((peer) => peer.isOpen()).length).toBeLessThanOrEqual(20), 30_000);
  expect(refusals()).toEqual({ too_many: 281 });
});

test("a request that does not come whole in time ends its connection", async () => {
  const { port, refusals } = await start({ requestMs: 50 });
  const silent = await open(port);
  const slow = await open(port, "GET /healthz HTTP/1.1\r\nx: ");

  const heard = await Promise.all([silent.heard, slow.heard]);

  for (const words of heard) expect(words).toContain("408 Request Timeout");
  expect(refusals()).toEqual({ timeout: 2 });
});

test("headers without end and what is no HTTP are refused", async () => {
  const { port, refusals } = await start({});
  const endless = await open(port, `GET /healthz HTTP/1.1\r\nx: ${"a".repeat(5_000)}`);
  const noise = await open(port, "\u0016\u0003\u0001 hello\r\n\r\n");

  const heard = await Promise.all([endless.heard, noise.heard]);

  for (const words of heard) expect(words).toContain("400 Bad Request");
  expect(refusals()).toEqual({ invalid: 2 });
});

test("an answered connection is closed, also where the peer wants to keep it", async () => {
  const { port, refusals } = await start({});
  const { heard } = await open(port, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n");

  expect(await heard).toContain("fine");
  expect(refusals()).toEqual({});
});
