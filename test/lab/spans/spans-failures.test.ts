/**
 * Every way to fail, made for real and all at the same time: each attempt is one span, each broken connection one at
 * either end, with what went wrong, who did it and what was tried, on the end that knows.
 *
 *   client on node-1 ── slow link, rules that drop and refuse ── server on node-2
 */
import { afterAll, beforeAll, expect } from "vitest";
import {
  ATTR_FLOWSPAN_TCP_VERDICT,
  ATTR_FLOWSPAN_TCP_VERDICT_REASON,
  METRIC_FLOWSPAN_TCP_CONNECTIONS,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import { missing, needs } from "../../machine/needs.ts";
import { seriesTotals } from "../../otlp/oracle.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { counted, pairUp, SpanLab } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";
import { run } from "../programs/run.ts";
import type { ClientJob, ClientOptions, Counts } from "../programs/workload.ts";
import { uuid } from "../world/describe.ts";
import { FAULTS } from "../world/iptables.ts";
import { booksGrowth, type KernelBooks } from "../world/kernel-books.ts";
import { labPodObject } from "../world/lab-objects.ts";
import { nodeNamespace } from "../world/network-plan.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

/** One port for each kind, by which its spans are told apart. */
const PORTS = {
  healthy: 8080,
  resets: 8081,
  resetByClient: 8082,
  stuck: 8083,
  silent: 8084,
  lossy: 8085,
  dropped: 8086,
  prohibited: 8087,
  cancelled: 8088,
  unread: 8089,
  closed: 9,
  noRoute: 10,
} as const;

/**
 * Routers are some way off: an ICMP answer that comes while connect() still runs is only a soft error, and the
 * SYN is sent again (tcp_v4_err()).
 */
const DELAY_MS = 50;
/** Of a pod that the API still knows and the far node does not. A kernel sends one source five such answers at once: some are
 * left for SYNs that are sent again. */
const NO_ROUTE = { v4: "10.244.2.99", v6: "fd00:10:244:2::99" };

let spanLab: SpanLab;
let played: Awaited<ReturnType<typeof play>>;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  spanLab = await SpanLab.start();
  played = await play();
});

afterAll(() => spanLab?.close());

test("a closed port: one span for each attempt, refused", () => {
  expect(played.closed.failed).toEqual({ ECONNREFUSED: 7 });
  expect(told("closed")).toEqual({
    "client error refused: close(syn_sent)": 7,
  });
});

test("SYNs that a rule drops: timed out, with the SYN that was sent again", () => {
  expect(played.dropped.failed).toEqual({ ETIMEDOUT: 11 });
  expect(told("dropped")).toEqual({
    "client error timed_out: resent(syn_sent syn) close(syn_sent)": 11,
  });
});

test("an attempt that the application gives up: cancelled", () => {
  expect(played.cancelled.cancelled).toBe(13);
  expect(told("cancelled")).toEqual({ "client error cancelled: close(syn_sent)": 13 });
});

test("no route, as a router says by ICMP: an unreachable network", () => {
  expect(played.noRoute.failed).toEqual({ ENETUNREACH: 2 });
  expect(told("noRoute")).toEqual({ "client error net_unreachable: close(syn_sent)": 2 });
});

test("what a router prohibits: an unreachable host", () => {
  expect(played.prohibited.failed).toEqual({ EHOSTUNREACH: 3 });
  expect(told("prohibited")).toEqual({ "client error host_unreachable: close(syn_sent)": 3 });
});

test("a full accept queue: attempts time out, and the server has no span of them", () => {
  expect(played.stuck.failed).toEqual({ ETIMEDOUT: 5 });
  expect(told("stuck", ({ events }) => isUnestablished(events))).toEqual({
    "client error timed_out: resent(syn_sent syn) close(syn_sent)": 5,
  });
});

test("a reset by the server in mid-stream: one span at each end, in one trace, that name who did it", () => {
  expect(played.resets.broken).toEqual({ ECONNRESET: 17 });
  expect(told("resets")).toEqual({
    "client error reset by remote: established reset(established) close(established)": 17,
    "server error reset by local: established reset(established) close(established)": 17,
  });
  expect(pairUp(spansOf("resets"))).toMatchObject({ pairs: { length: 17 }, odd: [] });
});

test("a reset by the client in mid-stream: one span at each end, in one trace, that name who did it", () => {
  expect(played.resetByClient.broken).toEqual({ own_reset: 19 });
  expect(told("resetByClient")).toEqual({
    "client error reset by local: established reset(established) close(established)": 19,
    "server error reset by remote: established reset(established) close(established)": 19,
  });
  expect(pairUp(spansOf("resetByClient"))).toMatchObject({ pairs: { length: 19 }, odd: [] });
});

test("a peer that falls silent in mid-stream: the client's end times out, with what it sent again", () => {
  expect(played.silent.broken).toEqual({ ETIMEDOUT: 1 });
  const [client] = spansOf("silent").filter(({ kind }) => kind === "client");
  expect([client?.status, client?.attributes["error.type"]]).toEqual(["error", "timed_out"]);
  const resends = (client?.events ?? []).filter(({ name }) => name === "flowspan.tcp.retransmit");
  expect(resends.length).toBeGreaterThan(0);
  expect(new Set(resends.map(({ attributes }) => attributes["network.connection.state"]))).toEqual(
    new Set(["established"]),
  );
});

test("a server that reads nothing and dies: a closed window, then its reset", () => {
  expect(played.unread.broken).toEqual({ ECONNRESET: 1 });
  expect(told("unread")).toEqual({
    "client error reset by remote: established zero_window(established) reset(established) close(established)": 1,
    "server error reset by local: established reset(established) close(established)": 1,
  });
  expect(pairUp(spansOf("unread"))).toMatchObject({ pairs: { length: 1 }, odd: [] });
});

test("a SYN that is lost once: no failure, at the client's end with the SYN that was sent again", () => {
  expect(played.lossy).toMatchObject({ opened: 3, closed: 3 });
  expect(told("lossy")).toEqual({
    "client unset: resent(syn_sent syn) established close(fin_wait_2)": 3,
    "server unset: established close(last_ack)": 3,
  });
  const { pairs, odd } = pairUp(spansOf("lossy"));
  expect([pairs.length, odd]).toEqual([3, []]);
  const slow = pairs.filter(({ client }) => Number(client.attributes["flowspan.tcp.handshake.time"]) > 0.9);
  expect(slow.length).toBe(3);
});

test("each end says who held its connection up, and by which number", () => {
  const { healthy: _, ...ports } = PORTS;
  const verdicts = Object.keys(ports).map((port) => [port, verdictsOf(port as keyof typeof PORTS)]);

  expect(Object.fromEntries(verdicts)).toEqual({
    resets: ["client: unknown, reset", "server: server_application, reset"],
    resetByClient: ["client: client_application, reset", "server: unknown, reset"],
    stuck: expect.arrayContaining(["client: unknown, no_answer"]),
    silent: expect.arrayContaining(["client: unknown, no_answer"]),
    lossy: ["client: unknown, no_answer", "server: -"],
    dropped: ["client: unknown, no_answer"],
    prohibited: ["client: path, unreachable"],
    cancelled: ["client: -"],
    unread: ["client: server_application, receive_window", "server: server_application, reset"],
    closed: ["client: server_application, refused"],
    noRoute: ["client: path, unreachable"],
  });
});

test("every SYN that the kernel sent again is an event", () => {
  const events = spanLab.spans.flatMap((span) => span.events);
  const syns = events.filter(({ attributes }) => attributes["flowspan.tcp.retransmit.type"] === "syn");
  const failedAndLossy = 11 + 5 + 3;
  expect(syns.length).toBe(played.resentSyns);
  expect(syns.length).toBeGreaterThanOrEqual(failedAndLossy);
});

test("each attempt that failed is one span, as metrics count them", () => {
  const spans = spanLab.spans.filter(({ events }) => isUnestablished(events));
  const failed = seriesTotals(spanLab.receiver.points).filter(
    ({ metric, attributes }) =>
      metric === METRIC_FLOWSPAN_TCP_CONNECTIONS.name && attributes["error.type"] !== undefined,
  );
  const byMetrics = Map.groupBy(failed, ({ attributes }) => String(attributes["error.type"]));
  const sums = [...byMetrics].map(([error, list]) => [error, list.reduce((sum, { value }) => sum + value, 0)]);
  const expected = { refused: 7, timed_out: 11 + 5, cancelled: 13, net_unreachable: 2, host_unreachable: 3 };
  expect(counted(spans.map(({ attributes }) => String(attributes["error.type"])))).toEqual(expected);
  expect(Object.fromEntries(sums)).toEqual(expected);
});

/** Plays every kind; resolves when all spans of it have come. */
async function play() {
  const { lab, observed } = spanLab;
  const address = lab.pod("server").ips.v4;
  const gone = { ...observed.describedPod("server"), name: "gone", uid: uuid("pod default/gone"), ips: NO_ROUTE };
  observed.api.put(labPodObject(gone, lab.description.runtime));
  const listen = [
    { port: PORTS.healthy },
    { port: PORTS.resets, mode: "reset", resetAfter: 100 },
    { port: PORTS.resetByClient },
    { port: PORTS.stuck, mode: "stuck", backlog: 2 },
    { port: PORTS.silent },
    { port: PORTS.lossy },
    { port: PORTS.dropped },
    { port: PORTS.prohibited },
    { port: PORTS.cancelled },
  ] as const;
  await lab.pod("server").serve({ listen });
  const start = (job: ClientJob, kind: keyof typeof PORTS, options: Omit<ClientOptions, "to">, to = address) =>
    lab.pod("client").start(job, { to: [{ address: to, port: PORTS[kind] }], ...options });
  const ends = (...started: Parameters<typeof start>): Promise<Counts> => start(...started).end();

  await lab.delay("node-1", "node-2", DELAY_MS);
  const queued = start("hold", "stuck", { count: 3, rounds: 0 });
  const silent = start("hold", "silent", { count: 1, userTimeoutMs: 1_000 });
  await Promise.all([queued.ready(), silent.ready()]);
  for (const kind of ["dropped", "cancelled", "silent"] as const)
    await lab.drop({ from: "client", to: "server", port: PORTS[kind] });
  await lab.drop({ from: "client", to: "server", port: PORTS.prohibited, answer: "prohibit" });
  const before = await lab.pod("client").books();
  const lossy = lostOnce(() => ends("send", "lossy", { count: 3, parallel: 3 }));
  silent.process.command("send 1000 0");

  const unread = unreadUntilReset(() => ends("send", "unread", { count: 1, upload: 30_000_001 }));
  const unrouted = ends("fail", "noRoute", { count: 2 }, NO_ROUTE.v4);
  const [closed, dropped, cancelled, noRoute, prohibited, stuck, resets, resetByClient] = await Promise.all([
    ends("fail", "closed", { count: 7 }),
    ends("fail", "dropped", { count: 11, synRetries: 1, parallel: 11 }),
    ends("fail", "cancelled", { count: 13, cancelMs: 150, parallel: 13 }),
    unrouted,
    // Not before: a router's rate limit of one kind of answer uses up what it has for the other (inetpeer.c).
    unrouted.then(() => ends("fail", "prohibited", { count: 3 })),
    ends("fail", "stuck", { count: 5, synRetries: 1, parallel: 5 }),
    ends("send", "resets", { count: 17, upload: 200, download: 1 }),
    ends("send", "resetByClient", { count: 19, closer: "reset" }),
  ]);
  const broken = await silent.until((counts) => Object.keys(counts.broken).length > 0);
  const result = {
    closed,
    dropped,
    cancelled,
    noRoute,
    prohibited,
    stuck,
    resets,
    resetByClient,
    silent: broken,
    unread: await unread,
  };
  const all = { ...result, lossy: await lossy, resentSyns: await resentSyns(before) };
  await spanLab.settled(7 + 11 + 13 + 2 + 3 + 5 + 2 * 17 + 2 * 19 + 1 + 2 + 2 * 3);
  return all;
}

/** Drops everything to the port until the first SYNs are gone, as the rule's own counter says. */
async function lostOnce(begin: () => Promise<Counts>): Promise<Counts> {
  const { lab } = spanLab;
  const drop = await lab.drop({ from: "client", to: "server", port: PORTS.lossy });
  const end = begin();
  await eventually("three lost SYNs", async () => {
    const rules = await run([
      "ip",
      "netns",
      "exec",
      nodeNamespace(lab.id, "node-2"),
      "iptables",
      "-w",
      "-nvxL",
      FAULTS,
    ]);
    const rule = rules.split("\n").find((line) => line.includes(`dpt:${PORTS.lossy}`));
    // The kernel sends them again after a second: a late look may find more.
    return Number(rule?.trim().split(/\s+/)[0]) >= 3;
  });
  await drop.remove();
  return end;
}

/** A server of its own, which accepts nothing and is killed once walks have found the window closed. */
async function unreadUntilReset(begin: () => Promise<Counts>): Promise<Counts> {
  const { lab, observed } = spanLab;
  const server = await lab.pod("server").serve({ listen: [{ port: PORTS.unread, mode: "stuck" }] });
  const { TcpExt: before } = await lab.pod("server").books();
  const end = begin();
  await eventually("a closed window", async () => {
    const { TcpExt: now } = await lab.pod("server").books();
    return (now?.TCPToZeroWindowAdv ?? 0) > (before?.TCPToZeroWindowAdv ?? 0);
  });
  await observed.exchanges(3);
  await server.process.stop("SIGKILL");
  return end;
}

async function resentSyns(before: KernelBooks): Promise<number> {
  return booksGrowth(before, await spanLab.lab.pod("client").books(), "TcpExt").TCPSynRetrans ?? 0;
}

function spansOf(kind: keyof typeof PORTS): ReceivedSpan[] {
  return spanLab.spans.filter(({ attributes }) => attributes["server.port"] === PORTS[kind]);
}

/** The spans of one kind in words, and how often each. */
function told(kind: keyof typeof PORTS, where: (span: ReceivedSpan) => boolean = () => true): Record<string, number> {
  return counted(spansOf(kind).filter(where).map(inWords));
}

function inWords({ kind, status, attributes, events }: ReceivedSpan): string {
  const by = attributes["flowspan.tcp.reset.by"];
  const error = attributes["error.type"];
  const outcome = [kind, status, error, by === undefined ? undefined : `by ${by}`].filter((word) => word !== undefined);
  const words = events.map(({ name, attributes }) => eventInWords(name, attributes));
  // However often: that is between the kernel and its settings.
  return `${outcome.join(" ")}: ${words.filter((word, i) => word !== words[i - 1]).join(" ")}`;
}

function eventInWords(name: string, attributes: Attributes): string {
  const details = [attributes["network.connection.state"], attributes["flowspan.tcp.retransmit.type"]].filter(
    (word) => word !== undefined,
  );
  const short = name.replace("flowspan.tcp.", "").replace("retransmit", "resent");
  return details.length === 0 ? short : `${short}(${details.join(" ")})`;
}

function isUnestablished(events: ReceivedSpan["events"]): boolean {
  return events.every(({ name }) => name !== "flowspan.tcp.established");
}

/** Of all spans of a kind of failure, each verdict once. */
function verdictsOf(kind: keyof typeof PORTS): string[] {
  const texts = spansOf(kind).map(({ kind: end, attributes }) => {
    const who = attributes[ATTR_FLOWSPAN_TCP_VERDICT];
    return `${end}: ${who === undefined ? "-" : `${who}, ${attributes[ATTR_FLOWSPAN_TCP_VERDICT_REASON]}`}`;
  });
  return [...new Set(texts)].sort();
}
