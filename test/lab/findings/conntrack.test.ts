/**
 * Packets of two pods that race for one entry of connection tracking: the source NAT of their node gives both the same port, and the
 * kernel drops the one that comes second. Found as that, as often as the kernel counts it.
 *
 *   client, other ── node-1: MASQUERADE ── node-2 ── server, a probe and an agent each, an exchange a second
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_CONNTRACK_DROP,
  ATTR_FLOWSPAN_CONNTRACK_INSERT_FAILED,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { readConntrack } from "../world/conntrack.ts";
import { describe } from "../world/describe.ts";
import { masquerade, raceForPorts } from "../world/full-tables.ts";
import { foundLab, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;

const lab = foundLab<"client" | "other" | "server">(
  NEEDS,
  describe({ nodes: 2, pods: [{ key: "client" }, { key: "other" }, { key: "server", node: "node-2" }] }),
  ["client", "other", "node-1"],
  async ({ pod, node }) => {
    await pod("server").serve({ listen: [{ port: PORT, mode: "sink" }] });
    await masquerade(node("node-1"), PORT);
  },
);

test(
  "packets that lost a race for their entry are conntrack_insert_failed of their node, as many as the kernel counts",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const before = await readConntrack(lab.node("node-1").place.netns);
    const growth = async () => {
      const now = await readConntrack(lab.node("node-1").place.netns);
      return { insertFailed: now.insertFailed - before.insertFailed, drop: now.drop - before.drop };
    };

    const hasRaced = async () => (await growth()).insertFailed > 0;
    await raceForPorts([lab.pod("client"), lab.pod("other")], lab.pod("server"), PORT, hasRaced);
    await watch.over();

    const { insertFailed, drop } = await growth();
    const [start] = watch.starts("conntrack_insert_failed");
    expect(watch.sum("conntrack_insert_failed", ATTR_FLOWSPAN_CONNTRACK_INSERT_FAILED)).toBe(insertFailed);
    expect(watch.sum("conntrack_insert_failed", ATTR_FLOWSPAN_CONNTRACK_DROP)).toBe(drop);
    expect(start?.resource[ATTR_K8S_NODE_NAME]).toBe("node-1");
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBeUndefined();
    expect(watch.names).toEqual(["conntrack_insert_failed"]);
  },
  TIMEOUT_MS,
);
