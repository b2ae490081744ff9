/**
 * Names from a real kube-apiserver and etcd: what the agent's watches and tables make of real objects.
 */
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { kubeconfigConnection } from "../../agent/kubernetes/kubeconfig-connection.ts";
import { feedsOf } from "../../agent/kubernetes/watch-cluster.ts";
import { type Kube, startKube } from "../components/kubernetes.ts";
import {
  type ApiObject,
  endpointSliceObject,
  namespaceObject,
  nodeObject,
  podObject,
  serviceObject,
} from "../kubernetes/kubernetes-objects.ts";
import { type NamingAgent, remoteOf, startNaming } from "./naming-agent.ts";

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

function startAgent(): NamingAgent {
  return startNaming(kubeconfigConnection(kube.kubeconfig));
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
  const firstEnd = {
    kind: "pod",
    name: "cart",
    namespace: "shop",
    podName: "cart-b",
    nodeName: "node-2",
    label: "shop/cart-b",
  };
  await vi.waitFor(() => expect(peer()).toEqual(firstEnd), WAIT);

  await kube.admin.delete(first);
  await vi.waitFor(() => expect(peer()).toBe("10.1.0.2 is not known yet"), WAIT);

  await create(
    podObject({ name: "bill-c", namespace: "shop", node: "node-2", ips: ["10.1.0.2"], owner: "StatefulSet/bill" }),
  );
  const secondEnd = {
    kind: "pod",
    name: "bill",
    namespace: "shop",
    podName: "bill-c",
    nodeName: "node-2",
    label: "shop/bill-c",
  };
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
        nodeName: "node-2",
        label: "shop/cart-svc",
      }),
    WAIT,
  );
});
