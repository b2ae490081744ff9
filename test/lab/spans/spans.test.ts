/**
 * Spans of two agents that never talk to each other: every connection through a Service is one pair in one trace,
 * and what the spans say is what the workload counted and logged.
 *
 *   client on node-1 ── Service, loss ── server on node-2, a probe and an agent on each node
 */
import { expect } from "vitest";
import { CONNECTION_EVENTS } from "../../../agent/generated/layout.ts";
import { needs } from "../../machine/needs.ts";
import { SEGMENTS_AT_ONCE, startWitness } from "../../machine/witness.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { counted, inSpanLab, type Pair, PORTS, pairUp, serve, serviceOf } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";
import type { Workload } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";
import type { Lab } from "../world/lab.ts";

const test = needs("root", "btf", "cgroup2", "iptables", "build");

test("10,007 connections are as many pairs in as many traces, under both pods' names, with the workload's bytes", async () => {
  // Room for all: on a busy machine the readers may fall behind.
  const setup = { probeArguments: ["--records-ring", String(8 * 1024 * 1024)] };
  await inSpanLab({ setup }, async (spanLab) => {
    const count = 10_007;

    const sizes = { upload: 101, uploadStep: 1, download: 103 };
    const { clusterIps, port } = spanLab.lab.service("server");
    const to = [clusterIps.v4, clusterIps.v6].map((address) => ({ address, port }));
    const client = await spanLab.lab.pod("client").play("churn", { to, count, parallel: 23, ...sizes });
    const stats = await spanLab.settled(2 * count);

    const { pairs, odd } = pairUp(spanLab.spans);
    expect(client).toMatchObject({ opened: count, closed: count });
    expect({ pairs: pairs.length, odd }).toEqual({ pairs: count, odd: [] });
    expect(new Set(pairs.map(ends))).toEqual(new Set([`${PODS} over ipv4`, `${PODS} over ipv6`]));
    expect(new Set(spanLab.spans.map(({ spanId }) => spanId)).size).toBe(2 * count);
    expect(new Set(spanLab.spans.map(({ traceState }) => traceState))).toEqual(new Set(["ot=th:0"]));
    expect(bytes(pairs)).toEqual({
      client: { sent: client.bytesSent, received: client.bytesReceived },
      server: { sent: client.bytesReceived, received: client.bytesSent },
    });
    expect(stats).toMatchObject({ observed: 2 * count, accepted: 2 * count, pending: 0 });
    expect(spanLab.observed.losses()).toEqual({});
  });
});

test("a connection that is older than both agents is one pair too, which says so", async () => {
  let older: Workload | undefined;
  let foundAfterMs = 0;
  const before = async (lab: Lab) => {
    await serve(lab);
    older = lab.pod("client").start("hold", { to: serviceOf(lab), count: 1 });
    await older.ready();
    await older.send(100_003, 1009);
    foundAfterMs = Date.now();
  };
  await inSpanLab({ before }, async (spanLab) => {
    await older?.send(5_003, 503);
    await older?.close();
    await spanLab.settled(2);

    const { pairs, odd } = pairUp(spanLab.spans);
    const told = ({ attributes }: ReceivedSpan) => [
      attributes["flowspan.tcp.adopted"],
      attributes["flowspan.tcp.bytes.sent"],
      attributes["flowspan.tcp.bytes.received"],
    ];
    expect([pairs.length, odd]).toEqual([1, []]);
    const [sent, received] = [100_003 + 5_003, 1009 + 503];
    expect(pairs.map(({ client, server }) => [told(client), told(server)])).toEqual([
      [
        [true, sent, received],
        [true, received, sent],
      ],
    ]);
    // When it began nobody knows any more: the span begins when the probe found it.
    expect(spanLab.spans.filter(({ startUnixNs }) => Number(startUnixNs) / 1e6 < foundAfterMs)).toEqual([]);
  });
});

test("two pods of one node, and one with itself, are pairs too, made by one agent", async () => {
  const pods = [{ key: "client" }, { key: "server" }];
  await inSpanLab({ description: describe({ nodes: 1, pods }) }, async (spanLab) => {
    const { lab } = spanLab;
    const count = 23;

    await lab.pod("client").play("send", { to: [{ address: lab.pod("server").ips.v4, port: PORTS.requests }], count });
    await lab.pod("server").play("send", { to: [{ address: "127.0.0.1", port: PORTS.requests }], count });
    await spanLab.settled(4 * count);

    const { pairs, odd } = pairUp(spanLab.spans);
    expect(odd).toEqual([]);
    expect(counted(pairs.map(ends))).toEqual({
      [`${PODS} over ipv4`]: count,
      "server (server) to server (server) in default/default over ipv4": count,
    });
  });
});

test("each event of a span lies where the workload's own log puts it, and every retransmit is one", async () => {
  await inSpanLab({}, async (spanLab) => {
    const count = 23;
    const { lab } = spanLab;
    const witness = startWitness();
    const before = await lab.pod("client").books();
    const loss = await lab.loss("node-1", "node-2", 0.05);
    const script = lab.pod("client").spawn([process.execPath, "--eval", LOGGED_UPLOADS], {
      env: { ADDRESS: lab.pod("server").ips.v4, PORT: String(PORTS.sink), COUNT: String(count) },
    });
    await eventually(
      () => `the script's end: ${script.describe()}`,
      () => !script.isRunning,
      30_000,
    );
    await loss.remove();
    await spanLab.settled(2 * count);
    const hidden = witness.stop() * SEGMENTS_AT_ONCE;

    const log = new Map(script.stdout.map((line) => JSON.parse(line) as Logged).map((each) => [each.port, each]));
    const clients = spanLab.spans.filter(({ kind }) => kind === "client");
    const { RetransSegs } = booksGrowth(before, await lab.pod("client").books(), "Tcp");
    expect({ log: log.size, clients: clients.length }).toEqual({ log: count, clients: count });
    expect(clients.filter((span) => !isAsLogged(span, log.get(Number(span.attributes["network.local.port"]))))).toEqual(
      [],
    );
    expect(RetransSegs).toBeGreaterThan(0);
    expect(total(clients, "flowspan.tcp.retransmit.count")).toBe(RetransSegs);
    expect(clients.reduce((sum, span) => sum + resentIn(span), 0)).toBeGreaterThan(0);
    // What is missing is told; it is missing where the kernel's events are full, or it hid the resend (witness.ts).
    expect(
      clients.filter(
        (span) => resentIn(span) + span.droppedEvents !== span.attributes["flowspan.tcp.retransmit.count"],
      ),
    ).toEqual([]);
    const notFull = clients.filter((span) => kernelEvents(span) < CONNECTION_EVENTS);
    expect(notFull.reduce((sum, { droppedEvents }) => sum + droppedEvents, 0)).toBeLessThanOrEqual(hidden);
  });
});

/** Wall-clock milliseconds at which the workload asked for something or saw it. */
interface Logged {
  readonly port: number;
  readonly connect: number;
  readonly connected: number;
  readonly ended: number;
  readonly closed: number;
}

/** Uploads on COUNT connections at once, with a log of its own. */
const LOGGED_UPLOADS = `
const { connect } = require("node:net");
const { ADDRESS, PORT, COUNT } = process.env;
for (let i = 0; i < Number(COUNT); i++) {
  const log = { connect: Date.now() };
  const socket = connect({ host: ADDRESS, port: Number(PORT) }, () => {
    log.port = socket.localPort;
    log.connected = Date.now();
    socket.write(Buffer.alloc(100_003 + i), () => {
      log.ended = Date.now();
      socket.end();
    });
  });
  socket.on("close", () => console.log(JSON.stringify({ ...log, closed: Date.now() })));
}`;

/** Whether it begins, is established, resends and ends in the order and within the times of the log. */
function isAsLogged({ startUnixNs, endUnixNs, events }: ReceivedSpan, log: Logged | undefined): boolean {
  if (log === undefined) return false;
  const at = ({ timeUnixNs }: { readonly timeUnixNs: bigint }) => Number(timeUnixNs) / 1e6;
  const times = [Number(startUnixNs) / 1e6, ...events.map(at), Number(endUnixNs) / 1e6];
  const inOrder = times.every((time, i) => i === 0 || (times[i - 1] ?? 0) <= time);
  // A log in whole milliseconds says up to one too few.
  const isWithin = (time: number, from: number, to: number) => from - 1 <= time && time <= to + 1;
  const rightly = events.every((event) => {
    const state = event.attributes["network.connection.state"];
    if (event.name === "flowspan.tcp.established") return isWithin(at(event), log.connect, log.connected);
    if (state === "syn_sent") return isWithin(at(event), log.connect, log.connected);
    if (state === "established") return isWithin(at(event), log.connected, log.closed);
    return isWithin(at(event), log.ended, log.closed);
  });
  return inOrder && rightly && isWithin(times[0] ?? 0, log.connect, log.connected);
}

function resentIn({ events }: ReceivedSpan): number {
  return events.reduce((sum, { attributes }) => sum + Number(attributes["flowspan.tcp.retransmit.segments"] ?? 0), 0);
}

/** Established and close are not events of the kernel's. */
function kernelEvents({ events }: ReceivedSpan): number {
  return events.filter(({ name }) => name !== "flowspan.tcp.established" && name !== "flowspan.tcp.close").length;
}

function total(spans: readonly ReceivedSpan[], name: string): number {
  return spans.reduce((sum, { attributes }) => sum + Number(attributes[name]), 0);
}

const PODS = "client (client) to server (server) in default/default";

function ends({ client, server }: Pair): string {
  const name = ({ resource }: Pair["client"]) => `${resource["service.name"]} (${resource["k8s.deployment.name"]})`;
  const namespaces = [client, server].map(({ resource }) => resource["k8s.namespace.name"]).join("/");
  const families = new Set([client, server].map(({ attributes }) => attributes["network.type"]));
  return `${name(client)} to ${name(server)} in ${namespaces} over ${[...families]}`;
}

function bytes(pairs: readonly Pair[]) {
  const sum = (end: keyof Pair, name: string) =>
    pairs.reduce((total, pair) => total + Number(pair[end].attributes[name]), 0);
  const of = (end: keyof Pair) => ({
    sent: sum(end, "flowspan.tcp.bytes.sent"),
    received: sum(end, "flowspan.tcp.bytes.received"),
  });
  return { client: of("client"), server: of("server") };
}
