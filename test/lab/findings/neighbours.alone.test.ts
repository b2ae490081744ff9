/**
 * The neighbour table and neighbours, as findings. A table that is full is found as that, on its node, and its count is the kernel's own
 * `table_fulls`. A neighbour that does not answer is the finding of the pod that asks for it.
 *
 *   crawler, client ── node-1 ── server behind a Service, a probe and an agent, an exchange a second
 *
 * The table belongs to the whole machine: it is small for a few seconds here, and the lab puts it back, also after a crash.
 */
import { expect } from "vitest";
import {
  ATTR_FLOWSPAN_AFFECTED,
  ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH3,
  ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FILL,
  ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FULLS,
  ATTR_FLOWSPAN_NEIGHBOUR_TARGETS,
  ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED,
  ATTR_K8S_NODE_NAME,
  ATTR_K8S_POD_NAME,
  ATTR_NETWORK_INTERFACE_NAME,
  ATTR_NETWORK_TYPE,
} from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { describe } from "../world/describe.ts";
import { askNobody, routeToNobody } from "../world/full-tables.ts";
import { readNeighbourTable } from "../world/neighbours.ts";
import { foundLab, INTERVAL_MS, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "expendable"] as const;
const test = needs(...NEEDS);

const PORT = 8080;
/** Entries that the table has left for all. */
const ROOM = 61;
const ASKED = 251;
const NEIGH = ["net.ipv4.neigh.eth0.mcast_solicit", "net.ipv4.neigh.eth0.retrans_time_ms"];
const NOBODY = "10.99.77.7";

const lab = foundLab<"client" | "crawler" | "server">(
  NEEDS,
  describe({
    nodes: 1,
    pods: [{ key: "client" }, { key: "server" }, { key: "crawler" }],
    services: [{ name: "server", port: 80, targetPort: PORT }],
  }),
  ["client", "crawler", "node-1"],
  async ({ pod }) => {
    await pod("server").serve({ listen: [{ port: PORT }] });
    await routeToNobody(pod("crawler"));
  },
);

const throughService = () => [{ address: lab.observed.lab.service("server").clusterIps.v4, port: 80 }];

test(
  "a neighbour that does not answer is neighbour_unresolved of the pod that asks, and its connects have no other finding",
  async () => {
    const watch = new FindingWatch(lab.observed);
    // One question, a tenth of a second, in place of three and three seconds.
    const asking = (times: number, ms: number) =>
      lab.pod("client").exec(["sysctl", "-q", "-w", ...NEIGH.map((name, i) => `${name}=${[times, ms][i]}`)]);
    await asking(1, 100);
    await lab.pod("client").exec(["ip", "route", "add", `${NOBODY}/32`, "dev", "eth0"]);

    const failed = await lab
      .pod("client")
      .play("fail", { to: [{ address: NOBODY, port: PORT }], count: 23, parallel: 1 });
    await asking(3, 1_000);
    await watch.over();

    const [start] = watch.starts("neighbour_unresolved");
    const unresolved = watch.sum("neighbour_unresolved", ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED);
    expect(failed.failed).toEqual({ EHOSTUNREACH: 23 });
    // Those of an interval before the first that had three are none of the finding's.
    expect(unresolved).toBeGreaterThanOrEqual(21);
    expect(unresolved).toBeLessThanOrEqual(23);
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBe(lab.observed.describedPod("client").name);
    expect(start).toMatchObject({
      severity: "WARN",
      attributes: { [ATTR_FLOWSPAN_NEIGHBOUR_TARGETS]: [NOBODY], [ATTR_NETWORK_INTERFACE_NAME]: "eth0" },
    });
    expect(watch.names).toEqual(["neighbour_unresolved"]);
  },
  TIMEOUT_MS,
);

test(
  "a full neighbour table is neighbour_table_overflow of its node within two intervals, as often as table_fulls",
  async () => {
    const watch = new FindingWatch(lab.observed);
    const before = readNeighbourTable();
    await lab.pod("client").exec(["ip", "neigh", "flush", "all"]);
    const limit = lab.observed.lab.limitNeighbourTable("v4", before.entries + ROOM);

    const beganMs = Date.now();
    await askNobody(lab.pod("crawler"), 0, ASKED);
    const [slow] = await Promise.all([
      lab.pod("client").play("fail", { to: throughService(), count: 5, parallel: 5, cancelMs: 1_300 }),
      askNobody(lab.pod("crawler"), 1, ASKED),
    ]);
    await limit.remove();
    const after = await lab.pod("client").play("send", { to: throughService(), count: 5 });
    await watch.over();

    const [start] = watch.starts("neighbour_table_overflow");
    const growth = readNeighbourTable().fulls - before.fulls;
    expect(slow).toMatchObject({ opened: 0, cancelled: 5 });
    expect(after.opened).toBe(5);
    expect(growth).toBeGreaterThan(ASKED);
    expect(watch.sum("neighbour_table_overflow", ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FULLS)).toBe(growth);
    expect(Number(start?.timeUnixNs) / 1e6 - beganMs).toBeLessThan(2 * INTERVAL_MS);
    expect(start).toMatchObject({
      severity: "ERROR",
      attributes: { [ATTR_NETWORK_TYPE]: "ipv4", [ATTR_FLOWSPAN_NEIGHBOUR_GC_THRESH3]: before.entries + ROOM },
    });
    expect(start?.resource[ATTR_K8S_NODE_NAME]).toBe("node-1");
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBeUndefined();
    expect(Number(start?.attributes[ATTR_FLOWSPAN_NEIGHBOUR_TABLE_FILL])).toBeGreaterThanOrEqual(before.entries + ROOM);
    expect(watch.logs.flatMap(({ attributes }) => attributes[ATTR_FLOWSPAN_AFFECTED])).toEqual(
      expect.arrayContaining([lab.nameOf("client"), lab.nameOf("crawler")]),
    );
    expect(watch.names).toEqual(["neighbour_table_overflow"]);
  },
  TIMEOUT_MS,
);
