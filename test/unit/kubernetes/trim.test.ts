/** API objects and what is kept of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { trimEndpointSlice, trimNamespace, trimNode, trimPod, trimService } from "../../../agent/kubernetes/trim.ts";
import {
  endpointSliceObject,
  nodeObject,
  podObject,
  serviceObject,
  TEMPLATE_HASH,
} from "../../kubernetes/kubernetes-objects.ts";
import { replaceAt } from "./mutate.ts";

const OPTIONS = { wellKnownLabels: false, podLabels: ["tier"], podAnnotations: ["team"] };
const CREATED = "2026-03-01T10:00:23Z";

test("of a pod elsewhere, what its address needs is kept", () => {
  const object = podObject({
    name: "cart-a",
    namespace: "shop",
    uid: "u1",
    node: "node-2",
    ips: ["10.1.0.7", "FD00:0::7"],
    owner: "Deployment/cart",
    created: CREATED,
  });

  expect(trimPod(object, false, OPTIONS)).toEqual({
    uid: "u1",
    name: "cart-a",
    namespace: "shop",
    node: "node-2",
    hostNetwork: false,
    addresses: ["10.1.0.7", "fd00::7"],
    ended: false,
    createdMs: Date.parse(CREATED),
    service: { name: "cart", namespace: "shop" },
  });
});

test("of a pod of the own node, its owners, containers and chosen labels are kept too", () => {
  const object = podObject({
    name: "cart-a",
    uid: "u1",
    node: "node-1",
    hostNetwork: true,
    phase: "Failed",
    owner: "Deployment/cart",
    created: CREATED,
    labels: { tier: "front", other: "x" },
    annotations: { team: "blue", "resource.opentelemetry.io/a": "b", "kubernetes.io/config.mirror": "cafe" },
    initContainers: [{ name: "setup", id: "id-0" }],
    containers: [
      { name: "web", image: "web:2", id: "id-2", lastId: "id-1" },
      { name: "proxy", image: "proxy" },
    ],
  });

  expect(trimPod(object, true, OPTIONS)).toMatchObject({
    hostNetwork: true,
    ended: true,
    detail: {
      cgroupUid: "cafe",
      owners: { "k8s.deployment.name": "cart", "k8s.replicaset.name": `cart-${TEMPLATE_HASH}` },
      annotated: { a: "b" },
      selected: { "k8s.pod.label.tier": "front", "k8s.pod.annotation.team": "blue" },
      containers: [
        { name: "setup", version: "1.2.3", ids: ["id-0"] },
        { name: "web", version: "2", ids: ["id-2", "id-1"] },
        { name: "proxy", ids: [] },
      ],
    },
  });
});

test("a pod that was told to end is known to be ending", () => {
  const { metadata, ...rest } = podObject({ name: "cart-a", uid: "u1", node: "node-1" });
  const object = { ...rest, metadata: { ...metadata, deletionTimestamp: CREATED } };

  expect([
    trimPod(object, false, OPTIONS)?.terminating,
    trimPod({ ...rest, metadata }, false, OPTIONS)?.terminating,
  ]).toEqual([true, undefined]);
});

test("of a Service, its addresses and TCP ports are kept", () => {
  const object = serviceObject({
    name: "web",
    uid: "u1",
    clusterIps: ["10.96.0.7", "fd00:96::7"],
    externalIps: ["198.51.100.1"],
    loadBalancerIps: ["198.51.100.2"],
    ports: [
      { port: 80, nodePort: 30_023 },
      { port: 53, protocol: "UDP" },
    ],
  });

  expect(trimService(object)).toEqual({
    uid: "u1",
    name: "web",
    namespace: "default",
    clusterAddresses: ["10.96.0.7", "fd00:96::7"],
    externalAddresses: ["198.51.100.1", "198.51.100.2"],
    ports: [80],
    nodePorts: [30_023],
    createdMs: 0,
  });
});

test("a headless Service has no address", () => {
  expect(trimService(serviceObject({ name: "db", uid: "u1" }))?.clusterAddresses).toEqual([]);
});

test("of an EndpointSlice, its Service and its endpoints' pods are kept", () => {
  const endpoints = [{ ip: "10.1.0.7", pod: "u7" }, { ip: "203.0.113.9" }];

  expect(trimEndpointSlice(endpointSliceObject({ name: "web-1", uid: "u1", service: "web", endpoints }))).toEqual({
    uid: "u1",
    namespace: "default",
    service: "web",
    ports: [80],
    endpoints: [
      { addresses: ["10.1.0.7"], podUid: "u7" },
      { addresses: ["203.0.113.9"], podUid: "" },
    ],
  });
});

test("of a node, its addresses, ranges, zone and region are kept", () => {
  const object = nodeObject({
    name: "node-1",
    uid: "u1",
    ips: ["192.0.2.1"],
    podCidrs: ["10.1.0.0/24", "fd00:1::/64"],
    zone: "north-1",
    region: "north",
  });

  expect(trimNode(object)).toEqual({
    uid: "u1",
    name: "node-1",
    addresses: ["192.0.2.1"],
    podCidrs: ["10.1.0.0/24", "fd00:1::/64"],
    zone: "north-1",
    region: "north",
    createdMs: 0,
  });
});

test("an object with any part replaced by anything gives nothing or a value, never an error", () => {
  const containers = [{ name: "web", id: "id-2", lastId: "id-1" }];
  const pod = podObject({
    name: "a",
    uid: "u",
    node: "n",
    ips: ["10.1.0.7"],
    owner: "Job/a",
    labels: { tier: "x" },
    containers,
  });
  const service = serviceObject({
    name: "web",
    uid: "u",
    clusterIps: ["10.96.0.7"],
    loadBalancerIps: ["198.51.100.2"],
  });
  const slice = endpointSliceObject({
    name: "w",
    uid: "u",
    service: "web",
    endpoints: [{ ip: "10.1.0.7", pod: "u7" }],
  });
  const node = nodeObject({ name: "n", uid: "u", ips: ["192.0.2.1"], podCidrs: ["10.1.0.0/24"] });
  fc.assert(
    fc.property(fc.array(fc.nat(23), { maxLength: 6 }), fc.jsonValue(), (path, by) => {
      trimPod(replaceAt(pod, path, by), true, OPTIONS);
      trimService(replaceAt(service, path, by));
      trimEndpointSlice(replaceAt(slice, path, by));
      trimNode(replaceAt(node, path, by));
      trimNamespace(replaceAt(node, path, by));
    }),
    { numRuns: 2_000 },
  );
});
