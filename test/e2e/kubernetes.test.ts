/**
 * Names from a real kube-apiserver and etcd: what the agent's watches and tables make of real objects.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type ClusterIdentity, createIdentity } from "../../agent/identity/identify.ts";
import { kubeconfigConnection } from "../../agent/kubernetes/connection.ts";
import { type ClusterWatch, feedsOf, watchCluster } from "../../agent/kubernetes/watch-cluster.ts";
import type { EdgeKey, Identified } from "../../agent/model.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import {
  type ApiObject,
  endpointSliceObject,
  namespaceObject,
  nodeObject,
  podObject,
  serviceObject,
} from "../lab/kubernetes-objects.ts";

const STARTUP_MS = 120_000;
const WAIT = { timeout: 30_000, interval: 20 };
const CONTAINER = "a7".repeat(32);

let kube: Kube;

beforeAll(async () => {
  kube = await startKube();
  await kube.admin.create(namespaceObject("shop"));
  await kube.admin.create(nodeObject({ name: "node-1", ips: ["192.0.2.1"], zone: "north-1", region: "north" }));
  await kube.admin.create(nodeObject({ name: "node-2", ips: ["192.0.2.2"] }));
}, STARTUP_MS);

afterAll(() => kube?.stop());

interface Agent {
  readonly identity: ClusterIdentity;
  readonly watch: ClusterWatch;
  name(key: Partial<EdgeKey>): Identified;
}

/** The part of an agent on node-1 that names; it ends with the test. */
function startAgent(): Agent {
  // A clock of its own: growth always happened in the last moment, and waiting for names is long over.
  let nowMs = 3_600_000;
  const feeds = feedsOf("all");
  const identity = createIdentity({
    hostName: "host-1",
    hostAddresses: ["192.0.2.1"],
    cidrs: {},
    kubernetes: { nodeName: "node-1", clusterName: undefined, feeds },
    startedNs: 3_600_000_000_000n,
  });
  const watch = watchCluster({
    connection: kubeconfigConnection(kube.kubeconfig),
    nodeName: "node-1",
    scope: "all",
    wellKnownLabels: false,
    podLabels: [],
    podAnnotations: [],
    onChange: (change) => identity.apply(change),
    log: { info() {}, warn() {} },
    nowMs: () => ++nowMs,
    backoff: { firstMs: 50, maxMs: 500 },
  });
  onTestFinished(() => watch.stop());
  return {
    identity,
    watch,
    name: (key) => {
      const sinceNs = BigInt(++nowMs) * 1_000_000n;
      const nowNs = BigInt(++nowMs) * 1_000_000n;
      return identity.identify({ ...EDGE, ...key }, sinceNs, nowNs);
    },
  };
}

const EDGE: EdgeKey = {
  cgroup: 1n,
  localAddress: "192.0.2.1",
  remoteAddress: "203.0.113.23",
  netns: 1,
  serverPort: 80,
  role: "client",
  overflow: false,
};

function remoteOf(answer: Identified): unknown {
  return answer.state === "named" ? { ...answer.remote } : answer.why;
}

/** Creates objects that are deleted with the test. */
async function create(object: ApiObject): Promise<ApiObject> {
  const created = await kube.admin.create(object);
  onTestFinished(async () => {
    const path = `${object.metadata.namespace}/${object.metadata.name}`;
    await kube.admin.delete(created).catch((error: Error) => {
      if (!error.message.includes("404")) throw new Error(`cannot delete ${path}: ${error.message}`);
    });
  });
  return created;
}

function cart(name: string, ip: string, node = "node-2"): ApiObject {
  return podObject({ name, namespace: "shop", node, ips: [ip], owner: "Deployment/cart" });
}

test("all feeds sync by watch-list, without one failure", async () => {
  const { identity, watch } = startAgent();

  await vi.waitFor(() => expect(identity.synced).toBe(true), WAIT);

  expect(watch.states().map(({ name, watchList, lists, failures }) => ({ name, watchList, lists, failures }))).toEqual(
    feedsOf("all").map((name) => ({ name, watchList: true, lists: 1, failures: {} })),
  );
});

test("a pod of the own node has the Resource that its own SDK would send", async () => {
  const { identity, name } = startAgent();
  const pod = await create(
    podObject({
      name: "cart-a",
      namespace: "shop",
      node: "node-1",
      ips: ["10.1.0.1"],
      owner: "Deployment/cart",
      annotations: { "resource.opentelemetry.io/deployment.environment.name": "prod" },
      containers: [
        { name: "web", image: "registry.example/cart:1.2.3", id: CONTAINER },
        { name: "proxy", image: "registry.example/proxy:4" },
      ],
    }),
  );
  const uid = pod.metadata.uid ?? "";
  identity.addCgroup({
    id: 7n,
    seenNs: 0n,
    names: [`cri-containerd-${CONTAINER}.scope`, `kubepods-burstable-pod${uid.replaceAll("-", "_")}.slice`],
  });

  const local = () => {
    const answer = name({ cgroup: 7n });
    return answer.state === "named" ? answer.local.resource : answer.why;
  };
  const clusterUid = JSON.parse((await kube.admin.send("GET", "/api/v1/namespaces/kube-system")).body).metadata.uid;
  await vi.waitFor(
    () =>
      expect(local()).toEqual({
        "k8s.cluster.uid": clusterUid,
        "k8s.node.name": "node-1",
        "cloud.availability_zone": "north-1",
        "cloud.region": "north",
        "k8s.namespace.name": "shop",
        "k8s.pod.name": "cart-a",
        "k8s.pod.uid": uid,
        "k8s.container.name": "web",
        "k8s.deployment.name": "cart",
        "k8s.replicaset.name": "cart-7d9f8b6c54",
        "container.id": CONTAINER,
        "service.name": "cart",
        "service.namespace": "shop",
        "service.instance.id": "shop.cart-a.web",
        "service.version": "1.2.3",
        "deployment.environment.name": "prod",
      }),
    WAIT,
  );
});

test("pods are named as they come, go and hand their address on", async () => {
  const { name, identity } = startAgent();
  await vi.waitFor(() => expect(identity.synced).toBe(true), WAIT);
  const peer = () => remoteOf(name({ remoteAddress: "10.1.0.2" }));

  const first = await create(cart("cart-b", "10.1.0.2"));
  const firstEnd = { kind: "pod", name: "cart", namespace: "shop", podName: "cart-b", label: "shop/cart-b" };
  await vi.waitFor(() => expect(peer()).toEqual(firstEnd), WAIT);

  await kube.admin.delete(first);
  await vi.waitFor(() => expect(peer()).toBe("10.1.0.2 is not known yet"), WAIT);

  await create(
    podObject({ name: "bill-c", namespace: "shop", node: "node-2", ips: ["10.1.0.2"], owner: "StatefulSet/bill" }),
  );
  const secondEnd = { kind: "pod", name: "bill", namespace: "shop", podName: "bill-c", label: "shop/bill-c" };
  await vi.waitFor(() => expect(peer()).toEqual(secondEnd), WAIT);
});

test("a Service goes by the workload behind it", async () => {
  const { name } = startAgent();
  const pod = await create(cart("cart-d", "10.1.0.3"));
  const service = await create(
    // The server chooses the ClusterIP when none is asked for.
    {
      ...serviceObject({ name: "cart-svc", namespace: "shop", ports: [{ port: 80 }] }),
      spec: { ports: [{ port: 80 }] },
    },
  );
  const endpoints = [{ ip: "10.1.0.3", pod: pod.metadata.uid ?? "" }];
  await create(endpointSliceObject({ name: "cart-svc-1", namespace: "shop", service: "cart-svc", endpoints }));

  const { clusterIP } = service.spec as { clusterIP: string };
  await vi.waitFor(
    () =>
      expect(remoteOf(name({ remoteAddress: clusterIP }))).toEqual({
        kind: "service",
        name: "cart",
        namespace: "shop",
        podName: undefined,
        label: "shop/cart-svc",
      }),
    WAIT,
  );
});

describe("an API server that is killed and comes back", () => {
  test(
    "is found again, and what was not changed is not forgotten meanwhile",
    async () => {
      const { name, watch, identity } = startAgent();
      await create(cart("cart-e", "10.1.0.4"));
      const peer = (remoteAddress: string) => remoteOf(name({ remoteAddress }));
      await vi.waitFor(() => expect(peer("10.1.0.4")).toMatchObject({ podName: "cart-e" }), WAIT);

      await kube.killServer();
      await vi.waitFor(() => {
        for (const { failures } of watch.states()) expect(failures.refused).toBeGreaterThanOrEqual(2);
      }, WAIT);
      expect(peer("10.1.0.4")).toMatchObject({ podName: "cart-e" });
      expect(identity.synced).toBe(true);

      await kube.startServer();
      await create(cart("cart-f", "10.1.0.5"));
      await vi.waitFor(() => expect(peer("10.1.0.5")).toMatchObject({ podName: "cart-f" }), WAIT);
      expect(peer("10.1.0.4")).toMatchObject({ podName: "cart-e" });
      await vi.waitFor(() => expect(watch.states().every(({ current }) => current)).toBe(true), WAIT);
    },
    STARTUP_MS,
  );
});
