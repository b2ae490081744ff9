/**
 * Edges and sockets → the memory that a probe's cgroup is charged for, and back. The kernel charges whoever made the maps for
 * what programs put into them.
 *
 * Measured on 6.18 (ARCHITECTURE.md, "The probe's memory"); other kernels round sizes of their own.
 */
import { SOCKETS_ROOM } from "../generated/layout.ts";

const MIB = 1 << 20;

/** Where the probe keeps what it knows of sockets (ARCHITECTURE.md, "Socket storage"). */
export type SocketStorage = "in the socket" | "by address";

/** An entry of the edge table. */
const EDGE_BYTES = 2057;
/** Of an open TCP socket. */
const SOCKET_BYTES: Readonly<Record<SocketStorage, number>> = { "in the socket": 464, "by address": 264 };
/** Maps of a fixed size, and the process itself when it is idle. By address the buckets of three hashes, and a queue. */
const IDLE_BYTES: Readonly<Record<SocketStorage, number>> = { "in the socket": 20 * MIB, "by address": 34 * MIB };
/** For a time: the kernel's types at a start, rows that wait for their flush, a batch of edges, memory that is not free yet. */
const RESERVE_BYTES = 24 * MIB;

/** @returns bytes that a limit has to allow */
export function probeMemory(edges: number, sockets: number, storage: SocketStorage): number {
  return IDLE_BYTES[storage] + RESERVE_BYTES + edges * EDGE_BYTES + sockets * SOCKET_BYTES[storage];
}

/** @returns how many open sockets a limit carries beside a full table of `edges`; 0: not even that table */
export function socketsWithin(limitBytes: number, edges: number, storage: SocketStorage): number {
  const carried = Math.max(0, Math.floor((limitBytes - probeMemory(edges, 0, storage)) / SOCKET_BYTES[storage]));
  return storage === "by address" ? Math.min(carried, SOCKETS_ROOM) : carried;
}
