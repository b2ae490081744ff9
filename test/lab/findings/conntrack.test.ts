/**
 * Packets of two pods that race for one entry of connection tracking: the source NAT of their node gives both the same port, and the
 * kernel drops the one that comes second. Found as that, as often as the kernel counts it.
 *
 *   client, other ── node-1: MASQUERADE ── node-2 ── server, a probe and an agent each, an exchange a second
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect } from "vitest";
import {
  ATTR_FLOWSPAN_CONNTRACK_DROP,
  ATTR_FLOWSPAN_CONNTRACK_INSERT_FAILED,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
} from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { ObservedLab } from "../agents/observed.ts";
import { eventually } from "../programs/process.ts";
import { program, run } from "../programs/run.ts";
import { readConntrack } from "../world/conntrack.ts";
import { describe } from "../world/describe.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
const CONNECTS = 2_003;
const FIRST_PORT = 20_000;
/** Of a whole test on a machine that others use, too. */
const TIMEOUT_MS = 180_000;

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const pods = [{ key: "client" }, { key: "other" }, { key: "server", node: "node-2" }];
  observed = await ObservedLab.start(describe({ nodes: 2, pods }), { intervalMs: 1_000 });
  await pod("server").serve({ listen: [{ port: PORT, mode: "sink" }] });
  // A namespace is seen while a task lives in it.
  for (const place of [node(), pod("client"), pod("other")]) place.spawn(["sleep", "infinity"]);
  const masquerade = ["POSTROUTING", "-p", "tcp", "--dport", String(PORT), "-j", "MASQUERADE"];
  await run(["nsenter", `--net=${node().place.netns}`, "iptables", "-t", "nat", "-I", ...masquerade]);
  await observed.watch();
  // The first exchange judges nothing, and of a namespace the second one.
  await observed.exchanges(3);
}, TIMEOUT_MS);

afterAll(() => observed?.close());

const pod = (key: "client" | "other" | "server") => observed.lab.pod(key);
const node = () => observed.lab.host("node-1", "sleep.service");

test(
  "packets that lost a race for their entry are conntrack_insert_failed of their node, as many as the kernel counts",
  async () => {
    const watch = new FindingWatch(observed);
    const before = await readConntrack(node().place.netns);
    const growth = async () => {
      const now = await readConntrack(node().place.netns);
      return { insertFailed: now.insertFailed - before.insertFailed, drop: now.drop - before.drop };
    };

    for (let round = 0; (await growth()).insertFailed === 0; round++) await race(FIRST_PORT + (round % 20) * CONNECTS);
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

/** Both pods connect from the same ports at the same moments. */
async function race(firstPort: number): Promise<void> {
  const at = process.hrtime.bigint() + 300_000_000n;
  const argv = [
    program("sameport"),
    pod("server").ips.v4,
    String(PORT),
    String(firstPort),
    String(CONNECTS),
    String(at),
  ];
  const racers = [pod("client").spawn(argv), pod("other").spawn(argv)];
  await eventually(
    () => `all connects of ${racers.map((racer) => racer.describe()).join(" and ")}`,
    () => racers.every(({ stdout }) => stdout.includes("ready")),
    30_000,
  );
  // A SYN that was lost is sent again after a second: it is the last that these sockets bring about.
  await delay(1_500);
  await Promise.all(racers.map((racer) => racer.stop("SIGKILL")));
}
