/**
 * 23 connections of different sizes between two pods on two nodes: each end is told under its own pod's name, and
 * its sums are the workload's own count, over every way in which two pods reach each other.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../../machine/needs.ts";
import { type EndSum, ObservedLab } from "../agents/observed.ts";
import { type Counts, type Endpoint, type Listener, NOTHING } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";

// 23: a prime, so that a number counted twice or per CPU cannot match by luck.
const CONNECTIONS = 23;
const ROUNDS = 3;
const TRAFFIC = { count: CONNECTIONS, rounds: ROUNDS, parallel: 5 };
const SIZES = { upload: 1009, uploadStep: 7919, download: 60_013, downloadStep: 31 };
/** 3 * (1009 + 8928 + ... + 175227). */
const UPLOADED = 6_080_142;
/** 3 * (60013 + 60044 + ... + 60695). */
const DOWNLOADED = 4_164_426;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  observed = await ObservedLab.start(
    describe({
      pods: [
        { key: "client", namespace: "shop" },
        { key: "server", namespace: "data", node: "node-2" },
      ],
      services: [
        { name: "front", namespace: "data", app: "server", port: 80, targetPort: 8084 },
        { name: "front-6", namespace: "data", app: "server", port: 81, targetPort: 8085 },
      ],
    }),
  );
  await observed.watch();
});

afterAll(() => observed?.close());

interface Way {
  readonly name: string;
  readonly listen: Listener;
  readonly to: () => Endpoint;
  readonly closer: "client" | "server";
}

const WAYS: readonly Way[] = [
  {
    name: "IPv4",
    listen: { address: "0.0.0.0", port: 8081 },
    to: () => ({ address: observed.lab.pod("server").ips.v4, port: 8081 }),
    closer: "client",
  },
  {
    name: "IPv6",
    listen: { address: "::", port: 8082, v6Only: true },
    to: () => ({ address: observed.lab.pod("server").ips.v6, port: 8082 }),
    closer: "server",
  },
  {
    name: "IPv4 to a listener on IPv6 (v4-mapped)",
    listen: { address: "::", port: 8083 },
    to: () => ({ address: observed.lab.pod("server").ips.v4, port: 8083 }),
    closer: "client",
  },
  {
    name: "a Service (DNAT)",
    listen: { address: "::", port: 8084 },
    to: () => ({ address: observed.lab.service("front").clusterIps.v4, port: 80 }),
    closer: "server",
  },
  {
    name: "a Service over IPv6",
    listen: { address: "::", port: 8085 },
    to: () => ({ address: observed.lab.service("front-6").clusterIps.v6, port: 81 }),
    closer: "client",
  },
];

for (const { name, listen, to, closer } of WAYS) {
  test(`over ${name}, each end's connections and bytes are the workload's own, under both names`, async () => {
    const serving = await observed.lab.pod("server").serve({ listen: [listen] });

    const client = await observed.lab.pod("client").play("send", { to: [to()], closer, ...TRAFFIC, ...SIZES });

    const server = await serving.until(({ closed }) => closed === CONNECTIONS);
    await serving.close();
    const told = () => ({
      // The two ends of a DNAT'ed connection know the server by different ports.
      client: observed.ends({ ...CLIENT_TO_SERVER, "server.port": to().port }).client,
      server: observed.ends({ ...SERVER_TO_CLIENT, "server.port": listen.port }).server,
    });
    await observed.settled(
      `${CONNECTIONS} connections closed at both ends`,
      () => told().client.closed >= CONNECTIONS && told().server.closed >= CONNECTIONS,
    );
    expect(client).toMatchObject({ opened: CONNECTIONS, bytesSent: UPLOADED, bytesReceived: DOWNLOADED });
    expect(server).toMatchObject({ opened: CONNECTIONS, bytesSent: DOWNLOADED, bytesReceived: UPLOADED });
    expect(told()).toEqual({ client: expected(client), server: expected(server) });
    expect(observed.losses()).toEqual({});
    played.push({ client, server });
  });
}

test("summed over all clients, and over all servers, it is the whole workload and nothing else", () => {
  const sums = (counts: readonly Counts[]): Counts => ({
    ...NOTHING,
    opened: sum(counts, "opened"),
    closed: sum(counts, "closed"),
    bytesSent: sum(counts, "bytesSent"),
    bytesReceived: sum(counts, "bytesReceived"),
  });

  const client = sums(played.map((each) => each.client));
  const server = sums(played.map((each) => each.server));
  expect(client.opened).toBe(WAYS.length * CONNECTIONS);
  expect(observed.ends()).toEqual({ client: expected(client), server: expected(server) });
});

/** What must be told of connections that opened, moved bytes and closed without trouble. */
function expected({ opened, closed, bytesSent, bytesReceived }: Counts): EndSum {
  return { opened, failed: 0, closed, open: 0, bytesSent, bytesReceived, handshakes: opened, durations: closed };
}

const CLIENT_TO_SERVER = {
  "k8s.namespace.name": "shop",
  "k8s.deployment.name": "client",
  "service.peer.namespace": "data",
  "service.peer.name": "server",
};
const SERVER_TO_CLIENT = {
  "k8s.namespace.name": "data",
  "k8s.deployment.name": "server",
  "service.peer.namespace": "shop",
  "service.peer.name": "client",
};

/** What the tests above have played, by the workload's own count. */
const played: { readonly client: Counts; readonly server: Counts }[] = [];

function sum(counts: readonly Counts[], field: "opened" | "closed" | "bytesSent" | "bytesReceived"): number {
  return counts.reduce((total, each) => total + each[field], 0);
}
