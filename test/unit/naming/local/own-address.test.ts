/** Whose socket it is where cgroups say nothing: the pod's that had the address at the time. */
import { expect, test } from "vitest";
import type { EdgeKey } from "../../../../agent/model/edge.ts";
import type { LocalEnd } from "../../../../agent/model/names.ts";
import type { ClusterIdentity } from "../../../../agent/naming/identify.ts";
import { BOOT_UNIX_MS, clusterIdentity, edge, listedIdentity, ns, pod, put, START_MS } from "../cluster-builders.ts";

const SECOND = 1_000;
const UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const CART = pod("cart-7d9f-a", {
  uid: UID,
  detail: { owners: {}, annotated: {}, selected: {}, containers: [{ name: "web", version: "1.2.3", ids: [] }] },
});

/** Says a cgroup, leaf first, and gives its id. */
function cgroup(identity: ClusterIdentity, id: bigint, names: readonly string[], seenMs = START_MS): bigint {
  identity.addCgroup({ id, seenNs: ns(seenMs), names });
  return id;
}

/** The local end of an edge, or why it is pending. The remote end is outside: named at once. */
function local(identity: ClusterIdentity, key: Partial<EdgeKey>, nowMs = START_MS + 15 * SECOND): LocalEnd | string {
  const answer = identity.identify(edge(key), ns(START_MS), ns(nowMs));
  return answer.state === "named" ? answer.local : answer.why;
}

test("where cgroups say nothing, a pod's own address does", () => {
  const identity = clusterIdentity();
  put(identity, { localPods: [{ ...CART, addresses: ["10.1.0.7"] }] });
  const root = cgroup(identity, 1n, ["", "", "", ""]);

  expect(local(identity, { cgroup: root, localAddress: "10.1.0.7" })).toMatchObject({
    label: "shop/cart-7d9f-a/web",
  });
  expect(local(identity, { cgroup: root, localAddress: "192.0.2.1" })).toMatchObject({ label: "host" });
});

test("where cgroups say nothing, an address that was used again is each pod's in its own time", () => {
  const identity = clusterIdentity();
  const ADDRESS = "10.1.0.7";
  const GONE = START_MS + 60 * SECOND;
  put(identity, { localPods: [{ ...CART, addresses: [ADDRESS] }] });
  identity.apply({ feed: "local-pods", type: "remove", atMs: GONE, uid: UID });
  put(identity, { localPods: [pod("bill-b", { addresses: [ADDRESS], createdMs: 1 })] }, GONE + SECOND);
  const root = cgroup(identity, 1n, ["", "", "", ""]);
  const at = (sinceMs: number, untilMs: number) => {
    const key = edge({ cgroup: root, localAddress: ADDRESS });
    const answer = identity.identify(key, ns(sinceMs), ns(untilMs));
    return answer.state === "named" ? answer.local.label : answer.why;
  };

  expect(at(GONE - 15 * SECOND, GONE)).toBe("shop/cart-7d9f-a/web");
  expect(at(GONE - 5 * SECOND, GONE + 5 * SECOND)).toBe("host");
  expect(at(GONE, GONE + 15 * SECOND)).toBe("shop/bill-b");
});

test("a socket of no pod's cgroup is not the pod's that was made after its growth began, before the agent started", () => {
  const identity = listedIdentity({
    localPods: [{ ...CART, addresses: ["10.1.0.7"], createdMs: BOOT_UNIX_MS + START_MS - 60 * SECOND }],
  });
  const root = cgroup(identity, 1n, ["", "", "", ""]);
  const since = (sinceMs: number) => {
    const answer = identity.identify(
      edge({ cgroup: root, localAddress: "10.1.0.7" }),
      ns(sinceMs),
      ns(START_MS + SECOND),
    );
    return answer.state === "named" ? answer.local.label : answer.why;
  };

  expect([since(1_000), since(START_MS - 50 * SECOND)]).toEqual(["host", "shop/cart-7d9f-a/web"]);
});
