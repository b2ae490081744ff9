/**
 * Troubles of a pod's own kernel limits, made on real sockets, are each a finding and no other one: no local port, no memory for
 * what arrives, no room for handshakes, a small send buffer. Evidence is the kernel's own count.
 *
 *   client on node-1 ── server on node-2, a probe and an agent on each node, an exchange a second
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_CONNECT_NO_LOCAL_PORT,
  ATTR_FLOWSPAN_KERNEL_RCV_PRUNED,
  ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_SENT,
  ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { enterArguments } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import { clientArguments, Workload } from "../programs/workload.ts";
import { twoPods } from "../world/describe.ts";
import { foundLab, INTERVAL_MS, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const LOCAL = 8082;
const FLOODED = 8083;
const BULK = 8084;

const lab = foundLab<"client" | "server">(NEEDS, twoPods(), ["client", "server"], async () => {});

test(
  "connects without a free local port are ports_exhausted, as many as the client counted",
  async () => {
    const watch = new FindingWatch(lab.observed);
    await lab.pod("client").exec(["sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=50000 50003"]);
    // Of an odd number of ports the kernel leaves one out by chance (__inet_hash_connect).
    const connects = Array.from({ length: 27 }, (_, i) => `connect ${1 + i} ${LOCAL}`);

    const said = await run(
      enterArguments(lab.pod("client").place, [program("calls")]),
      [`listen 0 ${LOCAL}`, ...connects].join("\n"),
    );
    await lab.pod("client").exec(["sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=32768 60999"]);
    await watch.over();

    expect(said.match(/connect \d+ EADDRNOTAVAIL/g)).toHaveLength(23);
    expect({
      failed: watch.sum("ports_exhausted", ATTR_FLOWSPAN_CONNECT_NO_LOCAL_PORT),
      names: watch.names,
    }).toEqual({ failed: 23, names: ["ports_exhausted"] });
  },
  TIMEOUT_MS,
);

test(
  "segments that a full receive queue dropped are socket_memory, as many as the namespace counted",
  async () => {
    const watch = new FindingWatch(lab.observed);

    const { growth } = await lab.moved("client", "TcpExt", () =>
      run(
        enterArguments(lab.pod("client").place, [program("calls")]),
        [
          `listen 0 ${LOCAL}`,
          `connect 1 ${LOCAL}`,
          "accept 2 0",
          "send 1 40009",
          "drained 1",
          "rcvbuf 2 2048",
          "send 1 10007",
        ]
          .concat("pause 0 300")
          .join("\n"),
      ),
    );
    await watch.over();

    expect(growth.RcvPruned).toBeGreaterThan(0);
    expect(watch.sum("socket_memory", ATTR_FLOWSPAN_KERNEL_RCV_PRUNED)).toBe(growth.RcvPruned);
    expect(watch.starts("socket_memory")[0]?.resource[ATTR_K8S_POD_NAME]).toBe(
      lab.observed.describedPod("client").name,
    );
    expect(watch.names).toEqual(["socket_memory"]);
  },
  TIMEOUT_MS,
);

test(
  "a SYN queue that is full of handshakes which nobody completes is syn_cookies, as many as the namespace sent",
  async () => {
    const watch = new FindingWatch(lab.observed);
    await lab.pod("server").serve({ listen: [{ port: FLOODED, backlog: 4 }] });
    const lost = await lab.observed.lab.drop({ from: "server", to: "client" });
    // Outside of what the probe counts, as an attacker is.
    const { netns } = lab.pod("client").place;
    const place = { cgroup: lab.observed.lab.outsideCgroup, netns };

    const { growth } = await lab.moved("server", "TcpExt", async () => {
      const flood = new Workload(
        place,
        clientArguments("fail", { to: lab.to("server", FLOODED), count: 61, parallel: 61, synRetries: 1 }),
      );
      await flood.process.ended;
    });
    await lost.remove();
    await watch.over();

    expect(growth.SyncookiesSent).toBeGreaterThan(0);
    expect(watch.sum("syn_cookies", ATTR_FLOWSPAN_KERNEL_SYNCOOKIES_SENT)).toBe(growth.SyncookiesSent);
    expect(watch.names).toEqual(["syn_cookies"]);
  },
  TIMEOUT_MS,
);

test(
  "a send buffer that is smaller than its path is small_send_buffer of the sender, for as long as ss says",
  async () => {
    const watch = new FindingWatch(lab.observed);
    await lab.pod("server").serve({ listen: [{ port: BULK }] });
    await lab.pod("client").exec(["sysctl", "-q", "-w", "net.ipv4.tcp_wmem=4096 16384 16384"]);
    const delay = await lab.observed.lab.delay("node-1", "node-2", 17);
    const held = lab.pod("client").start("hold", { to: lab.to("server", BULK), count: 1 });
    await held.ready();

    // A round trip of 34 ms takes some 8 kB.
    while (watch.starts("small_send_buffer").length === 0) await held.send(500_009, 0, TIMEOUT_MS);
    await watch.over();
    const [socket] = (await lab.pod("client").sockets()).filter(({ remote }) => remote.endsWith(`:${BULK}`));
    await held.close();
    await delay.remove();
    await lab.pod("client").exec(["sysctl", "-q", "-w", "net.ipv4.tcp_wmem=4096 16384 4194304"]);

    const toldMs = watch.sum("small_send_buffer", ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME) * 1000;
    expect(watch.starts("small_send_buffer")[0]?.resource[ATTR_K8S_POD_NAME]).toBe(
      lab.observed.describedPod("client").name,
    );
    expect(toldMs).toBeGreaterThan(0.2 * 2 * INTERVAL_MS);
    expect(toldMs).toBeLessThanOrEqual((socket?.sendBufferLimitedMs ?? 0) + 1);
    expect(watch.names).toEqual(["small_send_buffer"]);
  },
  TIMEOUT_MS,
);
