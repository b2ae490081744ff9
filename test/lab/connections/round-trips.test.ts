/**
 * Times that are what their name says: of round trips and of servers' handshakes, on a link of microseconds where
 * SYNs, SYN-ACKs and answers are lost, held back, or replaced by cookies.
 *
 *   client on node-1 ── rules of one pod ── servers on node-2, a probe and an agent on each node
 */
import { afterAll, beforeAll, expect, describe as group } from "vitest";
import type { MetricDescriptor } from "../../../agent/generated/semconv.ts";
import {
  ATTR_FLOWSPAN_ROLE,
  ATTR_SERVER_PORT,
  METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION,
  METRIC_FLOWSPAN_TCP_RTT,
} from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { type SeriesTotal, seriesTotals } from "../../otlp/oracle.ts";
import { SpanLab } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import type { Endpoint, Workload } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";
import type { LabPlace } from "../world/lab.ts";

const COUNT = 23;
/** So long a client has nothing to say at first. */
const WAIT_MS = 60;
/** A SYN or SYN-ACK is sent again after a second. */
const RESENT_S = 0.9;
/** A round trip here takes microseconds, on a busy machine some milliseconds. */
const ROUND_TRIP_S = 0.1;
/** The smoothed time is still over this after a lost handshake and a request. */
const POISONED_S = 0.3;

const PORTS = {
  plain: 8101,
  cookies: 8102,
  bareLost: 8103,
  synackLost: 8104,
  synLost: 8105,
  held: 8106,
  silent: 8107,
  fromSynAck: 8108,
  fromSyn: 8109,
};
const OPENED = { defer: 8111, fastopen: 8112, wait: 8113 };
type Role = "client" | "server";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let spanLab: SpanLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const servers = ["server", "cookies"].map((key) => ({ key, node: "node-2" }));
  spanLab = await SpanLab.start({ description: describe({ nodes: 2, pods: [{ key: "client" }, ...servers] }) });
  await pod("server").serve({ listen: Object.values(PORTS).map((port) => ({ port })) });
  await inNetns("cookies", ["sysctl", "-qw", "net.ipv4.tcp_syncookies=2"]);
  await pod("cookies").serve({ listen: [{ port: PORTS.cookies }] });
  for (const key of ["client", "server"]) await inNetns(key, ["sysctl", "-qw", "net.ipv4.tcp_fastopen=3"]);
});

afterAll(() => spanLab?.close());

group("a server's handshake has a value where the first sample is one, and none where it spans more", () => {
  const WAYS = [
    ["an ordinary one", "server", PORTS.plain, 2 * COUNT, undisturbed],
    ["with SYN cookies", "cookies", PORTS.cookies, 0, undisturbed],
    ["whose bare answer was lost", "server", PORTS.bareLost, 0, bareAnswersLost],
    ["whose SYN-ACK was sent again", "server", PORTS.synackLost, 0, synAcksLost],
    ["whose SYN was sent again", "server", PORTS.synLost, 2 * COUNT, synsLost],
  ] as const;
  for (const [what, server, port, values, trouble] of WAYS)
    test(what, async () => {
      const options = { to: both(server, port), count: 2 * COUNT, parallel: 2 * COUNT, upload: 53 };

      const { opened } = await trouble(port, 2 * COUNT, () => pod("client").play("send", options));
      await spanLab.closed(2 * COUNT);

      const { client, server: timed } = handshakes(port);
      expect([opened, client]).toEqual([2 * COUNT, 2 * COUNT]);
      expect(attributes(port, "server", "flowspan.tcp.handshake.time").length).toBe(timed);
      // A busy listener drops some bare answers: then the data after them completes the handshake.
      expect(timed).toBeLessThanOrEqual(values);
      expect(timed).toBeGreaterThanOrEqual(values * 0.8);
      expect(largest(METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION, port, "server")).toBeLessThan(ROUND_TRIP_S);
    });

  const OPENINGS = [
    ["whose client has nothing to say for a while", OPENED.wait, COUNT, "", []],
    ["of a listener that waits for data", OPENED.defer, 0, "defer", []],
    ["with Fast Open and data", OPENED.fastopen, 0, "fastopen", ["fastopen"]],
  ] as const;
  for (const [what, port, values, serving, connecting] of OPENINGS)
    test(what, async () => {
      const server = pod("server").spawn([program("openings"), "serve", String(port), serving]);
      await eventually("a listener", () => server.stdout.length > 0);
      const to = [pod("server").ips.v4, port, COUNT, WAIT_MS].map(String);

      const { code } = await pod("client").exec([program("openings"), "connect", ...to, ...connecting]);
      await spanLab.closed(COUNT);

      expect([code, handshakes(port)]).toEqual([0, { client: COUNT, server: values }]);
    });
});

group("a round trip takes as long as it takes, also where the handshake took seconds", () => {
  // A server answers a SYN that comes again with the timestamp of the first one: then the smoothed time begins there.
  for (const [what, port, trouble, poisoned] of [
    ["SYN-ACKs", PORTS.fromSynAck, synAcksLost, true],
    ["SYNs", PORTS.fromSyn, synsLost, false],
  ] as const)
    test(`after ${what} were lost: at both ends, in metrics and spans`, async () => {
      const options = { to: both("server", port), count: COUNT, parallel: COUNT, upload: 53 };

      await trouble(port, COUNT, () => pod("client").play("send", options));
      await spanLab.closed(COUNT);

      const newest = (["client", "server"] as const).map((role) => attributes(port, role, "flowspan.tcp.rtt.last"));
      expect(largest(METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION, port, "client")).toBeGreaterThan(RESENT_S);
      expect(Math.max(...attributes(port, "client", "flowspan.tcp.rtt.smoothed")) > POISONED_S).toBe(poisoned);
      expect(newest.map(({ length }) => length)).toEqual([COUNT, COUNT]);
      expect(Math.max(...newest.flat())).toBeLessThan(ROUND_TRIP_S);
      expect(roundTrips(port)).toEqual({ client: COUNT, server: COUNT });
      expect(largestRoundTrip(port)).toBeLessThan(ROUND_TRIP_S);
    });

  test("of a connection that stays open, at each look that finds a new one", async () => {
    const held = await synAcksLost(PORTS.held, 5, () => holding(PORTS.held));
    const told: unknown[] = [];
    for (const upload of [0, 1009, 0]) {
      if (upload > 0) await held.send(upload, 503);
      await spanLab.observed.exchanges(2);
      told.push(roundTrips(PORTS.held));
    }
    await held.close();
    await spanLab.closed(5);

    const [none, five] = [
      { client: 0, server: 0 },
      { client: 5, server: 5 },
    ];
    expect(told).toEqual([none, five, five]);
    expect(largestRoundTrip(PORTS.held)).toBeLessThan(ROUND_TRIP_S);
  });

  test("of a connection that has sent nothing there is none, whatever the first sample was", async () => {
    const held = await synAcksLost(PORTS.silent, 5, () => holding(PORTS.silent, "reset"));
    await held.close();
    await spanLab.closed(5);

    const names = ["last", "min", "smoothed"].map((name) => `flowspan.tcp.rtt.${name}`);
    expect(
      names.flatMap((name) => [
        ...attributes(PORTS.silent, "client", name),
        ...attributes(PORTS.silent, "server", name),
      ]),
    ).toEqual([]);
    expect(roundTrips(PORTS.silent)).toEqual({ client: 0, server: 0 });
  });

  test("adaptive sampling takes none of them for slow", async () => {
    await spanLab.configure({ sampling: { adaptive: true, rtt: 100, retransmits: -1 }, rate: 0 });
    const came = spanLab.spans.length;
    const options = { to: both("server", PORTS.plain), count: 5, parallel: 5, upload: 53 };

    await synAcksLost(PORTS.plain, 5, () => pod("client").play("send", options));
    await spanLab.closed(5);

    expect(spanLab.spans.slice(came)).toEqual([]);
    expect(spanLab.observed.losses()).toEqual({});
  });
});

function pod(key: string): LabPlace {
  return spanLab.lab.pod(key);
}

/** Over both families, in turn. */
function both(key: string, port: number): Endpoint[] {
  return [pod(key).ips.v4, pod(key).ips.v6].map((address) => ({ address, port }));
}

/** Five connections that are opened, say nothing and stay open. */
async function holding(port: number, closer: "client" | "reset" = "client"): Promise<Workload> {
  const options = { to: both("server", port), count: 5, parallel: 5, rounds: 0, closer };
  const held = pod("client").start("hold", options);
  await held.ready();
  return held;
}

function inNetns(key: string, argv: readonly string[]): Promise<string> {
  return run(["nsenter", `--net=${pod(key).place.netns}`, ...argv]);
}

function undisturbed<T>(_port: number, _count: number, play: () => Promise<T>): Promise<T> {
  return play();
}

/** The client's segments without data are lost: data completes the handshake. */
async function bareAnswersLost<T>(port: number, _count: number, play: () => Promise<T>): Promise<T> {
  const rule = dropped("server", `--dport ${port} --tcp-flags FIN,SYN,RST,PSH,ACK ACK`);
  await rule("-A");
  try {
    return await play();
  } finally {
    await rule("-D");
  }
}

function synAcksLost<T>(port: number, count: number, play: () => Promise<T>): Promise<T> {
  return firstLost("client", `--sport ${port} --tcp-flags SYN,ACK SYN,ACK`, count, play);
}

function synsLost<T>(port: number, count: number, play: () => Promise<T>): Promise<T> {
  return firstLost("server", `--dport ${port} --tcp-flags SYN,ACK SYN`, count, play);
}

/** Loses the first `count` packets that match: those of as many connections, as the next ones come a second later. */
async function firstLost<T>(key: string, match: string, count: number, play: () => Promise<T>): Promise<T> {
  const rule = dropped(key, match);
  await rule("-A");
  const playing = play();
  let lost = 0;
  try {
    await eventually(
      () => `${count} lost packets, but ${lost}`,
      async () => {
        lost = await losses(key, match);
        return lost >= count;
      },
    );
  } finally {
    await rule("-D");
  }
  return playing;
}

const FAMILIES = ["iptables", "ip6tables"];

/** Adds or removes the rule that drops what comes to a pod and matches. */
function dropped(key: string, match: string): (action: "-A" | "-D") => Promise<unknown> {
  const rule = ["INPUT", "-p", "tcp", ...match.split(" "), "-j", "DROP"];
  return (action) => Promise.all(FAMILIES.map((each) => inNetns(key, [each, action, ...rule])));
}

/** How many packets the rule to that port has dropped. */
async function losses(key: string, match: string): Promise<number> {
  const [, port] = match.split(" ");
  const texts = await Promise.all(FAMILIES.map((each) => inNetns(key, [each, "-nvxL", "INPUT"])));
  const rules = texts.flatMap((text) => text.split("\n")).filter((line) => line.includes(`pt:${port} `));
  return rules.reduce((sum, line) => sum + Number.parseInt(line, 10), 0);
}

function series(metric: MetricDescriptor, port: number, role: Role): SeriesTotal[] {
  return seriesTotals(spanLab.receiver.points).filter(
    (each) =>
      each.metric === metric.name &&
      each.attributes[ATTR_SERVER_PORT] === port &&
      each.attributes[ATTR_FLOWSPAN_ROLE] === role,
  );
}

function values(metric: MetricDescriptor, port: number): Record<Role, number> {
  const of = (role: Role) => series(metric, port, role).reduce((sum, { count }) => sum + count, 0);
  return { client: of("client"), server: of("server") };
}

function handshakes(port: number): Record<Role, number> {
  return values(METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION, port);
}

function roundTrips(port: number): Record<Role, number> {
  return values(METRIC_FLOWSPAN_TCP_RTT, port);
}

/** Seconds: the upper end of the last bucket that holds a value; 0 without one. */
function largest(metric: MetricDescriptor, port: number, role: Role): number {
  const held = series(metric, port, role).flatMap(({ buckets }) => [...buckets].filter(([, count]) => count > 0));
  return Math.max(0, ...held.map(([index]) => 2 ** ((index + 1) / 2 ** SCALE)));
}

function largestRoundTrip(port: number): number {
  return Math.max(...(["client", "server"] as const).map((role) => largest(METRIC_FLOWSPAN_TCP_RTT, port, role)));
}

/** The values of a numeric attribute of all spans of that end that have it. */
function attributes(port: number, role: Role, name: string): number[] {
  const spans = spanLab.spans.filter(({ kind, attributes }) => kind === role && attributes[ATTR_SERVER_PORT] === port);
  return spans.flatMap(({ attributes }) => (attributes[name] === undefined ? [] : [Number(attributes[name])]));
}

/** Of the histograms that are sent. */
const SCALE = 3;
