/**
 * Connection tracking of a node is full: found as that, as often as the kernel dropped for it, and what it makes of connects is no
 * finding of its own.
 *
 *   client, crawler ── node-1 ── server, a probe and an agent, an exchange a second
 *
 * `nf_conntrack_max` belongs to the whole machine: it is small for some seconds here, and the lab puts it back, also after a crash.
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_CONNTRACK_DROP,
  ATTR_FLOWSPAN_CONNTRACK_FILL,
  ATTR_FLOWSPAN_CONNTRACK_MAXIMUM,
  ATTR_K8S_NODE_NAME,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { readConntrack } from "../world/conntrack.ts";
import { describe } from "../world/describe.ts";
import { crawlPorts } from "../world/full-tables.ts";
import { foundLab, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "expendable"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
const MAXIMUM = 3_001;

const lab = foundLab<"client" | "crawler" | "server">(
  NEEDS,
  describe({ nodes: 1, pods: [{ key: "client" }, { key: "crawler" }, { key: "server" }] }),
  ["client", "crawler", "node-1"],
  ({ pod }) => pod("server").serve({ listen: [{ port: PORT }] }),
);

test(
  "a full conntrack table is conntrack_full of its node, as often as the kernel dropped for it, and nothing else",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const before = await readConntrack(lab.node("node-1").place.netns);
    const limit = lab.observed.lab.limitConntrack(MAXIMUM);

    await crawlPorts(lab.pod("crawler"), lab.pod("server"), MAXIMUM + 1);
    const to = [{ address: lab.pod("server").ips.v4, port: PORT }];
    const late = await lab.pod("client").play("fail", { to, count: 11, parallel: 11, cancelMs: 1_300 });
    await limit.remove();
    const after = await lab.pod("client").play("send", { to, count: 11 });
    await watch.over();

    const now = await readConntrack(lab.node("node-1").place.netns);
    const [start] = watch.starts("conntrack_full");
    expect(late.opened).toBeLessThan(11);
    expect(after.opened).toBe(11);
    expect(now.drop - before.drop).toBeGreaterThan(0);
    expect(watch.sum("conntrack_full", ATTR_FLOWSPAN_CONNTRACK_DROP)).toBe(now.drop - before.drop);
    expect(start).toMatchObject({ severity: "ERROR", attributes: { [ATTR_FLOWSPAN_CONNTRACK_MAXIMUM]: MAXIMUM } });
    expect(Number(start?.attributes[ATTR_FLOWSPAN_CONNTRACK_FILL])).toBeGreaterThan(MAXIMUM - 100);
    expect(start?.resource[ATTR_K8S_NODE_NAME]).toBe("node-1");
    const { namespace, name } = lab.observed.describedPod("client");
    expect(watch.logs.flatMap(({ attributes }) => attributes[ATTR_FLOWSPAN_AFFECTED])).toContain(
      `${namespace}/${name}`,
    );
    expect(watch.names).toEqual(["conntrack_full"]);
  },
  TIMEOUT_MS,
);
