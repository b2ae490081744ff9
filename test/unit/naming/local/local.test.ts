/** Whose socket it is: the local end by its cgroup, and the Resource that comes of it. */
import { describe, expect, test } from "vitest";
import type { PodDetail } from "../../../../agent/model/cluster-objects.ts";
import type { EdgeKey } from "../../../../agent/model/edge.ts";
import type { LocalEnd } from "../../../../agent/model/names.ts";
import type { ClusterIdentity } from "../../../../agent/naming/identify.ts";
import { clusterIdentity, edge, identityOf, node, ns, pod, put, START_MS } from "../cluster-builders.ts";

const SECOND = 1_000;
const ID_A = "a7".repeat(32);
const ID_B = "b3".repeat(32);
const ID_C = "c1".repeat(32);
const UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

const CART_DETAIL: PodDetail = {
  owners: { "k8s.deployment.name": "cart", "k8s.replicaset.name": "cart-7d9f" },
  annotated: {},
  selected: {},
  containers: [{ name: "web", version: "1.2.3", ids: [ID_A] }],
};
const CART = pod("cart-7d9f-a", { uid: UID, service: { name: "cart", namespace: "shop" }, detail: CART_DETAIL });

const CART_RESOURCE = {
  "k8s.cluster.name": "blue",
  "k8s.node.name": "node-1",
  "k8s.namespace.name": "shop",
  "k8s.pod.name": "cart-7d9f-a",
  "k8s.pod.uid": UID,
  "k8s.container.name": "web",
  "k8s.deployment.name": "cart",
  "k8s.replicaset.name": "cart-7d9f",
  "container.id": ID_A,
  "service.name": "cart",
  "service.namespace": "shop",
  "service.instance.id": "shop.cart-7d9f-a.web",
  "service.version": "1.2.3",
};

/** Says a cgroup, leaf first, and gives its id. */
function cgroup(identity: ClusterIdentity, id: bigint, names: readonly string[], seenMs = START_MS): bigint {
  identity.addCgroup({ id, seenNs: ns(seenMs), names });
  return id;
}

function containerCgroup(identity: ClusterIdentity, id: bigint, containerId: string, uid = UID): bigint {
  return cgroup(identity, id, [`cri-containerd-${containerId}.scope`, `kubepods-pod${uid.replaceAll("-", "_")}.slice`]);
}

/** The local end of an edge, or why it is pending. The remote end is outside: named at once. */
function local(identity: ClusterIdentity, key: Partial<EdgeKey>, nowMs = START_MS + 15 * SECOND): LocalEnd | string {
  const answer = identity.identify(edge(key), ns(START_MS), ns(nowMs));
  return answer.state === "named" ? answer.local : answer.why;
}

function resource(end: LocalEnd | string): unknown {
  return typeof end === "string" ? end : end.resource;
}

describe("in a cluster", () => {
  test("a container has the Resource that its own SDK would send", () => {
    const identity = clusterIdentity();
    put(identity, { localPods: [CART] });
    const own = containerCgroup(identity, 7n, ID_A);

    const end = local(identity, { cgroup: own });

    expect(resource(end)).toEqual(CART_RESOURCE);
    expect(end).toMatchObject({ label: "shop/cart-7d9f-a/web" });
  });

  test("node and cluster give their zone, region and uid to every Resource, also later", () => {
    const identity = clusterIdentity();
    put(identity, { localPods: [CART] });
    const own = containerCgroup(identity, 7n, ID_A);
    local(identity, { cgroup: own });

    put(identity, {
      nodes: [node("node-1", { zone: "north-1", region: "north" }), node("node-2", { zone: "south-1" })],
    });
    identity.apply({
      feed: "namespaces",
      type: "upsert",
      atMs: START_MS,
      object: { uid: "c0ffee", name: "kube-system" },
    });

    expect(resource(local(identity, { cgroup: own }))).toEqual({
      ...CART_RESOURCE,
      "k8s.cluster.uid": "c0ffee",
      "cloud.availability_zone": "north-1",
      "cloud.region": "north",
    });
  });

  test("annotations are stronger than all that is computed", () => {
    const identity = clusterIdentity();
    const annotated = { "service.name": "basket", "service.version": "9", "deployment.environment.name": "prod" };
    put(identity, { localPods: [{ ...CART, detail: { ...CART_DETAIL, annotated } }] });

    expect(resource(local(identity, { cgroup: containerCgroup(identity, 7n, ID_A) }))).toEqual({
      ...CART_RESOURCE,
      ...annotated,
    });
  });

  test("containers of one pod, and pods on the host's network, are told apart by cgroup", () => {
    const identity = clusterIdentity();
    const otherUid = UID.replace("0f", "1f");
    const twoContainers = [
      { name: "web", ids: [ID_A] },
      { name: "proxy", ids: [ID_B] },
    ];
    put(identity, {
      localPods: [
        { ...CART, hostNetwork: true, detail: { ...CART_DETAIL, containers: twoContainers } },
        pod("dns-a", {
          uid: otherUid,
          hostNetwork: true,
          detail: { owners: {}, annotated: {}, selected: {}, containers: [{ name: "dns", ids: [ID_C] }] },
        }),
      ],
    });
    const cgroups = [
      containerCgroup(identity, 7n, ID_A),
      containerCgroup(identity, 8n, ID_B),
      containerCgroup(identity, 9n, ID_C, otherUid),
      cgroup(identity, 10n, ["kubelet.service", "system.slice"]),
    ];

    const labels = cgroups.map(
      (own) => (local(identity, { cgroup: own, localAddress: "192.0.2.1" }) as LocalEnd).label,
    );
    expect(labels).toEqual(["shop/cart-7d9f-a/web", "shop/cart-7d9f-a/proxy", "shop/dns-a/dns", "kubelet.service"]);
  });

  test("the only container of a pod needs no status to be named", () => {
    const identity = clusterIdentity();
    put(identity, {
      localPods: [{ ...CART, detail: { ...CART_DETAIL, containers: [{ name: "web", version: "1.2.3", ids: [] }] } }],
    });

    expect(resource(local(identity, { cgroup: containerCgroup(identity, 7n, ID_A) }, START_MS))).toEqual(CART_RESOURCE);
  });

  test("one of several containers is waited for, then only its pod is named", () => {
    const identity = clusterIdentity();
    const containers = [
      { name: "web", ids: [ID_B] },
      { name: "proxy", ids: [] },
    ];
    put(identity, { localPods: [{ ...CART, detail: { ...CART_DETAIL, containers } }] });
    const own = containerCgroup(identity, 7n, ID_A);

    expect(local(identity, { cgroup: own }, START_MS + 29 * SECOND)).toBe("the pod is not known yet");
    expect(local(identity, { cgroup: own }, START_MS + 30 * SECOND)).toMatchObject({
      label: "shop/cart-7d9f-a",
      resource: expect.not.objectContaining({ "k8s.container.name": expect.anything() }),
    });
  });

  test("a pod that is not known is waited for, then named by what its cgroup says", () => {
    const identity = clusterIdentity();
    const own = containerCgroup(identity, 7n, ID_A);

    expect(local(identity, { cgroup: own }, START_MS + 29 * SECOND)).toBe("the pod is not known yet");
    expect(local(identity, { cgroup: own }, START_MS + 30 * SECOND)).toMatchObject({
      resource: {
        "container.id": ID_A,
        "k8s.pod.uid": UID,
        "k8s.node.name": "node-1",
        "k8s.cluster.name": "blue",
        "host.name": "host-1",
      },
      label: `containerd/${ID_A.slice(0, 12)}`,
    });
  });

  test("a container that lived 50 ms is still named when its growth is read", () => {
    const identity = clusterIdentity();
    put(identity, { localPods: [CART] }, START_MS);
    identity.apply({ feed: "local-pods", type: "remove", atMs: START_MS + 50, uid: UID });
    const own = containerCgroup(identity, 7n, ID_A);

    expect(resource(local(identity, { cgroup: own }, START_MS + 15 * SECOND))).toEqual(CART_RESOURCE);
  });

  test("a pod that is gone stays known for five minutes", () => {
    const identity = clusterIdentity();
    put(identity, { localPods: [CART] }, START_MS);
    identity.apply({ feed: "local-pods", type: "remove", atMs: START_MS, uid: UID });
    const own = containerCgroup(identity, 7n, ID_A);
    const nameAt = (ms: number) => {
      put(identity, { localPods: [pod(`other-${ms}`)] }, START_MS + ms);
      return (local(identity, { cgroup: own }, START_MS + ms) as LocalEnd).label;
    };

    expect(nameAt(299 * SECOND)).toBe("shop/cart-7d9f-a/web");
    expect(nameAt(310 * SECOND)).toBe(`containerd/${ID_A.slice(0, 12)}`);
  });

  test("a container is known by the ids of all the restarts that were seen", () => {
    const identity = clusterIdentity();
    const restarted = (ids: string[]) => ({
      ...CART,
      detail: {
        ...CART_DETAIL,
        containers: [
          { name: "web", ids },
          { name: "proxy", ids: [] },
        ],
      },
    });
    put(identity, { localPods: [restarted([ID_A])] });
    put(identity, { localPods: [restarted([ID_C, ID_B])] });

    for (const [i, id] of [ID_A, ID_B, ID_C].entries()) {
      expect(local(identity, { cgroup: containerCgroup(identity, BigInt(7 + i), id) })).toMatchObject({
        label: "shop/cart-7d9f-a/web",
      });
    }
  });

  test("a static pod is found by the hash that its cgroup carries", () => {
    const identity = clusterIdentity();
    const hash = "0123456789abcdef0123456789abcdef";
    put(identity, { localPods: [{ ...CART, detail: { ...CART_DETAIL, cgroupUid: hash } }] });
    const own = containerCgroup(identity, 7n, ID_B, hash);

    expect(local(identity, { cgroup: own })).toMatchObject({ resource: { "k8s.pod.uid": UID } });
  });

  test("equal attributes have equal ids; other attributes have another id", () => {
    const identity = clusterIdentity();
    put(identity, { localPods: [CART] });
    const own = containerCgroup(identity, 7n, ID_A);
    const before = local(identity, { cgroup: own }) as LocalEnd;

    put(identity, { localPods: [{ ...CART, addresses: ["10.1.0.7"] }] });
    const moved = local(identity, { cgroup: own }) as LocalEnd;
    put(identity, { localPods: [{ ...CART, service: { name: "basket", namespace: "shop" } }] });
    const renamed = local(identity, { cgroup: own }) as LocalEnd;

    expect(moved.id).toBe(before.id);
    expect(renamed.id).not.toBe(before.id);
  });
});

describe("before the first sync", () => {
  const kubernetes = { nodeName: "node-1", clusterName: undefined, feeds: ["local-pods", "pods"] } as const;

  test("every edge waits, but no longer than a minute", () => {
    const identity = identityOf({ kubernetes });
    identity.apply({ feed: "pods", type: "synced", atMs: START_MS });

    expect(local(identity, {}, START_MS + 59 * SECOND)).toBe("not synced: local-pods");
    expect(local(identity, {}, START_MS + 60 * SECOND)).toMatchObject({ label: "host" });
    expect(identity.synced).toBe(false);
  });
});

describe("without Kubernetes", () => {
  test.each([
    {
      names: ["ssh.service", "system.slice"],
      label: "ssh.service",
      attributes: { "host.name": "host-1", "service.name": "ssh", "flowspan.systemd.unit": "ssh.service" },
    },
    {
      names: ["session-3.scope", "user-1000.slice", "user.slice"],
      label: "session-3.scope",
      attributes: { "host.name": "host-1", "flowspan.systemd.unit": "session-3.scope" },
    },
    {
      names: ["web.service", "app.slice", "user@1000.service", "user-1000.slice"],
      label: "user@1000.service",
      attributes: { "host.name": "host-1", "service.name": "user@1000", "flowspan.systemd.unit": "user@1000.service" },
    },
    {
      names: [`docker-${ID_A}.scope`, "system.slice"],
      label: `docker/${ID_A.slice(0, 12)}`,
      attributes: { "host.name": "host-1", "container.id": ID_A },
    },
    { names: ["", "", "", ""], label: "host", attributes: { "host.name": "host-1" } },
    { names: ["batch", "jobs"], label: "host", attributes: { "host.name": "host-1" } },
  ])("$names is $label, at once", ({ names, label, attributes }) => {
    const identity = identityOf();

    expect(local(identity, { cgroup: cgroup(identity, 7n, names) }, START_MS)).toEqual({
      id: expect.any(String),
      resource: attributes,
      label,
    });
  });

  test("a cgroup that nobody told of, and the overflow edge of none, are the host's", () => {
    const host = { id: expect.any(String), resource: { "host.name": "host-1" }, label: "host" };

    expect(local(identityOf(), { cgroup: 23n })).toEqual(host);
    expect(local(identityOf(), { overflow: true, cgroup: 0n })).toEqual(host);
  });

  test("the overflow edge of a cgroup has that one's name", () => {
    const identity = identityOf();
    const own = { overflow: true, cgroup: cgroup(identity, 7n, ["web.service", "system.slice"]) };

    expect(local(identity, own, START_MS)).toMatchObject({ label: "web.service" });
  });
});

test("the version rises when a name may have changed and only then", () => {
  const identity = clusterIdentity();
  const versions = [identity.version];
  const note = (change: () => void) => {
    change();
    versions.push(identity.version);
  };

  note(() => put(identity, { pods: [CART] }));
  note(() => put(identity, { pods: [structuredClone(CART)] }));
  note(() => put(identity, { pods: [{ ...CART, addresses: ["10.1.0.7"] }] }));
  note(() => identity.apply({ feed: "pods", type: "remove", atMs: START_MS, uid: "nobody" }));
  note(() => identity.apply({ feed: "pods", type: "remove", atMs: START_MS, uid: UID }));
  note(() => identity.apply({ feed: "pods", type: "synced", atMs: START_MS }));
  note(() => containerCgroup(identity, 7n, ID_A));

  const [first = 0] = versions;
  expect(versions.map((version) => version - first)).toEqual([0, 1, 1, 2, 2, 3, 3, 4]);
});
