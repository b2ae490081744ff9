import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EDGE_COUNTERS } from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { EdgeGrowth } from "../../../agent/model/edge.ts";
import { ReplaySource } from "../../../agent/recording/recorded-source.ts";
import { decodeEdgeKey } from "../../../agent/source/edge-key.ts";
import type { ExchangeData } from "../../../agent/source/source.ts";

const RECORDING = fileURLToPath(new URL("../../golden/two-services.gz", import.meta.url));

/** The counters that follow from the workload alone, not from timing. */
const EXACT = ["bytesSent", "bytesReceived", "opened", "closed"] as const;

function exact(row: EdgeGrowth) {
  const key = decodeEdgeKey(row.id);
  const counters = Object.fromEntries(EXACT.map((name) => [name, row.counters[EDGE_COUNTERS.indexOf(name)]]));
  return { role: key.role, remoteAddress: key.remoteAddress, serverPort: key.serverPort, ...counters };
}

/** Sum of 1000 + i over `connections`, as the recorded client sent it. */
function sent(connections: number): number {
  return connections * 1000 + (connections * (connections - 1)) / 2;
}

function bothEnds(connections: number, requestBytes = sent(connections)) {
  const count = { opened: connections, closed: connections };
  const end = { remoteAddress: "127.0.0.1", serverPort: 8080, ...count };
  return [
    { ...end, role: "client", bytesSent: requestBytes, bytesReceived: 31 * connections },
    { ...end, role: "server", bytesSent: 31 * connections, bytesReceived: requestBytes },
  ];
}

// The real probe, killed between an exchange that was not settled and the next: it said the 29 connections
// twice, and a replay that settles every exchange must hear them once.
test("a recording of the real probe replays to the workload's own count on both ends", async () => {
  const replay = new ReplaySource({ path: RECORDING });
  const exchanges: ExchangeData[] = [];

  for (let exchange = await replay.exchange(); exchange !== undefined; exchange = await replay.exchange()) {
    exchanges.push(exchange);
    replay.settle(exchange.rows);
  }

  const ends = exchanges.map(({ rows }) =>
    rows
      .map(exact)
      .filter(({ role }) => role !== "listener")
      .sort((a, b) => a.role.localeCompare(b.role)),
  );
  expect(ends).toEqual([bothEnds(1, 1), bothEnds(23), bothEnds(29), bothEnds(31)]);
  expect(exchanges.map(({ namespaces }) => namespaces.map((one) => one.activeOpens))).toEqual([[1], [24], [53], [84]]);
  expect(exchanges[0]?.cgroups.map((cgroup) => cgroup.names).sort()).toEqual([["client.service"], ["server.service"]]);
  expect(replay.stats()).toMatchObject({ connects: 2, failures: {} });
});

// The first connection ended before the agent had asked for records.
test("its records are all later connections: each at both ends under one trace id, with the workload's bytes", async () => {
  const records: Connection[] = [];
  const replay = new ReplaySource({ path: RECORDING, listeners: { connection: (record) => records.push(record) } });

  while ((await replay.exchange().catch(() => "broke")) !== undefined);

  const traces = [...Map.groupBy(records, ({ traceId }) => traceId).values()];
  const total = (role: string, field: "bytesSent" | "bytesReceived") =>
    records.filter(({ key }) => key.role === role).reduce((sum, record) => sum + record[field], 0);
  const requests = sent(23) + sent(29) + sent(31);
  expect(traces.map((ends) => ends.map(({ key }) => key.role).sort())).toEqual(
    Array.from({ length: 83 }, () => ["client", "server"]),
  );
  expect([total("client", "bytesSent"), total("server", "bytesReceived")]).toEqual([requests, requests]);
  expect([total("client", "bytesReceived"), total("server", "bytesSent")]).toEqual([83 * 31, 83 * 31]);
});
