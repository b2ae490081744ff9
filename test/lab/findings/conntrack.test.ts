/**
 * Packets of two pods that race for one entry of connection tracking: the source NAT of their node gives both the same port, and the
 * kernel drops the one that comes second. Found as that, as often as the kernel counts it.
 *
 *   client, other ── node-1: MASQUERADE ── node-2 ── server, a probe and an agent each, an exchange a second
 */
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
import { masquerade, raceForPorts } from "../programs/full-tables.ts";
import { readConntrack } from "../world/conntrack.ts";
import { describe } from "../world/describe.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
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
  await masquerade(node(), PORT);
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

    const hasRaced = async () => (await growth()).insertFailed > 0;
    await raceForPorts([pod("client"), pod("other")], pod("server"), PORT, hasRaced);
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
