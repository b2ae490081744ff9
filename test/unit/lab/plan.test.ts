import { expect, test } from "vitest";
import { cgroupPaths, containerCgroup, findCgroupMount } from "../../lab/world/cgroups.ts";
import { describe, twoPods } from "../../lab/world/describe.ts";
import { faultRules, linkLossRules } from "../../lab/world/faults.ts";
import { nodeRules } from "../../lab/world/iptables.ts";
import { networkPlan } from "../../lab/world/network-plan.ts";

const [client] = twoPods().pods;

const PARENT = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod";

test.each([
  ["systemd", "containerd", (uid: string, id: string) => `${PARENT}${uid}.slice/cri-containerd-${id}.scope`],
  ["systemd", "cri-o", (uid: string, id: string) => `${PARENT}${uid}.slice/crio-${id}.scope`],
  ["systemd", "docker", (uid: string, id: string) => `${PARENT}${uid}.slice/docker-${id}.scope`],
  ["cgroupfs", "containerd", (uid: string, id: string) => `kubepods/burstable/pod${dashed(uid)}/${id}`],
  ["cgroupfs", "cri-o", (uid: string, id: string) => `kubepods/burstable/pod${dashed(uid)}/crio-${id}`],
] as const)("cgroups are laid out as the kubelet's %s driver and %s do", (cgroupDriver, runtime, path) => {
  if (!client) throw new Error("no client");
  const [container] = client.containers;

  const uid = client.uid.replaceAll("-", "_");
  expect(containerCgroup({ cgroupDriver, runtime }, client, container)).toBe(path(uid, container.id));
});

test("a static pod's cgroup is named after its configuration's hash, its API object's uid is another", () => {
  const [pod] = describe({ pods: [{ key: "etcd", kind: "Node" }] }).pods;
  if (!pod) throw new Error("no pod");

  const path = containerCgroup({ cgroupDriver: "cgroupfs", runtime: "containerd" }, pod, pod.containers[0]);
  expect(path).toBe(`kubepods/burstable/pod${pod.configHash}/${pod.containers[0].id}`);
  expect([pod.name, pod.configHash?.length]).toEqual(["etcd-node-1", 32]);
});

function dashed(uid: string): string {
  return uid.replaceAll("_", "-");
}

test("all cgroups of a lab lie below the one directory that is removed with it", () => {
  const outside = cgroupPaths("flowspan-lab-x", twoPods()).filter((path) => !path.startsWith("flowspan-lab-x/"));

  expect(outside).toEqual([]);
});

test.each([
  ["unified", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "/sys/fs/cgroup"],
  [
    "hybrid",
    "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0",
    "/sys/fs/cgroup/unified",
  ],
])("the v2 hierarchy is found on a %s system", (_name, mounts, expected) => {
  expect(findCgroupMount(mounts)).toBe(expected);
});

test("a system without cgroup v2 is refused with the command that mounts it", () => {
  expect(() => findCgroupMount("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0")).toThrow("mount -t cgroup2");
});

test("every namespace and link is made under the lab's name, and hostNetwork pods get none", () => {
  const plan = networkPlan("flowspan-lab-x", describe({ pods: [{ key: "a" }, { key: "b", hostNetwork: true }] }));

  expect([plan.create, plan.links]).toEqual([
    ["netns add flowspan-lab-x-node-1", "netns add flowspan-lab-x-node-2", "netns add flowspan-lab-x-pod-a"],
    [
      "link add eth0 netns flowspan-lab-x-pod-a type veth peer name pod-0 netns flowspan-lab-x-node-1",
      "link add to-2 netns flowspan-lab-x-node-1 type veth peer name to-1 netns flowspan-lab-x-node-2",
    ],
  ]);
});

test("chain names are the ones that kube-proxy gives", () => {
  const services = [{ name: "kubernetes", portName: "https", port: 443 }];

  const rules = nodeRules(describe({ pods: [{ key: "kubernetes" }], services }), "v4");

  // The name that this Service's chain has in every cluster that runs kube-proxy with iptables.
  expect(rules).toContain("-j KUBE-SVC-NPX46M4PTMTKRN6Y\n");
});

test("three pods behind a Service are chosen with equal chance", () => {
  const keys = ["a", "b", "c"];
  const rules = nodeRules(
    describe({ pods: keys.map((key) => ({ key, owner: "web" })), services: [{ name: "web", port: 80 }] }),
    "v4",
  );

  expect([...rules.matchAll(/--probability ([\d.]+)/g)].map((match) => match[1])).toEqual([
    "0.3333333333",
    "0.5000000000",
  ]);
});

test("a Service without pods refuses connections instead of translating them", () => {
  const rules = nodeRules(describe({ pods: [], services: [{ name: "gone", port: 80 }] }), "v6");

  expect(rules).toContain(
    '-d fd00:10:96::a -p tcp -m tcp --dport 80 -m comment --comment "default/gone:tcp has no endpoints" -j REJECT',
  );
});

test("a fault between two pods is put where the packet arrives", () => {
  const rules = faultRules(twoPods(), { from: "client", to: "server", port: 8080, answer: "reset" });

  expect(rules).toEqual([
    {
      node: "node-2",
      family: "v4",
      rule: "-s 10.244.1.10 -d 10.244.2.10 -p tcp --dport 8080 -j REJECT --reject-with tcp-reset",
    },
    {
      node: "node-2",
      family: "v6",
      rule: "-s fd00:10:244:1::a -d fd00:10:244:2::a -p tcp --dport 8080 -j REJECT --reject-with tcp-reset",
    },
  ]);
});

test("loss on a link strikes both directions and families once each", () => {
  const rules = linkLossRules(twoPods(), "node-1", "node-2", 0.1);

  expect(rules.map(({ node, family, rule }) => `${node} ${family} ${rule}`)).toEqual([
    "node-1 v4 -i to-2+ -m statistic --mode random --probability 0.1 -j NFQUEUE --queue-num 61999",
    "node-1 v6 -i to-2+ -m statistic --mode random --probability 0.1 -j NFQUEUE --queue-num 61999",
    "node-2 v4 -i to-1+ -m statistic --mode random --probability 0.1 -j NFQUEUE --queue-num 61999",
    "node-2 v6 -i to-1+ -m statistic --mode random --probability 0.1 -j NFQUEUE --queue-num 61999",
  ]);
});
