/**
 * Edges and sockets → the memory that a probe's cgroup is charged for, and back. The kernel charges whoever made the maps for
 * what programs put into them.
 *
 * Measured on 6.18 (ARCHITECTURE.md, "The probe's memory"); other kernels round sizes of their own.
 */
const MIB = 1 << 20;

/** An entry of the edge table. */
const EDGE_BYTES = 2057;
/** Storage of an open TCP socket. */
const SOCKET_BYTES = 464;
/** Maps of a fixed size, and the process itself when it is idle. */
const IDLE_BYTES = 20 * MIB;
/** For a time: the kernel's types at a start, rows that wait for their flush, a batch of edges, memory that is not free yet. */
const RESERVE_BYTES = 24 * MIB;

/** @returns bytes that a limit has to allow */
export function probeMemory(edges: number, sockets: number): number {
  return IDLE_BYTES + RESERVE_BYTES + edges * EDGE_BYTES + sockets * SOCKET_BYTES;
}

/** @returns how many open sockets a limit carries beside a full table of `edges`; 0: not even that table */
export function socketsWithin(limitBytes: number, edges: number): number {
  return Math.max(0, Math.floor((limitBytes - probeMemory(edges, 0)) / SOCKET_BYTES));
}
