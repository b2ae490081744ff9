/**
 * Ports of 127.0.0.1 for servers that start in a moment, or again: below those that the kernel gives to whoever connects, so
 * that no connection of a neighbour takes one meanwhile.
 */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";

const SPAN = 12_000;
const LEAST = 2_000;
const TRIES = 100;

/** All at once, so that no two are the same. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

async function listenAnywhere(): Promise<Server> {
  const end = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s/)[0]);
  for (let tries = 1; ; tries++) {
    const server = createServer().listen(randomInt(Math.max(LEAST, end - SPAN), end), "127.0.0.1");
    try {
      await once(server, "listening");
      return server;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || tries === TRIES) throw error;
    }
  }
}
