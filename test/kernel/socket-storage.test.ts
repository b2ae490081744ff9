/**
 * In sockets or by their addresses, the probe counts the same of connections that stay open, that wait to be accepted and
 * that close; by address, what is free is used again. A kernel that refuses to walk sockets' storages has the second alone.
 */
import { afterEach, beforeEach, expect } from "vitest";
import type { Role } from "../../agent/model/edge.ts";
import { Tally } from "../lab/agents/tally.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";
import { type StorageEnv, storagesHere } from "../machine/socket-storage.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

const CONNECTIONS = 23;
/** A request tells in its first 32 bytes what is asked for. */
const UPLOAD = 1009;
const DOWNLOAD = 7919;
const ROUNDS = 3;
/** Processes that hold the listener: its queue is one all the same. */
const WORKERS = 3;
const BACKLOG = 101;
const ACCEPTED = 8080;
const STUCK = 8081;

let lab: Lab;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }));
});

afterEach(() => lab?.close());

test("connections are counted the same, while they are open and at their end", async () => {
  for (const storage of storagesHere()) {
    const { open, closed } = await countHeld(storage);

    const whole = { opened: CONNECTIONS, bytesSent: CONNECTIONS * ROUNDS * UPLOAD };
    const mirrored = { bytesReceived: CONNECTIONS * ROUNDS * DOWNLOAD };
    const client = { ...whole, ...mirrored };
    const server = { opened: CONNECTIONS, bytesSent: mirrored.bytesReceived, bytesReceived: whole.bytesSent };
    expect({ storage, open }).toEqual({
      storage,
      open: {
        client: { ...client, closed: 0, open: CONNECTIONS, limit: 0 },
        server: { ...server, closed: 0, open: CONNECTIONS, limit: 0 },
        listener: { ...NONE, open: 0, limit: BACKLOG },
      },
    });
    expect({ storage, closed }).toEqual({
      storage,
      closed: {
        client: { ...client, closed: CONNECTIONS, open: 0, limit: 0 },
        server: { ...server, closed: CONNECTIONS, open: 0, limit: 0 },
        listener: { ...NONE, open: 0, limit: BACKLOG },
      },
    });
  }
});

test("connections that wait to be accepted count at once", async () => {
  for (const storage of storagesHere()) {
    const { open, closed } = await countWaiting(storage);

    expect({ storage, open }).toEqual({ storage, open: { ...NONE, opened: CONNECTIONS, open: CONNECTIONS, limit: 0 } });
    expect({ storage, closed }).toEqual({
      storage,
      closed: { ...NONE, opened: CONNECTIONS, closed: CONNECTIONS, open: 0, limit: 0 },
    });
  }
});

const NONE = { opened: 0, closed: 0, bytesSent: 0, bytesReceived: 0 };

/** Of all edges of that role and port: counters since the probe came, gauges of the last walk. */
function told(tally: Tally, role: Role, port: number) {
  const of = [...tally.edges.values()].filter(({ key }) => key.role === role && key.serverPort === port);
  const sum = tally.sum((key) => key.role === role && key.serverPort === port);
  return {
    ...{ opened: sum.opened, closed: sum.closed, bytesSent: sum.bytesSent, bytesReceived: sum.bytesReceived },
    open: of.reduce((total, edge) => total + edge.open, 0),
    limit: of.reduce((total, edge) => total + edge.limit, 0),
  };
}

function allTold(tally: Tally, port: number) {
  return {
    client: told(tally, "client", port),
    server: told(tally, "server", port),
    listener: told(tally, "listener", port),
  };
}

async function countHeld(storage: StorageEnv) {
  const tally = await Tally.start(lab, "node-1", [], storage);
  try {
    const listen = [{ port: ACCEPTED, backlog: BACKLOG }];
    const server = await lab.pod("server").serve({ listen, workers: WORKERS });
    const held = await hold(ACCEPTED);
    for (let round = 0; round < ROUNDS; round++) await held.send(UPLOAD, DOWNLOAD);
    const count = () => told(tally, "server", ACCEPTED).bytesSent;
    await tally.until(
      () => `all bytes: ${count()}`,
      () => count() === CONNECTIONS * ROUNDS * DOWNLOAD,
    );
    const open = allTold(tally, ACCEPTED);
    await held.close();
    await untilClosed(tally, ACCEPTED);
    const closed = allTold(tally, ACCEPTED);
    await server.process.stop();
    expect(tally.losses).toEqual({});
    return { open, closed };
  } finally {
    await tally.close();
    await tally.probe.unpin();
  }
}

/** The server's end alone: its application takes none of them. */
async function countWaiting(storage: StorageEnv) {
  const tally = await Tally.start(lab, "node-1", [], storage);
  try {
    const server = await lab.pod("server").serve({ listen: [{ port: STUCK, mode: "stuck" }] });
    const held = await hold(STUCK);
    await tally.until(
      () => "the clients are open",
      () => told(tally, "client", STUCK).open === CONNECTIONS,
    );
    const open = told(tally, "server", STUCK);
    // Its end resets what was not accepted.
    await server.process.stop();
    await held.process.stop();
    await untilClosed(tally, STUCK);
    const closed = told(tally, "server", STUCK);
    expect(tally.losses).toEqual({});
    return { open, closed };
  } finally {
    await tally.close();
    await tally.probe.unpin();
  }
}

async function hold(port: number) {
  const held = lab
    .pod("client")
    .start("hold", { to: [{ address: lab.pod("server").ips.v4, port }], count: CONNECTIONS });
  await held.ready();
  return held;
}

function untilClosed(tally: Tally, port: number): Promise<void> {
  const of = (role: Role) => tally.sum((key) => key.role === role && key.serverPort === port);
  return tally.until(
    () => `both ends are closed: ${of("client").closed}, ${of("server").closed}`,
    () => of("client").closed === CONNECTIONS && of("server").closed === CONNECTIONS,
  );
}
