/**
 * Facts about a machine in, judgements out: what works, what is lost without the rest, which command
 * mends it.
 *
 * Pure: doctor-facts.ts collects the facts. `fail` is kept for what stops the main job, reading this
 * node's connections and getting them to a Collector; what only costs detail is a warning.
 */

export interface Finding {
  readonly name: string;
  readonly state: "ok" | "warn" | "fail";
  readonly found: string;
  /** What is not seen, not named or not exported as it stands; undefined where nothing is. */
  readonly lost?: string;
  /** A command, or a line of configuration. */
  readonly remedy?: string;
}

/** What `flowspan-probe --check` prints. */
export interface ProbeCheck {
  readonly version: string;
  readonly protocol: number;
  readonly kernel: string;
  readonly machine: string;
  readonly can_run: boolean;
  readonly btf: boolean;
  readonly load: { readonly ok: boolean; readonly problem: string };
  readonly hooks: readonly {
    readonly name: string;
    readonly tracepoint: string;
    readonly required: boolean;
    readonly found: boolean;
    readonly attached: boolean;
    readonly cost: string;
  }[];
  readonly iterators: { readonly bpf_sk_storage_map: boolean; readonly task_file: boolean };
  readonly cgroup_names: boolean;
  readonly bpffs: { readonly mounted: boolean; readonly path: string };
  readonly cgroup_v2: { readonly mounted: boolean; readonly used: boolean; readonly path: string };
  readonly memlock: { readonly unlimited: boolean; readonly bytes: number };
  readonly capabilities: Readonly<Record<string, boolean>>;
  readonly proc_snmp: boolean;
}

/** The probe could not be asked: why, and the command that helps. */
export interface NoProbeCheck {
  readonly error: string;
  readonly remedy: string;
}

const ok = (name: string, found: string): Finding => ({ name, state: "ok", found });

export function checkProbeProgram(check: ProbeCheck | NoProbeCheck, protocol: number): Finding {
  const name = "probe program";
  const lost = "nothing can be counted";
  if ("error" in check) return { name, state: "fail", found: check.error, lost, remedy: check.remedy };
  if (check.protocol !== protocol) {
    const found = `flowspan-probe ${check.version} speaks protocol ${check.protocol}, this agent ${protocol}`;
    return { name, state: "fail", found, lost, remedy: "make build" };
  }
  return ok(name, `flowspan-probe ${check.version}`);
}

/** Everything that the probe has found out about the kernel, one finding a fact. */
export function checkKernel(check: ProbeCheck): Finding[] {
  return [
    ok("kernel", `Linux ${check.kernel} ${check.machine}`),
    checkBtf(check),
    checkCapabilities(check),
    checkLoad(check),
    ...checkHooks(check),
    ...checkIterators(check),
    checkBpffs(check),
    checkCgroupV2(check),
    checkCgroupNames(check),
    checkSnmp(check),
  ];
}

function checkBtf({ btf }: ProbeCheck): Finding {
  if (btf) return ok("BTF", "the kernel describes its own types");
  return {
    name: "BTF",
    state: "fail",
    found: "no /sys/kernel/btf/vmlinux",
    lost: "nothing can be counted",
    remedy: "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y: grep DEBUG_INFO_BTF /boot/config-$(uname -r)",
  };
}

function checkCapabilities({ capabilities }: ProbeCheck): Finding {
  const name = "capabilities";
  const held = Object.entries(capabilities)
    .filter(([, has]) => has)
    .map(([capability]) => capability);
  const enough = capabilities.sys_admin || (capabilities.bpf && capabilities.perfmon);
  const found = held.length === 0 ? "none of those that matter" : held.join(", ");
  if (enough) return ok(name, found);
  return {
    name,
    state: "fail",
    found,
    lost: "the probe cannot load its programs",
    remedy: "sudo flowspan doctor; in Kubernetes add BPF and PERFMON to the probe's container",
  };
}

function checkLoad({ load, capabilities, btf }: ProbeCheck): Finding {
  const name = "programs load";
  if (load.ok) return ok(name, "all programs were loaded and attached, and let go again");
  const known = !btf || !(capabilities.sys_admin || (capabilities.bpf && capabilities.perfmon));
  return {
    name,
    state: "fail",
    found: load.problem,
    lost: "nothing can be counted",
    remedy: known ? "mend what stands above first" : "flowspan-probe --check --log-level debug",
  };
}

function checkHooks({ hooks, load }: ProbeCheck): Finding[] {
  return hooks.map(({ name, tracepoint, required, found, attached, cost }) => {
    const label = `hook ${name}`;
    if (attached) return ok(label, "attaches");
    if (found && !load.ok)
      return { name: label, state: "warn", found: "exists; not tried, since the programs did not load" };
    return {
      name: label,
      state: required ? "fail" : "warn",
      found: found ? "exists but does not attach" : `this kernel has no tracepoint ${tracepoint}`,
      lost: cost,
      remedy: found ? "flowspan-probe --check --log-level debug" : "boot a newer kernel",
    };
  });
}

function checkIterators({ iterators }: ProbeCheck): Finding[] {
  const walk = "iterator bpf_sk_storage_map";
  const adopt = "iterator task_file";
  return [
    iterators.bpf_sk_storage_map
      ? ok(walk, "the walk over all sockets works")
      : {
          name: walk,
          state: "fail",
          found: "this kernel has none",
          lost: "open connections cannot be read",
          remedy: "boot Linux 6.1 or newer",
        },
    iterators.task_file
      ? ok(adopt, "connections older than the probe are adopted")
      : {
          name: adopt,
          state: "warn",
          found: "this kernel has none",
          lost: "connections that were open before the probe started",
          remedy: "boot a newer kernel",
        },
  ];
}

function checkBpffs({ bpffs, capabilities }: ProbeCheck): Finding {
  const name = "bpffs";
  if (bpffs.mounted) return ok(name, `mounted at ${bpffs.path}`);
  const remedy = "mount -t bpf bpf /sys/fs/bpf";
  if (capabilities.sys_admin) return ok(name, "not mounted; the probe mounts it");
  return {
    name,
    state: "fail",
    found: "not mounted, and mounting takes CAP_SYS_ADMIN",
    lost: "the probe cannot pin its maps",
    remedy,
  };
}

function checkCgroupV2({ cgroup_v2 }: ProbeCheck): Finding {
  const name = "cgroup v2";
  if (cgroup_v2.used) return ok(name, `sockets carry their cgroup (${cgroup_v2.path})`);
  return {
    name,
    state: "warn",
    found: cgroup_v2.mounted ? `mounted at ${cgroup_v2.path}, without groups` : "not mounted",
    lost: "containers are told apart by net namespace and address only: hostNetwork pods and services of the host are one",
    remedy: "boot with systemd.unified_cgroup_hierarchy=1",
  };
}

function checkCgroupNames({ cgroup_names }: ProbeCheck): Finding {
  const name = "cgroup names";
  if (cgroup_names) return ok(name, "read in the kernel");
  return {
    name,
    state: "warn",
    found: "kernfs_node has neither parent nor __parent",
    lost: "pods and units have no names",
    remedy: "report this kernel",
  };
}

function checkSnmp({ proc_snmp }: ProbeCheck): Finding {
  const name = "host's /proc";
  if (proc_snmp) return ok(name, "the kernel's own counters are readable: coverage works");
  return {
    name,
    state: "warn",
    found: "only this pid namespace is visible",
    lost: "coverage: nothing says how much of the traffic was seen",
    remedy: "set hostPID: true in the pod's spec",
  };
}

/** RLIMIT_MEMLOCK matters only to kernels that charge BPF maps to it (before bacec5b9b6a6, 5.11). */
export function checkMemlock(memlock: ProbeCheck["memlock"], chargedToMemlock: boolean): Finding {
  const name = "memlock";
  const limit = memlock.unlimited ? "unlimited" : `${Math.round(memlock.bytes / 1024)} KiB`;
  if (!chargedToMemlock) return ok(name, `${limit}; this kernel charges BPF maps to the memory cgroup instead`);
  if (memlock.unlimited) return ok(name, limit);
  return {
    name,
    state: "warn",
    found: limit,
    lost: "large edge tables cannot be made",
    remedy: "ulimit -l unlimited; in systemd LimitMEMLOCK=infinity",
  };
}

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

export interface AgentFacts {
  readonly socket: string;
  /** The answer of /readyz, or why there was none. */
  readonly ready:
    | { readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[] }
    | { readonly error: string };
}

/** A running agent, where there is one: doctor also runs before the first. */
export function checkAgent({ socket, ready }: AgentFacts): Finding {
  const name = "agent";
  if ("error" in ready) return ok(name, `none answers on ${socket} (${ready.error})`);
  const troubles = ready.checks.filter((check) => !check.ok).map((check) => `${check.name}: ${check.detail}`);
  if (troubles.length === 0) return ok(name, `runs and is ready (${socket})`);
  return {
    name,
    state: "warn",
    found: troubles.join("; "),
    lost: "no fresh data",
    remedy: `curl --unix-socket ${socket} http://agent/status`,
  };
}

export interface CollectorFacts {
  readonly target: string;
  /** Why an empty export was not accepted; undefined when it was. */
  readonly failure: string | undefined;
}

export function checkCollector({ target, failure }: CollectorFacts): Finding {
  const name = "Collector";
  if (failure === undefined) return ok(name, `${target} accepts OTLP`);
  return {
    name,
    state: "fail",
    found: `${target}: ${failure}`,
    lost: "nothing arrives; counters wait in the kernel until it answers",
    remedy: "start a Collector with an OTLP receiver there, or set OTEL_EXPORTER_OTLP_ENDPOINT",
  };
}

export interface KubernetesFacts {
  /** Why no API server is asked: switched off, or nothing names one. */
  readonly skipped?: string;
  readonly server?: string;
  /** Why the server cannot be reached. */
  readonly failure?: string;
  /** By `verb resource`: whether it is allowed. */
  readonly allowed?: Readonly<Record<string, boolean>>;
}

const RESOURCE_LOSS: Readonly<Record<string, string>> = {
  pods: "pods have no names",
  services: "Services have no names",
  endpointslices: "peers behind Services have no names",
  nodes: "nodes have no names",
  namespaces: "the cluster has no id",
};

export function checkKubernetes({ skipped, server = "", failure, allowed = {} }: KubernetesFacts): Finding[] {
  if (skipped !== undefined) return [ok("API server", skipped)];
  const name = "API server";
  if (failure !== undefined) {
    const remedy = "kubectl get --raw /readyz; check the service account, or kubernetes.kubeconfig";
    return [
      { name, state: "warn", found: `${server}: ${failure}`, lost: "pods, Services and nodes have no names", remedy },
    ];
  }
  const rules = Object.entries(allowed).map(([rule, yes]): Finding => {
    const [verb = "", resource = ""] = rule.split(" ");
    if (yes) return ok(`RBAC ${rule}`, "allowed");
    const remedy = `kubectl auth can-i ${verb} ${resource} --as=system:serviceaccount:NAMESPACE:flowspan; apply deploy/manifests`;
    return { name: `RBAC ${rule}`, state: "warn", found: "refused", lost: RESOURCE_LOSS[resource] ?? "names", remedy };
  });
  return [ok(name, `${server} answers`), ...rules];
}

/** The main job can run: nothing failed. */
export function canRun(findings: readonly Finding[]): boolean {
  return findings.every(({ state }) => state !== "fail");
}

const MARK = { ok: "ok  ", warn: "warn", fail: "FAIL" } as const;
const COLOUR = { ok: "32", warn: "33", fail: "31" } as const;

/** The findings for people. */
export function findingsText(findings: readonly Finding[], colour: boolean): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, state, found, lost, remedy }) => {
    const mark = colour ? `\x1b[${COLOUR[state]}m${MARK[state]}\x1b[0m` : MARK[state];
    const indent = " ".repeat(width + 7);
    return [
      `${mark}  ${name.padEnd(width)} ${found}`,
      ...(lost === undefined ? [] : [`${indent}lost:   ${lost}`]),
      ...(remedy === undefined ? [] : [`${indent}remedy: ${remedy}`]),
    ];
  });
  const failed = findings.filter(({ state }) => state === "fail").length;
  const warned = findings.filter(({ state }) => state === "warn").length;
  const verdict =
    failed > 0 ? `flowspan cannot do its main job here: ${failed} failed` : "flowspan can do its main job here";
  return `${[...lines, "", `${verdict}${warned > 0 ? `, ${warned} with less` : ""}`].join("\n")}\n`;
}
