/**
 * Kernel modules that a cluster's node uses: which are missing, and what does not work without them. Pure.
 */
import { type Finding, ok } from "./finding.ts";

/** A module that a cluster's node uses, and how to tell that it is there when it is built in. */
export interface NodeModule {
  readonly name: string;
  /** A function of it, as /proc/kallsyms lists it. */
  readonly symbol: string;
  /** Modules of which one is enough share a group. */
  readonly group: string;
  readonly lost: string;
}

export const NODE_MODULES: readonly NodeModule[] = [
  { name: "veth", symbol: "veth_xmit", group: "pod interfaces", lost: "pods have no network but the host's" },
  {
    name: "nf_conntrack",
    symbol: "nf_conntrack_in",
    group: "connection tracking",
    lost: "Services cannot be reached: nothing rewrites their addresses back",
  },
  {
    name: "nf_nat",
    symbol: "nf_nat_setup_info",
    group: "address translation",
    lost: "Services cannot be reached: peers stay unnamed behind cluster addresses",
  },
  {
    name: "nf_tables",
    symbol: "nft_do_chain",
    group: "packet rules",
    lost: "kube-proxy and NetworkPolicies cannot write rules",
  },
  {
    name: "ip_tables",
    symbol: "ipt_do_table",
    group: "packet rules",
    lost: "kube-proxy and NetworkPolicies cannot write rules",
  },
  {
    name: "xt_statistic",
    symbol: "statistic_mt",
    group: "endpoint choice",
    lost: "kube-proxy in iptables mode cannot spread a Service over its pods",
  },
  {
    name: "br_netfilter",
    symbol: "br_nf_pre_routing",
    group: "rules on bridges",
    lost: "Services do not work between pods on one bridge (bridge, flannel)",
  },
  {
    name: "vxlan",
    symbol: "vxlan_xmit",
    group: "overlay between nodes",
    lost: "overlay networks (flannel, Calico, Cilium by default) cannot connect nodes",
  },
  { name: "overlay", symbol: "ovl_lookup", group: "container images", lost: "containers start slowly or not at all" },
];

/** Finds what is there among loaded modules, modules that load on demand, and the kernel's symbols. */
export function checkModules(present: ReadonlySet<string>, isClusterNode: boolean): Finding[] {
  if (!isClusterNode) return [ok("node modules", "no kubelet here: not needed")];
  const groups = [...new Set(NODE_MODULES.map(({ group }) => group))];
  return groups.map((group) => {
    const choices = NODE_MODULES.filter((module) => module.group === group);
    const there = choices.filter(({ name }) => present.has(name)).map(({ name }) => name);
    const names = choices.map(({ name }) => name);
    if (there.length > 0) return ok(`module ${names.join(" or ")}`, `${group}: ${there.join(", ")}`);
    return {
      name: `module ${names.join(" or ")}`,
      state: "warn",
      found: `${group}: neither loaded, loadable nor built in`,
      lost: choices[0]?.lost ?? "",
      remedy: `modprobe ${names[0]}`,
    };
  });
}
