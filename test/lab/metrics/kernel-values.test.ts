/**
 * What metrics say of transport against the kernel's own words for the same connections, while they are open and
 * rest: `ss -ti` of both ends' sockets, `nstat` of both pods' namespaces.
 *
 *   client on node-1 ── delay, loss ── server on node-2, a probe and an agent on each node
 *
 * Connections are opened before the link is made bad: a SYN-ACK that is sent again belongs to no socket. Where a
 * tolerance is not said, numbers are equal: at rest, a walk and `ss` read the same fields of the same sockets. A resend
 * that this machine's kernel hid from every BPF program (witness.ts) has no type, or the next one's.
 */
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import type { MetricDescriptor } from "../../../agent/generated/semconv.ts";
import {
  ATTR_FLOWSPAN_NETNS,
  ATTR_FLOWSPAN_ROLE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE,
  ATTR_FLOWSPAN_TCP_SEND_STATE,
  ATTR_NETWORK_IO_DIRECTION,
  ATTR_SERVER_PORT,
  METRIC_FLOWSPAN_COVERAGE_CONNECTIONS,
  METRIC_FLOWSPAN_COVERAGE_SEGMENTS,
  METRIC_FLOWSPAN_TCP_OUT_OF_ORDER,
  METRIC_FLOWSPAN_TCP_RETRANSMITS,
  METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS,
  METRIC_FLOWSPAN_TCP_SEGMENTS,
  METRIC_FLOWSPAN_TCP_SEND_TIME,
} from "../../../agent/generated/semconv.ts";
import type { Attributes } from "../../../agent/model/attribute.ts";
import { missing, needs } from "../../machine/needs.ts";
import { SEGMENTS_AT_ONCE, startWitness } from "../../machine/witness.ts";
import { seriesTotals, total } from "../../otlp/oracle.ts";
import { ObservedLab } from "../agents/observed.ts";
import { eventually } from "../programs/process.ts";
import type { Workload } from "../programs/workload.ts";
import { twoPods } from "../world/describe.ts";
import type { Fault } from "../world/faults.ts";
import { booksGrowth, type KernelBooks, type SocketDetail } from "../world/kernel-books.ts";

const CONNECTIONS = 23;
const BULK = 8080;
const SLOW_READER = 8081;
const DELAY_MS = 7;
const LOSS = 0.05;
/** Until each way of sending again has happened; far more than that takes. */
const ROUNDS_MAX = 101;
/** Of a limited connection, until it is a number worth comparing. */
const LIMITED_MS = 304;
/** Of each time of each socket. */
const SS_ROUNDS_MS = 1;
const DEADLINE_MS = 60_000;

const ENDS = ["client", "server"] as const;
type End = (typeof ENDS)[number];
type Both<T> = Readonly<Record<End, T>>;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let observed: ObservedLab;
/** Before anything was sent. */
let before: Both<KernelBooks>;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  observed = await ObservedLab.start(twoPods());
  await pod("server").serve({ listen: [BULK, SLOW_READER].map((port) => ({ port })) });
  // A namespace is seen while a task lives in it.
  pod("client").spawn(["sleep", "infinity"]);
  await observed.watch();
  // Coverage counts from the first look at a namespace: here, nothing was sent before.
  await observed.exchanges(2);
  before = await books();
});

afterAll(() => observed?.close());

describe("after rounds on a slow link that loses packets", () => {
  let resting: Rest;
  let held: Workload;
  /** Segments that may have been sent again unseen. */
  let hidden: number;

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    const witness = startWitness();
    held = await holding(BULK, CONNECTIONS);
    const delay = await observed.lab.delay("node-1", "node-2", DELAY_MS);
    const loss = await observed.lab.loss("node-1", "node-2", LOSS);
    for (let round = 0; round < ROUNDS_MAX && !everyWayOfResending(await growth()); round++)
      await held.send(100_003, 60_013, DEADLINE_MS);
    await loss.remove();
    await delay.remove();
    resting = await rest(BULK);
    hidden = witness.stop() * SEGMENTS_AT_ONCE;
  }, 120_000);

  afterAll(async () => {
    await held?.close();
  });

  test("coverage is 1: sockets account for each segment and each opened connection of their namespaces", () => {
    const coverage = (end: End) =>
      [METRIC_FLOWSPAN_COVERAGE_SEGMENTS, METRIC_FLOWSPAN_COVERAGE_CONNECTIONS].map((metric) =>
        told(metric, { [ATTR_FLOWSPAN_NETNS]: statSync(pod(end).place.netns).ino }),
      );

    expect(both(coverage)).toEqual({ client: [1, 1], server: [1, 1] });
    expect(observed.losses()).toEqual({});
    expect(resting.books.client.Tcp).toMatchObject({ ActiveOpens: CONNECTIONS, PassiveOpens: 0, OutRsts: 0 });
    expect(resting.books.server.Tcp).toMatchObject({ ActiveOpens: 0, PassiveOpens: CONNECTIONS, OutRsts: 0 });
  });

  test("segments sent and received are those of the sockets", () => {
    const segments = (end: End) =>
      ["transmit", "receive"].map((way) =>
        toldOf(end, BULK, METRIC_FLOWSPAN_TCP_SEGMENTS, { [ATTR_NETWORK_IO_DIRECTION]: way }),
      );

    expect(both(segments)).toEqual(both((end) => [sum(resting, end, "segsOut"), sum(resting, end, "segsIn")]));
    expect(Math.min(...segments("client"), ...segments("server"))).toBeGreaterThan(503);
  });

  test("segments out of order, and those sent again for nothing, are those of the sockets", () => {
    const disorder = (end: End) =>
      [METRIC_FLOWSPAN_TCP_OUT_OF_ORDER, METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS].map((metric) =>
        toldOf(end, BULK, metric),
      );

    expect(both(disorder)).toEqual(both((end) => [sum(resting, end, "outOfOrder"), sum(resting, end, "spurious")]));
    expect(Math.min(disorder("client")[0] ?? 0, disorder("server")[0] ?? 0)).toBeGreaterThan(0);
  });

  test("types of retransmits add up to all of them, and each is what the kernel counted as such", () => {
    const types = both(retransmitsTold);
    const all = (end: End) => Object.values(types[end]).reduce((sum, count) => sum + count, 0);

    expect(both(all)).toEqual(both((end) => sum(resting, end, "retransmits")));
    expect(both(all)).toEqual(both((end) => resting.books[end].Tcp?.RetransSegs));
    const off = ENDS.flatMap((end) =>
      Object.entries(resent(resting.books[end])).map(([type, count]) => Math.abs(count - types[end][type as Type])),
    );
    expect(Math.max(...off)).toBeLessThanOrEqual(hidden);
    // A probe may also send what is new, which is no retransmit.
    for (const end of ENDS)
      expect(types[end].tail_loss_probe).toBeLessThanOrEqual((resting.books[end].TcpExt?.TCPLossProbes ?? 0) + hidden);
    expect(everyWayOfResending(resting.books)).toBe(true);
  });

  test("busy time is that of the sockets, to the millisecond that ss rounds off each", () => {
    for (const end of ENDS) {
      const ssMs = sum(resting, end, "busyMs");
      expect(Math.abs(sendTimeMs(end, BULK, "busy") - ssMs)).toBeLessThanOrEqual(CONNECTIONS * SS_ROUNDS_MS);
      expect(ssMs).toBeGreaterThan(CONNECTIONS * 2 * DELAY_MS);
    }
  });
});

test("send time is what ss says while a peer does not read, and when it reads on and the own buffer is the limit", async () => {
  // Small buffers, of the namespaces' sockets to come, that do not grow.
  await pod("client").exec(["sysctl", "-q", "-w", "net.ipv4.tcp_wmem=4096 16384 16384"]);
  await pod("server").exec(["sysctl", "-q", "-w", "net.ipv4.tcp_rmem=4096 131072 131072"]);
  const held = await holding(SLOW_READER, 1);
  const limitedMs = async (by: "receiveWindow" | "sendBuffer") =>
    sum({ sockets: await sockets(SLOW_READER) }, "client", `${by}LimitedMs`);
  const during: number[][] = [];
  // Once the window opens, all that the buffer holds is on its way at once, and a round trip passes until there is
  // room: if the congestion window allows that, which grows from round to round.
  while ((await limitedMs("sendBuffer")) === 0) {
    const atLeastMs = (await limitedMs("receiveWindow")) + LIMITED_MS;
    const thaw = freeze("server");
    const done = held.send(2_000_003, 0, DEADLINE_MS);
    let delay: Fault;
    try {
      await eventually("a closed window", async () => (await limitedMs("receiveWindow")) >= atLeastMs, DEADLINE_MS);
      const least = await limitedMs("receiveWindow");
      await observed.exchanges(2);
      const told = sendTimeMs("client", SLOW_READER, "receive_window_limited");
      during.push([least, told, (await limitedMs("receiveWindow")) + SS_ROUNDS_MS]);
      delay = await observed.lab.delay("node-1", "node-2", 17);
    } finally {
      thaw();
    }
    await done;
    await delay.remove();
  }
  const resting = await rest(SLOW_READER);
  await held.close();

  const bySs = sendTimesBySs(resting);
  expect(during).toEqual(during.map((each) => each.toSorted((a, b) => a - b)));
  expect(sendTimesMs(SLOW_READER).filter((ms, i) => Math.abs(ms - (bySs[i] ?? 0)) > SS_ROUNDS_MS)).toEqual([]);
  expect(bySs[1]).toBeGreaterThanOrEqual(LIMITED_MS);
  expect(bySs[2]).toBeGreaterThan(0);
}, 120_000);

/** Nothing moved between two looks at both ends, and what was told in between is told of that. */
interface Rest {
  readonly sockets: Both<readonly SocketDetail[]>;
  /** Growth since the beginning, by group. */
  readonly books: Both<KernelBooks>;
}

async function rest(port: number): Promise<Rest> {
  const look = async (): Promise<Rest> => ({ sockets: await sockets(port), books: await growth() });
  const still = async () => {
    const first = await look();
    await observed.exchanges(2);
    const second = await look();
    return JSON.stringify(first) === JSON.stringify(second) && second;
  };
  return eventually("connections at rest", still, DEADLINE_MS);
}

function pod(end: End) {
  return observed.lab.pod(end);
}

function both<T>(of: (end: End) => T): Both<T> {
  return { client: of("client"), server: of("server") };
}

/** Connections to that port that stay open. */
async function holding(port: number, count: number): Promise<Workload> {
  const held = pod("client").start("hold", { to: [{ address: pod("server").ips.v4, port }], count });
  await held.ready();
  return held;
}

/** Stops all processes of a pod, as it is; its kernel goes on. @returns lets them go on */
function freeze(end: End): () => void {
  const file = join(pod(end).place.cgroup, "cgroup.freeze");
  writeFileSync(file, "1");
  return () => writeFileSync(file, "0");
}

/** Both ends' sockets of the connections to that port. */
async function sockets(port: number): Promise<Both<SocketDetail[]>> {
  const isOf = ({ state, local, remote }: SocketDetail) =>
    state !== "LISTEN" && (local.endsWith(`:${port}`) || remote.endsWith(`:${port}`));
  const [client, server] = await Promise.all(ENDS.map((end) => pod(end).sockets()));
  return { client: client?.filter(isOf) ?? [], server: server?.filter(isOf) ?? [] };
}

type Counted = { [K in keyof SocketDetail]: SocketDetail[K] extends number ? K : never }[keyof SocketDetail];

function sum({ sockets }: Pick<Rest, "sockets">, end: End, name: Counted): number {
  return sockets[end].reduce((all, socket) => all + socket[name], 0);
}

async function books(): Promise<Both<KernelBooks>> {
  return { client: await pod("client").books(), server: await pod("server").books() };
}

async function growth(): Promise<Both<KernelBooks>> {
  const now = await books();
  return both((end) => ({
    Tcp: booksGrowth(before[end], now[end], "Tcp"),
    TcpExt: booksGrowth(before[end], now[end], "TcpExt"),
  }));
}

type Type = "syn" | "fast" | "timeout" | "tail_loss_probe" | "other";

/**
 * By the names of our types, what the namespace's counters say; where they know no such thing, what is left. A timeout
 * resends one segment, and in the loss state that it leaves behind the others are resent in slow start.
 */
function resent({ Tcp = {}, TcpExt = {} }: KernelBooks): Record<Type, number> {
  const { TCPSynRetrans: syn = 0, TCPFastRetrans: fast = 0 } = TcpExt;
  const timeout = (TcpExt.TCPTimeouts ?? 0) + (TcpExt.TCPSlowStartRetrans ?? 0);
  return { syn, fast, timeout, tail_loss_probe: (Tcp.RetransSegs ?? 0) - syn - fast - timeout, other: 0 };
}

function everyWayOfResending(books: Both<KernelBooks>): boolean {
  return ENDS.every((end) => {
    const { fast, timeout, tail_loss_probe } = resent(books[end]);
    return Math.min(fast, timeout, tail_loss_probe) > 0;
  });
}

function told(metric: MetricDescriptor, where: Attributes): number {
  return total(seriesTotals(observed.receiver.points), metric.name, where);
}

function toldOf(end: End, port: number, metric: MetricDescriptor, where: Attributes = {}): number {
  return told(metric, { [ATTR_FLOWSPAN_ROLE]: end, [ATTR_SERVER_PORT]: port, ...where });
}

function retransmitsTold(end: End): Record<Type, number> {
  const of = (type: Type) =>
    toldOf(end, BULK, METRIC_FLOWSPAN_TCP_RETRANSMITS, { [ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE]: type });
  const [syn, fast, timeout] = [of("syn"), of("fast"), of("timeout")];
  return { syn, fast, timeout, tail_loss_probe: of("tail_loss_probe"), other: of("other") };
}

type SendState = "busy" | "receive_window_limited" | "send_buffer_limited";

function sendTimeMs(end: End, port: number, state: SendState): number {
  return 1000 * toldOf(end, port, METRIC_FLOWSPAN_TCP_SEND_TIME, { [ATTR_FLOWSPAN_TCP_SEND_STATE]: state });
}

/** Of the client: busy, and limited by the peer's window and by the own buffer. */
function sendTimesMs(port: number): number[] {
  const states = ["busy", "receive_window_limited", "send_buffer_limited"] as const;
  return states.map((state) => sendTimeMs("client", port, state));
}

function sendTimesBySs(resting: Rest): number[] {
  const names = ["busyMs", "receiveWindowLimitedMs", "sendBufferLimitedMs"] as const;
  return names.map((name) => sum(resting, "client", name));
}
