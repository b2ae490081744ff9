/**
 * Each trouble, made on real sockets between two pods, is its own finding and no other one: it starts, its evidence is the
 * kernel's own count, and it ends. A healthy lab has none.
 *
 *   client on node-1 ── server on node-2, a probe and an agent on each node, an exchange a second
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_CONNECT_REFUSED,
  ATTR_FLOWSPAN_CONNECT_TIMED_OUT,
  ATTR_FLOWSPAN_FINDING_NAME,
  ATTR_FLOWSPAN_KERNEL_LISTEN_OVERFLOWS,
  ATTR_FLOWSPAN_LISTENER_DROPS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
  ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME,
  ATTR_K8S_POD_NAME,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_SERVICE_PEER_NAME,
  METRIC_FLOWSPAN_FINDINGS_ACTIVE,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { twoPods } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";
import { foundLab, INTERVAL_MS, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
const CLOSED = 8089;
const STUCK = 8081;

const lab = foundLab<"client" | "server">(NEEDS, twoPods(), ["client"], ({ pod }) =>
  pod("server").serve({ listen: [{ port: PORT }] }),
);

test(
  "a healthy lab has no finding",
  async () => {
    const watch = new FindingWatch(lab.observed);

    const sent = await lab.pod("client").play("send", {
      to: lab.to("server", PORT),
      count: 23,
      rounds: 3,
      upload: 50_021,
      download: 1009,
    });
    await lab.observed.exchanges(4);

    expect(sent).toMatchObject({ opened: 23, closed: 23 });
    expect(watch.names).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "connects to a closed port are connect_refused, as many as the client counted, and the metric to alert on rises and falls",
  async () => {
    const watch = new FindingWatch(lab.observed);

    const { result, growth } = await lab.moved("client", "Tcp", () =>
      lab.pod("client").play("fail", { to: lab.to("server", CLOSED), count: 23 }),
    );
    await watch.over();

    const [start] = watch.starts("connect_refused");
    expect(result.failed).toEqual({ ECONNREFUSED: 23 });
    expect(growth.AttemptFails).toBe(23);
    expect(watch.sum("connect_refused", ATTR_FLOWSPAN_CONNECT_REFUSED)).toBe(23);
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBe(lab.observed.describedPod("client").name);
    expect(start).toMatchObject({
      severity: "ERROR",
      attributes: {
        [ATTR_SERVER_PORT]: CLOSED,
        [ATTR_NETWORK_PEER_ADDRESS]: lab.pod("server").ips.v4,
        [ATTR_SERVICE_PEER_NAME]: "server",
      },
    });
    expect(watch.names).toEqual(["connect_refused"]);
    const active = () =>
      lab.observed
        .points({ [ATTR_FLOWSPAN_FINDING_NAME]: "connect_refused" })
        .filter(({ metric }) => metric === METRIC_FLOWSPAN_FINDINGS_ACTIVE.name)
        .map(({ value }) => value);
    await watch.until("the metric's 0", () => active().at(-1) === 0);
    expect(active()).toContain(1);
  },
  TIMEOUT_MS,
);

test(
  "connects whose SYNs are dropped are connect_unanswered, with the SYNs that the kernel sent again",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const drop = await lab.observed.lab.drop({ from: "client", to: "server", port: PORT });

    const { result, growth } = await lab.moved("client", "TcpExt", () =>
      lab.pod("client").play("fail", { to: lab.to("server", PORT), count: 19, synRetries: 1 }),
    );
    await drop.remove();
    await watch.over();

    expect(result.failed).toEqual({ ETIMEDOUT: 19 });
    expect({
      timedOut: watch.sum("connect_unanswered", ATTR_FLOWSPAN_CONNECT_TIMED_OUT),
      names: watch.names,
    }).toEqual({ timedOut: 19, names: ["connect_unanswered"] });
    // SYNs sent again before the first connect timed out belong to intervals without the finding.
    expect(watch.sum("connect_unanswered", ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN)).toBeLessThanOrEqual(
      growth.TCPSynRetrans ?? 0,
    );
  },
  TIMEOUT_MS,
);

test(
  "a full accept queue is listen_queue_overflow, with as many drops as the namespace's own counters",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const before = await lab.pod("server").books();
    const grown = async () => booksGrowth(before, await lab.pod("server").books(), "TcpExt");
    const stuck = await lab.pod("server").serve({ listen: [{ port: STUCK, mode: "stuck", backlog: 2 }] });

    // Three wait, two find no room; fewer than it takes for connect_unanswered.
    const clients = lab.pod("client").start("hold", { to: lab.to("server", STUCK), count: 5 });
    const told = () => watch.sum("listen_queue_overflow", ATTR_FLOWSPAN_LISTENER_DROPS);
    await watch.until("all drops in ended findings", async () => told() > 0 && told() === (await grown()).ListenDrops);
    const { ListenDrops, ListenOverflows } = await grown();
    // The listener first: clients that are killed would send their FINs again, each a drop.
    await stuck.process.stop("SIGKILL");
    await clients.process.stop("SIGKILL");
    await lab.observed.exchanges(3);
    await watch.over();

    const [start] = watch.starts("listen_queue_overflow");
    expect(ListenOverflows).toBe(ListenDrops);
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBe(lab.observed.describedPod("server").name);
    expect(start?.attributes[ATTR_SERVER_PORT]).toBe(STUCK);
    expect(watch.sum("listen_queue_overflow", ATTR_FLOWSPAN_KERNEL_LISTEN_OVERFLOWS)).toBeGreaterThanOrEqual(1);
    expect(watch.names).toEqual(["listen_queue_overflow"]);
  },
  TIMEOUT_MS,
);

test(
  "a link that loses packets is retransmits, of both ends, and no more than the kernel sent again",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const held = lab.pod("client").start("hold", { to: lab.to("server", PORT), count: 23 });
    await held.ready();
    const before = { client: await lab.pod("client").books(), server: await lab.pod("server").books() };
    const loss = await lab.observed.lab.loss("node-1", "node-2", 0.05);

    while (watch.starts("retransmits").length === 0) await held.send(100_003, 60_013);
    await loss.remove();
    await watch.over();
    await held.close();

    const resent = (key: "client" | "server") =>
      lab
        .pod(key)
        .books()
        .then((after) => booksGrowth(before[key], after, "Tcp").RetransSegs ?? 0);
    const told = watch.sum("retransmits", ATTR_FLOWSPAN_TCP_RETRANSMIT_COUNT);
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual((await resent("client")) + (await resent("server")));
    expect(watch.names).toEqual(["retransmits"]);
  },
  TIMEOUT_MS,
);

test(
  "a peer that does not read is slow_reader, for as long as ss says, and the reader has no finding",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const held = lab.pod("client").start("hold", { to: lab.to("server", PORT), count: 1 });
    await held.ready();
    const file = join(lab.pod("server").place.cgroup, "cgroup.freeze");

    writeFileSync(file, "1");
    let done: Promise<unknown>;
    try {
      done = held.send(20_000_003, 0, TIMEOUT_MS);
      await watch.started("slow_reader");
    } finally {
      writeFileSync(file, "0");
    }
    await done;
    await watch.over();
    const limitedMs = (await lab.pod("client").sockets())
      .filter(({ remote }) => remote.endsWith(`:${PORT}`))
      .reduce((all, { receiveWindowLimitedMs }) => all + receiveWindowLimitedMs, 0);
    await held.close();

    const toldMs = watch.sum("slow_reader", ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME) * 1000;
    expect(watch.starts("slow_reader")[0]?.resource[ATTR_K8S_POD_NAME]).toBe(lab.observed.describedPod("client").name);
    expect(toldMs).toBeGreaterThan(0.2 * 2 * INTERVAL_MS);
    expect(toldMs).toBeLessThanOrEqual(limitedMs + 1);
    expect(watch.names).toEqual(["slow_reader"]);
  },
  TIMEOUT_MS,
);
