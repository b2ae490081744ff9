/**
 * A link that is too small for a pod's segments, behind rules that drop ICMP: found as a black hole for large packets, while small ones pass.
 * Where ICMP passes, the sender adapts and nothing is found.
 *
 *   client ── node-1, whose device to the server is small ── server, a probe and an agent, an exchange a second
 */
import { afterAll, beforeAll, expect } from "vitest";
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_DROP_PACKETS,
  ATTR_FLOWSPAN_DROP_TARGETS,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { ObservedLab } from "../agents/observed.ts";
import { run } from "../programs/run.ts";
import { describe } from "../world/describe.ts";
import { nodeNamespace, podDevice } from "../world/network-plan.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
const UPLOAD = 100_003;
const SMALL_MTU = 1000;
/** Of a whole test on a machine that others use, too. */
const TIMEOUT_MS = 180_000;

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  observed = await ObservedLab.start(describe({ nodes: 1, pods: [{ key: "client" }, { key: "server" }] }), {
    intervalMs: 1_000,
  });
  await pod("server").serve({ listen: [{ port: PORT }] });
  // Packets without a socket are counted in namespaces that a counted thread lives in.
  for (const place of [pod("client"), observed.lab.host("node-1", "sleep.service")]) place.spawn(["sleep", "infinity"]);
  await observed.watch();
  // The first exchange judges nothing, and of a namespace the second one.
  await observed.exchanges(3);
}, TIMEOUT_MS);

afterAll(() => observed?.close());

const pod = (key: "client" | "server") => observed.lab.pod(key);
const to = () => [{ address: pod("server").ips.v4, port: PORT }];

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
      const watch = new FindingWatch(observed);
      const icmp = ["OUTPUT", "-p", "icmp", "--icmp-type", "fragmentation-needed", "-j", "DROP"];
      if (blocked) await inNode("iptables", "-I", ...icmp);
      const held = pod("client").start("hold", { to: to(), count: 1 });
      await held.ready();

      await setServersMtu(SMALL_MTU);
      // Large ones that stop, or adapt, and small ones beside them.
      const uploaded = held.send(UPLOAD, 211, TIMEOUT_MS);
      if (blocked) await watch.started("mtu_black_hole");
      const small = await pod("client").play("send", { to: to(), count: 23, upload: 211, download: 211 });
      if (!blocked) await uploaded;
      await setServersMtu(1500);
      await uploaded;
      if (blocked) await watch.over();
      else await observed.exchanges(4);
      await held.close();
      if (blocked) await inNode("iptables", "-D", ...icmp);

      const [start] = watch.starts("mtu_black_hole");
      expect(small).toMatchObject({ opened: 23, closed: 23 });
      expect(watch.names).toEqual(found);
      if (!blocked) return;
      expect(start?.resource[ATTR_K8S_NODE_NAME]).toBe("node-1");
      expect(start?.resource[ATTR_K8S_POD_NAME]).toBeUndefined();
      expect(start?.attributes).toMatchObject({
        [ATTR_FLOWSPAN_AFFECTED]: [nameOf("client")],
        [ATTR_FLOWSPAN_DROP_TARGETS]: [`${nameOf("server")}:${PORT}`],
      });
      expect(watch.sum("mtu_black_hole", ATTR_FLOWSPAN_DROP_PACKETS)).toBeGreaterThan(2);
      expect(watch.sum("mtu_black_hole", ATTR_FLOWSPAN_TCP_RETRANSMIT_TIMEOUT)).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

function nameOf(key: "client" | "server"): string {
  const { namespace, name } = observed.describedPod(key);
  return `${namespace}/${name}`;
}

function inNode(...argv: string[]): Promise<string> {
  return run(["ip", "netns", "exec", nodeNamespace(observed.lab.id, "node-1"), ...argv]);
}

/** On the device that leads to it from its node. */
async function setServersMtu(bytes: number): Promise<void> {
  const device = podDevice(observed.lab.description, observed.describedPod("server"));
  await inNode("ip", "link", "set", "dev", device, "mtu", String(bytes));
}
