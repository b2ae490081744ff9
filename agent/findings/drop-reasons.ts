/**
 * Which of the kernel's drop reasons are trouble by themselves: somebody or something on this node takes packets away that were in order.
 *
 * Not here is what other findings tell better or what networks live with: a closed port (`NO_SOCKET`, connect_refused), full
 * queues of a listener or socket (`TCP_OVERWINDOW`, `SOCKET_RCVBUFF`, …), neighbours (`NEIGH_…`), what congestion control needs
 * (`QDISC_DROP`), and what came twice or too late (`TCP_OLD_DATA`, …). `flowspan.packet.drops` has them all.
 */
export const TROUBLE_REASONS: ReadonlySet<string> = new Set([
  // A rule of iptables or nftables, or conntrack, refuses it.
  "NETFILTER_DROP",
  // A program of a network plugin does: on a device, or on a cgroup.
  "TC_INGRESS",
  "TC_EGRESS",
  "XDP",
  "BPF_CGROUP_EGRESS",
  // IPsec's policies do.
  "XFRM_POLICY",
  // It came by another device than its answer would take.
  "IP_RPFILTER",
  // The node receives more than it can take: netdev_max_backlog, or a full ring of a device.
  "CPU_BACKLOG",
  "FULL_RING",
  // Its bytes were changed on the way.
  "IP_CSUM",
  "TCP_CSUM",
  "UDP_CSUM",
]);
