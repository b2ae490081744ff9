/**
 * A rule of a node that takes part of its pods' packets away is found as that: reason, node, clients, servers, and the SYNs that made
 * connects slow. What it makes of connections is no finding of its own.
 *
 *   client ── node-1: a rule of FORWARD ── node-2 ── server behind a Service, a probe and an agent each, an exchange a second
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_DROP_PACKETS,
  ATTR_FLOWSPAN_DROP_REASON,
  ATTR_FLOWSPAN_DROP_SYNS,
  ATTR_FLOWSPAN_DROP_TARGETS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { run } from "../programs/run.ts";
import { twoPods } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";
import { foundLab, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
const TO_SERVER = ["FORWARD", "-p", "tcp", "--dport", String(PORT)];

const lab = foundLab<"client" | "server">(NEEDS, twoPods(), ["client", "node-1", "node-2"], ({ pod }) =>
  pod("server").serve({ listen: [{ port: PORT }] }),
);

const throughService = () => [{ address: lab.observed.lab.service("server").clusterIps.v4, port: 80 }];
const _directly = () => [{ address: lab.pod("server").ips.v4, port: PORT }];

test(
  "a lab whose nodes are watched has no finding while it is healthy",
  async () => {
    const watch = new FindingWatch(lab.observed);

    const sent = await lab
      .pod("client")
      .play("send", { to: throughService(), count: 101, upload: 50_021, download: 1009 });
    await lab.observed.exchanges(4);

    expect(sent).toMatchObject({ opened: 101, closed: 101 });
    expect(watch.names).toEqual([]);
  },
  TIMEOUT_MS,
);

test(
  "a rule that drops part of a Service's traffic is packets_dropped of its node, as often as the rule counts, until it is replaced",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const before = await lab.pod("client").books();
    // As a rule for new connections: what is established passes.
    const rule = [...TO_SERVER, "--syn", "-m", "statistic", "--mode", "random", "--probability", "0.3"];
    await iptables("-I", ...rule, "-j", "DROP");

    const sent = await lab.pod("client").play("send", { to: throughService(), count: 61, parallel: 61, upload: 1009 });
    const dropped = await ruleCount();
    await iptables("-D", ...rule, "-j", "DROP");
    await iptables("-I", ...TO_SERVER, "-j", "ACCEPT");
    const after = await lab.pod("client").play("send", { to: throughService(), count: 23, upload: 1009 });
    await watch.over();
    await iptables("-D", ...TO_SERVER, "-j", "ACCEPT");

    const [start] = watch.starts("packets_dropped");
    const { TCPSynRetrans = 0 } = booksGrowth(before, await lab.pod("client").books(), "TcpExt");
    expect([sent.opened, after.opened]).toEqual([61, 23]);
    expect(watch.sum("packets_dropped", ATTR_FLOWSPAN_DROP_PACKETS)).toBe(dropped);
    expect(watch.sum("packets_dropped", ATTR_FLOWSPAN_DROP_SYNS)).toBe(TCPSynRetrans);
    const resent = watch.sum("packets_dropped", ATTR_FLOWSPAN_TCP_RETRANSMIT_SYN);
    expect(resent).toBeGreaterThan(0);
    // A SYN that is sent again later than some seconds after the drop is in none of them.
    expect(resent).toBeLessThanOrEqual(TCPSynRetrans);
    expect(start?.resource[ATTR_K8S_NODE_NAME]).toBe("node-1");
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBeUndefined();
    expect(start).toMatchObject({
      severity: "ERROR",
      attributes: {
        [ATTR_FLOWSPAN_DROP_REASON]: "NETFILTER_DROP",
        [ATTR_FLOWSPAN_AFFECTED]: [lab.nameOf("client")],
        [ATTR_FLOWSPAN_DROP_TARGETS]: [`${lab.nameOf("server")}:${PORT}`],
      },
    });
    expect(watch.names).toEqual(["packets_dropped"]);
  },
  TIMEOUT_MS,
);

test(
  "connects whose SYNs a rule of this node drops are packets_dropped and not connect_unanswered",
  async () => {
    const watch = new FindingWatch(lab.observed);
    await iptables("-I", ...TO_SERVER, "-j", "DROP");

    const before = await lab.pod("client").books();
    const failed = await lab
      .pod("client")
      .play("fail", { to: lab.to("server", PORT), count: 19, parallel: 19, synRetries: 1 });
    const dropped = await ruleCount();
    await iptables("-D", ...TO_SERVER, "-j", "DROP");
    await watch.over();

    expect(failed.failed).toEqual({ ETIMEDOUT: 19 });
    const { TCPSynRetrans = 0 } = booksGrowth(before, await lab.pod("client").books(), "TcpExt");
    expect(dropped).toBe(19 + TCPSynRetrans);
    expect(watch.sum("packets_dropped", ATTR_FLOWSPAN_DROP_SYNS)).toBe(dropped);
    expect(watch.names).toEqual(["packets_dropped"]);
  },
  TIMEOUT_MS,
);

/** On node-1. */
function iptables(...argv: string[]): Promise<string> {
  return run(["nsenter", `--net=${lab.node("node-1").place.netns}`, "iptables", ...argv]);
}

/** Packets of the rule that drops. */
async function ruleCount(): Promise<number> {
  const listed = await iptables("-L", "FORWARD", "-v", "-x", "-n");
  const line = listed.split("\n").find((text) => text.includes("DROP") && text.includes(`dpt:${PORT}`)) ?? "";
  return Number(line.trim().split(/\s+/)[0]);
}
