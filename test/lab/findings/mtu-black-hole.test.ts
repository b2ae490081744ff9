/**
 * A link that is too small for a pod's segments, behind rules that drop ICMP: found as a black hole for large packets, while small ones pass.
 * Where ICMP passes, the sender adapts and nothing is found.
 *
 *   client ── node-1, whose device to the server is small ── server, a probe and an agent, an exchange a second
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_DROP_PACKETS,
  ATTR_FLOWSPAN_DROP_TARGETS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { run } from "../programs/run.ts";
import { describe } from "../world/describe.ts";
import { nodeNamespace, podDevice } from "../world/network-plan.ts";
import { foundLab, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
const UPLOAD = 100_003;
const SMALL_MTU = 1000;

const lab = foundLab<"client" | "server">(
  NEEDS,
  describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }),
  ["client", "node-1"],
  ({ pod }) => pod("server").serve({ listen: [{ port: PORT }] }),
);

for (const [what, blocked, found] of [
  [
    "of which ICMP says nothing is mtu_black_hole of its node, with the resends of its client",
    true,
    ["mtu_black_hole"],
  ],
  ["of which ICMP says is no finding", false, []],
] as const)
  test(
    `a link that is too small for large segments and ${what}`,
    async () => {
      const watch = new FindingWatch(lab.observed);
      const icmp = ["OUTPUT", "-p", "icmp", "--icmp-type", "fragmentation-needed", "-j", "DROP"];
      if (blocked) await inNode("iptables", "-I", ...icmp);
      const held = lab.pod("client").start("hold", { to: lab.to("server", PORT), count: 1 });
      await held.ready();

      await setServersMtu(SMALL_MTU);
      // Large ones that stop, or adapt, and small ones beside them.
      const uploaded = held.send(UPLOAD, 211, TIMEOUT_MS);
      if (blocked) await watch.started("mtu_black_hole");
      const small = await lab
        .pod("client")
        .play("send", { to: lab.to("server", PORT), count: 23, upload: 211, download: 211 });
      if (!blocked) await uploaded;
      await setServersMtu(1500);
      await uploaded;
      if (blocked) await watch.over();
      else await lab.observed.exchanges(4);
      await held.close();
      if (blocked) await inNode("iptables", "-D", ...icmp);

      const [start] = watch.starts("mtu_black_hole");
      expect(small).toMatchObject({ opened: 23, closed: 23 });
      expect(watch.names).toEqual(found);
      if (!blocked) return;
      expect(start?.resource[ATTR_K8S_NODE_NAME]).toBe("node-1");
      expect(start?.resource[ATTR_K8S_POD_NAME]).toBeUndefined();
      expect(start?.attributes).toMatchObject({
        [ATTR_FLOWSPAN_AFFECTED]: [lab.nameOf("client")],
        [ATTR_FLOWSPAN_DROP_TARGETS]: [`${lab.nameOf("server")}:${PORT}`],
      });
      expect(watch.sum("mtu_black_hole", ATTR_FLOWSPAN_DROP_PACKETS)).toBeGreaterThan(2);
      expect(watch.sum("mtu_black_hole", ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT)).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

function inNode(...argv: string[]): Promise<string> {
  return run(["ip", "netns", "exec", nodeNamespace(lab.observed.lab.id, "node-1"), ...argv]);
}

/** On the device that leads to it from its node. */
async function setServersMtu(bytes: number): Promise<void> {
  const device = podDevice(lab.observed.lab.description, lab.observed.describedPod("server"));
  await inNode("ip", "link", "set", "dev", device, "mtu", String(bytes));
}
