import { expect, test } from "vitest";
import { describe, endpoints, shop, twoPods, withUids } from "../../lab/world/describe.ts";
import { labObjects } from "../../lab/world/lab-objects.ts";

test("the same input gives the same names, ids and addresses", () => {
  expect(shop()).toEqual(shop());
});

test("pods of one node have addresses of that node, hostNetwork pods the node's own", () => {
  const { pods, nodes } = describe({
    pods: [{ key: "a" }, { key: "host", hostNetwork: true }, { key: "b" }, { key: "c", node: "node-2" }],
  });

  expect(pods.map((pod) => pod.ips)).toEqual([
    { v4: "10.244.1.10", v6: "fd00:10:244:1::a" },
    nodes[0]?.ips,
    { v4: "10.244.1.11", v6: "fd00:10:244:1::b" },
    { v4: "10.244.2.10", v6: "fd00:10:244:2::a" },
  ]);
});

test.each([
  ["Deployment", /^cart-[bcdf-hj-np-tv-xz2456789]{10}-[bcdf-hj-np-tv-xz2456789]{5}$/],
  ["StatefulSet", /^cart-0$/],
  ["DaemonSet", /^cart-[bcdf-hj-np-tv-xz2456789]{5}$/],
  ["Job", /^cart-[bcdf-hj-np-tv-xz2456789]{5}$/],
  ["none", /^cart$/],
] as const)("a pod of a %s is called as Kubernetes would call it", (kind, name) => {
  expect(describe({ pods: [{ key: "cart", kind }] }).pods[0]?.name).toMatch(name);
});

test("two pods of one Deployment share its hash and nothing else", () => {
  const [first, second] = describe({
    pods: [
      { key: "web-1", owner: "web" },
      { key: "web-2", owner: "web", node: "node-2" },
    ],
  }).pods;

  expect(first?.owner).toEqual(second?.owner);
  expect([first?.name === second?.name, first?.uid === second?.uid]).toEqual([false, false]);
});

test("every pair of nodes has one link, and a described one keeps what it says", () => {
  const { links } = describe({ nodes: 3, pods: [], links: [{ between: ["node-3", "node-1"], delayMs: 40 }] });

  expect(links).toEqual([
    { between: ["node-1", "node-2"], delayMs: 0, loss: 0 },
    { between: ["node-1", "node-3"], delayMs: 40, loss: 0 },
    { between: ["node-2", "node-3"], delayMs: 0, loss: 0 },
  ]);
});

test.each([
  ["two pods have the key a", { pods: [{ key: "a" }, { key: "a" }] }],
  ["no node node-9", { pods: [{ key: "a", node: "node-9" }] }],
  ["no link between node-1 and node-9", { pods: [], links: [{ between: ["node-1", "node-9"] as const }] }],
])("a description with a mistake is refused: %s", (message, input) => {
  expect(() => describe(input)).toThrow(message);
});

test("a Deployment's pod object names its ReplicaSet, both addresses and its container", () => {
  const description = twoPods();
  const [client] = description.pods;

  const object = labObjects(description).find(({ kind }) => kind === "Pod");

  expect(object).toMatchObject({
    metadata: {
      name: client?.name,
      uid: client?.uid,
      labels: { app: "client", "pod-template-hash": client?.owner.templateHash },
      ownerReferences: [{ kind: "ReplicaSet", name: `client-${client?.owner.templateHash}`, controller: true }],
    },
    spec: { nodeName: "node-1" },
    status: {
      podIPs: [{ ip: "10.244.1.10" }, { ip: "fd00:10:244:1::a" }],
      containerStatuses: [{ containerID: expect.stringMatching(/^containerd:\/\/[0-9a-f]{64}$/) }],
    },
  });
});

test("a Service's slices hold the pods that its selector selects, one slice a family", () => {
  const description = twoPods();
  const server = description.pods.find(({ key }) => key === "server");

  const slices = labObjects(description).filter(({ kind }) => kind === "EndpointSlice");

  expect(slices).toMatchObject([
    {
      addressType: "IPv4",
      ports: [{ port: 8080 }],
      endpoints: [{ addresses: ["10.244.2.10"], targetRef: { kind: "Pod", uid: server?.uid } }],
    },
    { addressType: "IPv6", endpoints: [{ addresses: ["fd00:10:244:2::a"] }] },
  ]);
});

test("every Service of the shop has a pod behind it", () => {
  const description = shop();

  expect(description.services.filter((service) => endpoints(description, service).length === 0)).toEqual([]);
});

test("the objects are plain JSON", () => {
  const objects = labObjects(shop());

  expect(JSON.parse(JSON.stringify(objects))).toEqual(objects);
});

test("uids that an API server gave replace the described ones", () => {
  const description = withUids(twoPods(), (namespace, pod) => `${namespace}/${pod}`);

  expect(description.pods.map((pod) => pod.uid)).toEqual(twoPods().pods.map((pod) => `default/${pod.name}`));
});

test("a node with a wider prefix has room for hundreds of pods, each with an address of its own inside of it", () => {
  const pods = Array.from({ length: 500 }, (_, i) => ({ key: `pod-${i}`, node: "node-2" }));

  const { pods: described, nodes } = describe({ pods, podPrefixLength: 20 });

  expect(nodes.map(({ podCidrs }) => podCidrs.v4)).toEqual(["10.244.16.0/20", "10.244.32.0/20"]);
  expect(described[0]?.ips.v4).toBe("10.244.32.10");
  expect(described[499]?.ips.v4).toBe("10.244.33.253");
  expect(new Set(described.map(({ ips }) => ips.v4)).size).toBe(500);
  expect(() => describe({ pods })).toThrow("10.244.2.0/24 has no room for all pods of node-2");
});
