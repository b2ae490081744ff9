/**
 * The neighbour table and neighbours, as findings. A table that is full is found as that, on its node, and its count is the kernel's own
 * `table_fulls`. A neighbour that does not answer is the finding of the pod that asks for it.
 *
 *   crawler, client ── node-1 ── server behind a Service, a probe and an agent, an exchange a second
 *
 * The table belongs to the whole machine: it is small for a few seconds here, and the lab puts it back, also after a crash.
 */
import { afterAll, beforeAll, expect } from "vitest";
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
import { missing, needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { ObservedLab } from "../agents/observed.ts";
import { askNobody, routeToNobody } from "../programs/full-tables.ts";
import { describe } from "../world/describe.ts";
import { readNeighbourTable } from "../world/neighbours.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "expendable"] as const;
const test = needs(...NEEDS);

const INTERVAL_MS = 1_000;
const PORT = 8080;
/** Of a whole test on a machine that others use, too. */
const TIMEOUT_MS = 180_000;
/** Entries that the table has left for all. */
const ROOM = 61;
const ASKED = 251;
const NEIGH = ["net.ipv4.neigh.eth0.mcast_solicit", "net.ipv4.neigh.eth0.retrans_time_ms"];
const NOBODY = "10.99.77.7";

let observed: ObservedLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const services = [{ name: "server", port: 80, targetPort: PORT }];
  const pods = [{ key: "client" }, { key: "server" }, { key: "crawler" }];
  observed = await ObservedLab.start(describe({ nodes: 1, pods, services }), { intervalMs: INTERVAL_MS });
  await pod("server").serve({ listen: [{ port: PORT }] });
  // A namespace is seen while a task lives in it.
  for (const place of [pod("client"), pod("crawler"), observed.lab.host("node-1", "sleep.service")])
    place.spawn(["sleep", "infinity"]);
  await routeToNobody(pod("crawler"));
  await observed.watch();
  // The first exchange judges nothing, and of a namespace the second one.
  await observed.exchanges(3);
}, TIMEOUT_MS);

afterAll(() => observed?.close());

const pod = (key: "client" | "server" | "crawler") => observed.lab.pod(key);
const throughService = () => [{ address: observed.lab.service("server").clusterIps.v4, port: 80 }];

test(
  "a neighbour that does not answer is neighbour_unresolved of the pod that asks, and its connects have no other finding",
  async () => {
    const watch = new FindingWatch(observed);
    // One question, a tenth of a second, in place of three and three seconds.
    const asking = (times: number, ms: number) =>
      pod("client").exec(["sysctl", "-q", "-w", ...NEIGH.map((name, i) => `${name}=${[times, ms][i]}`)]);
    await asking(1, 100);
    await pod("client").exec(["ip", "route", "add", `${NOBODY}/32`, "dev", "eth0"]);

    const failed = await pod("client").play("fail", { to: [{ address: NOBODY, port: PORT }], count: 23, parallel: 1 });
    await asking(3, 1_000);
    await watch.over();

    const [start] = watch.starts("neighbour_unresolved");
    const unresolved = watch.sum("neighbour_unresolved", ATTR_FLOWSPAN_NEIGHBOUR_UNRESOLVED);
    expect(failed.failed).toEqual({ EHOSTUNREACH: 23 });
    // Those of an interval before the first that had three are none of the finding's.
    expect(unresolved).toBeGreaterThanOrEqual(21);
    expect(unresolved).toBeLessThanOrEqual(23);
    expect(start?.resource[ATTR_K8S_POD_NAME]).toBe(observed.describedPod("client").name);
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
    const watch = new FindingWatch(observed);
    const before = readNeighbourTable();
    await pod("client").exec(["ip", "neigh", "flush", "all"]);
    const limit = observed.lab.limitNeighbourTable("v4", before.entries + ROOM);

    const beganMs = Date.now();
    await askNobody(pod("crawler"), 0, ASKED);
    const [slow] = await Promise.all([
      pod("client").play("fail", { to: throughService(), count: 5, parallel: 5, cancelMs: 1_300 }),
      askNobody(pod("crawler"), 1, ASKED),
    ]);
    await limit.remove();
    const after = await pod("client").play("send", { to: throughService(), count: 5 });
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
      expect.arrayContaining([labelOf("client"), labelOf("crawler")]),
    );
    expect(watch.names).toEqual(["neighbour_table_overflow"]);
  },
  TIMEOUT_MS,
);

/** `default/client-5d4f9c7b8-x2x7p` */
function labelOf(key: "client" | "crawler"): string {
  const { namespace, name } = observed.describedPod(key);
  return `${namespace}/${name}`;
}
