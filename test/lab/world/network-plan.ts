/**
 * The lab's network as commands for `ip -batch` and sysctl; pure, so that a test can read it.
 *
 *      pod netns                node netns                          node netns
 *      eth0 10.244.1.10/32 ---- pod-0    to-2 (veth) ------------- to-1
 *      default via node         10.244.1.10 dev pod-0
 *                               10.244.2.0/24 via 172.30.0.2 dev to-2
 *
 * Routed veth pairs, no bridge: packets between pods of one node pass the node's iptables too, as with most
 * CNIs, without br_netfilter. Node addresses are on `lo`. A slow link adds a TUN pair with better routes
 * (delayRoutes), which vanish with the relay. Nodes have no default route: what they do not know is
 * unreachable.
 */
import { type Description, type NodeDescription, type PodDescription, SERVICE_CIDRS } from "./describe.ts";

export interface NetworkPlan {
  /** All namespaces, nodes first. */
  readonly namespaces: readonly NamespacePlan[];
  /** Lines for one `ip -batch`, run anywhere: makes namespaces. */
  readonly create: readonly string[];
  /** Likewise: makes the links between them. */
  readonly links: readonly string[];
}

export interface NamespacePlan {
  readonly name: string;
  /** `name=value`, set before any device exists. */
  readonly sysctls: readonly string[];
  /** Lines for one `ip -n NAME -batch`. */
  readonly setUp: readonly string[];
}

/** `flowspan-lab-k3f9a-node-1`, `flowspan-lab-k3f9a-pod-client`; a hostNetwork pod lives in its node's. */
export function nodeNamespace(lab: string, node: string): string {
  return `${lab}-${node}`;
}

export function podNamespace(lab: string, pod: PodDescription): string {
  return pod.hostNetwork ? nodeNamespace(lab, pod.node) : `${lab}-pod-${pod.key}`;
}

/** @param lab the lab's id: the prefix of all its names */
export function networkPlan(lab: string, description: Description): NetworkPlan {
  const pods = description.pods.filter((pod) => !pod.hostNetwork);
  const namespaces = [
    ...description.nodes.map((node) => nodePlan(lab, description, node)),
    ...pods.map((pod) => podPlan(lab, pod, nodeOf(description, pod.node))),
  ];
  return {
    namespaces,
    create: namespaces.map(({ name }) => `netns add ${name}`),
    links: [
      ...pods.map((pod) =>
        veth(podNamespace(lab, pod), "eth0", nodeNamespace(lab, pod.node), podDevice(description, pod)),
      ),
      ...description.links.map(({ between: [a, b] }) =>
        veth(nodeNamespace(lab, a), linkDevice(description, b), nodeNamespace(lab, b), linkDevice(description, a)),
      ),
    ],
  };
}

function veth(here: string, device: string, there: string, peer: string): string {
  return `link add ${device} netns ${here} type veth peer name ${peer} netns ${there}`;
}

export function podDevice(description: Description, pod: PodDescription): string {
  return `pod-${description.pods.indexOf(pod)}`;
}

/** The device towards `node`; the TUN device beside it has `-slow` appended. */
export function linkDevice(description: Description, node: string): string {
  return `to-${nodeOf(description, node).index}`;
}

function nodeOf(description: Description, name: string): NodeDescription {
  const node = description.nodes.find((each) => each.name === name);
  if (!node) throw new Error(`no node ${name}`);
  return node;
}

// Duplicate address detection would keep every IPv6 address unusable for a second.
const NO_DAD = ["all", "default"].flatMap((each) => [
  `net.ipv6.conf.${each}.disable_ipv6=0`,
  `net.ipv6.conf.${each}.accept_dad=0`,
  `net.ipv6.conf.${each}.accept_ra=0`,
]);

const ROUTER = [
  "net.ipv4.ip_forward=1",
  "net.ipv6.conf.all.forwarding=1",
  ...["all", "default"].flatMap((each) => [
    `net.ipv4.conf.${each}.rp_filter=0`,
    `net.ipv4.conf.${each}.send_redirects=0`,
  ]),
  // Every connect to nowhere gets its ICMP answer, however many there are.
  "net.ipv4.icmp_ratelimit=0",
  "net.ipv6.icmp.ratelimit=0",
  "net.ipv4.icmp_msgs_per_sec=100000",
  // A million short connections must not fill the connection tracking table.
  "net.netfilter.nf_conntrack_tcp_timeout_time_wait=5",
  "net.netfilter.nf_conntrack_tcp_timeout_close=5",
];

function nodePlan(lab: string, description: Description, node: NodeDescription): NamespacePlan {
  const pods = description.pods.filter((pod) => pod.node === node.name && !pod.hostNetwork);
  const peers = description.nodes.filter((peer) => peer !== node);
  return {
    name: nodeNamespace(lab, node.name),
    sysctls: [...NO_DAD, ...ROUTER],
    setUp: [
      "link set lo up",
      `addr add ${node.ips.v4}/32 dev lo`,
      `addr add ${node.ips.v6}/128 dev lo nodad`,
      "route add unreachable 198.51.100.0/24",
      "route add blackhole 192.0.2.0/24",
      // An IPv6 route of type unreachable answers "no route" (ip6_pkt_discard); iptables.ts says "host".
      "route add local 2001:db8:1::/48 dev lo",
      "route add blackhole 2001:db8:2::/48",
      // The node's own processes need some route before their packets are translated. IPv6 takes a plain
      // route to lo for unreachable.
      `route add ${SERVICE_CIDRS.v4} dev lo src ${node.ips.v4}`,
      `route add local ${SERVICE_CIDRS.v6} dev lo src ${node.ips.v6}`,
      ...pods.flatMap((pod) => podRoutes(podDevice(description, pod), pod, node)),
      ...peers.flatMap((peer) => peerRoutes(linkDevice(description, peer.name), peer, node)),
    ],
  };
}

function podRoutes(device: string, pod: PodDescription, node: NodeDescription): string[] {
  return [
    `link set ${device} up`,
    `addr add fe80::1/64 dev ${device} nodad`,
    `route add ${pod.ips.v4}/32 dev ${device} src ${node.ips.v4}`,
    `route add ${pod.ips.v6}/128 dev ${device} src ${node.ips.v6}`,
  ];
}

function peerRoutes(device: string, peer: NodeDescription, node: NodeDescription): string[] {
  const v6 = `via fe80::a:${peer.index} dev ${device} src ${node.ips.v6} metric 1000`;
  return [
    `link set ${device} up`,
    `addr add fe80::a:${node.index}/64 dev ${device} nodad`,
    `route add ${peer.ips.v4}/32 dev ${device} src ${node.ips.v4} metric 1000`,
    `route add ${peer.podCidrs.v4} via ${peer.ips.v4} dev ${device} onlink src ${node.ips.v4} metric 1000`,
    `route add ${peer.ips.v6}/128 ${v6}`,
    `route add ${peer.podCidrs.v6} ${v6}`,
  ];
}

/** Addresses that routes to `node` and its pods go by, at any other node: what ARP and ND resolve there. */
export function neighboursOf(description: Description, node: string): string[] {
  const { ips, index } = nodeOf(description, node);
  return [ips.v4, `fe80::a:${index}`];
}

/** Lines for `ip -n NODE -batch`: traffic from `node` to `peer` takes the delay relay's device. */
export function delayRoutes(description: Description, nodeName: string, peerName: string): string[] {
  const node = nodeOf(description, nodeName);
  const peer = nodeOf(description, peerName);
  const device = `${linkDevice(description, peerName)}-slow`;
  return [
    `link set ${device} up mtu 1500 txqueuelen 10000`,
    ...[peer.ips.v4, peer.podCidrs.v4].map((to) => `route add ${to} dev ${device} src ${node.ips.v4} metric 500`),
    ...[peer.ips.v6, peer.podCidrs.v6].map((to) => `route add ${to} dev ${device} src ${node.ips.v6} metric 500`),
  ];
}

function podPlan(lab: string, pod: PodDescription, node: NodeDescription): NamespacePlan {
  return {
    name: podNamespace(lab, pod),
    sysctls: NO_DAD,
    setUp: [
      "link set lo up",
      "link set eth0 up",
      `addr add ${pod.ips.v4}/32 dev eth0`,
      `addr add ${pod.ips.v6}/128 dev eth0 nodad`,
      // The node answers ARP for its address on `lo` on every device.
      `route add ${node.ips.v4} dev eth0 scope link`,
      `route add default via ${node.ips.v4} dev eth0 src ${pod.ips.v4}`,
      `route add default via fe80::1 dev eth0 src ${pod.ips.v6}`,
    ],
  };
}
