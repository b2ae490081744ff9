/**
 * What the probe's program and the kernel allow: facts of `flowspan-probe --check` in, judgements out. Pure.
 */
import { SOCKETS_ROOM } from "../../generated/layout.ts";
import { type Finding, ok } from "./finding.ts";

/** What `flowspan-probe --check` prints. */
export interface ProbeCheck {
  readonly version: string;
  readonly protocol: number;
  readonly kernel: string;
  readonly machine: string;
  readonly can_run: boolean;
  readonly btf: boolean;
  /** `remedy`: where no program can be loaded, whatever it is; else "". */
  readonly load: { readonly ok: boolean; readonly problem: string; readonly remedy?: string };
  readonly hooks: readonly {
    readonly name: string;
    readonly tracepoint: string;
    readonly required: boolean;
    readonly found: boolean;
    readonly attached: boolean;
    readonly cost: string;
  }[];
  readonly iterators: {
    /** False too where FLOWSPAN_SOCKETS=by-address leaves it out. */
    readonly bpf_sk_storage_map: boolean;
    readonly task_file: boolean;
  };
  readonly sockets_by_address: {
    readonly possible: boolean;
    /** FLOWSPAN_SOCKETS=by-address is set. */
    readonly asked: boolean;
  };
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
  /** No path names one, and none is beside the agent: a probe may run elsewhere all the same. */
  readonly isNowhere?: true;
}

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
    remedy: known ? "mend what stands above first" : load.remedy || "flowspan-probe --check --log-level debug",
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

/** Where the kernel refuses to walk what lies in sockets, it lies by their addresses. */
export const WITHOUT_STORAGES = `beyond ${SOCKETS_ROOM.toLocaleString("en-US")} open sockets, or a tenant's share of them, new ones are not counted (loss storage_failed)`;

function checkIterators({ iterators, sockets_by_address: byAddress, load }: ProbeCheck): Finding[] {
  const walk = "iterator bpf_sk_storage_map";
  const adopt = "iterator task_file";
  if (load.remedy) {
    const found = "not tried, since no program can be loaded";
    return [walk, adopt].map((name) => ({ name, state: "warn", found }));
  }
  const noWalk = byAddress.asked
    ? { found: "FLOWSPAN_SOCKETS=by-address leaves it out", remedy: "unset FLOWSPAN_SOCKETS" }
    : { found: "this kernel refuses it", remedy: "boot Linux 6.1 or newer that allows iterators over BPF maps" };
  const lost = byAddress.possible
    ? ({ state: "warn", found: `${noWalk.found}: sockets are known by address`, lost: WITHOUT_STORAGES } as const)
    : ({ state: "fail", found: noWalk.found, lost: "nothing can be counted" } as const);
  return [
    iterators.bpf_sk_storage_map ? ok(walk, "the walk over all sockets works") : { name: walk, ...noWalk, ...lost },
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
  if (bpffs.mounted) return ok(name, `mounted: ${bpffs.path}`);
  // Without a mode it would be a directory to which everybody may write.
  const remedy = "mount -t bpf -o nosuid,nodev,noexec,mode=0700 bpf /sys/fs/bpf";
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
    lost: "coverage: nothing says how much of the traffic was seen; connections that are older than the probe",
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
