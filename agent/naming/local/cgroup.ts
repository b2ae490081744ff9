/**
 * Cgroup names (the outermost levels, innermost first) → what runs there: container, systemd unit, machine, host.
 *
 * Knows the layouts of the kubelet's systemd and cgroupfs drivers with containerd, CRI-O and cri-dockerd,
 * of Docker, Podman, nerdctl and LXC without Kubernetes, and of systemd. Goes by the outermost level that means
 * something: whoever runs below it may make levels of any name there, and must not get another's name by that.
 */

export type Qos = "guaranteed" | "burstable" | "besteffort";

export type Runtime = "containerd" | "cri-o" | "docker" | "podman" | "lxc";

export type CgroupPlace =
  | {
      readonly kind: "container";
      readonly containerId: string;
      /** As far as the name tells; the cgroupfs driver does not say. */
      readonly runtime: Runtime | undefined;
      /** With dashes, as the API writes it; a static pod has 32 hex digits without. */
      readonly podUid: string | undefined;
      readonly qos: Qos | undefined;
    }
  /** Directly in a pod's cgroup, in none of its containers. */
  | { readonly kind: "pod"; readonly podUid: string; readonly qos: Qos }
  /** `ssh.service`, `session-3.scope`, `user@1000.service` */
  | { readonly kind: "unit"; readonly unit: string }
  | { readonly kind: "host" }
  | { readonly kind: "unknown" };

/** What the probe sends for a name that it could not read. */
const UNREADABLE = "?";
const ID = "[0-9a-f]{64}";
// A prefix (kind writes `kubelet-kubepods-…`) or none; underscores instead of dashes inside the uid.
const POD_SLICE = /^(?:.+-)?kubepods(?:-(burstable|besteffort))?-pod([0-9a-f]{8}[0-9a-f_]{24,28})\.slice/;
const POD_DIRECTORY = /^pod([0-9a-f]{8}[0-9a-f-]{24,28})$/;
const CONTAINER_SCOPE = new RegExp(`^(cri-containerd|crio|docker|libpod|nerdctl|containerd)-(${ID})\\.scope$`);
// containerd's cgroupfs driver under a kubelet with the systemd driver: all levels in one name.
const CONTAINER_COLON = new RegExp(`^(.+\\.slice):(cri-containerd|crio|docker):(${ID})$`);
const CONTAINER_PLAIN = new RegExp(`^(?:(libpod|crio)-)?(${ID})$`);
const LXC_PAYLOAD = /^lxc\.payload\.(.+)$/;
const USER_MANAGER = /^user@\d+\.service$/;
const UNIT = /\.(?:service|scope|socket|mount|swap)$/;

/** By the word in the cgroup's name, or the parent directory's for plain ids. */
const RUNTIMES: Readonly<Record<string, Runtime>> = {
  "cri-containerd": "containerd",
  containerd: "containerd",
  nerdctl: "containerd",
  crio: "cri-o",
  docker: "docker",
  libpod: "podman",
  lxc: "lxc",
};

/** @param names as the kernel has them, innermost first; empty names are past the root */
export function parseCgroup(names: readonly string[]): CgroupPlace {
  const path = trustedPath(names);
  if (path.length === 0) return { kind: "host" };
  return podContainer(path) ?? container(path) ?? unit(path) ?? { kind: "unknown" };
}

/**
 * The path from the root down to the first level below which anybody may choose the names: a user's manager, or a
 * level whose name could not be read.
 */
function trustedPath(names: readonly string[]): string[] {
  const path = names.filter((name) => name !== "").toReversed();
  const last = path.findIndex((name) => USER_MANAGER.test(name) || name === UNREADABLE);
  return last < 0 ? path : path.slice(0, last + 1);
}

/**
 * The outermost pod, and the level right under the pod's as its container. What lies deeper (an init system, Docker in
 * Docker, Kubernetes in a pod) is the container's own business, whatever it calls itself.
 */
function podContainer(path: readonly string[]): CgroupPlace | undefined {
  for (const [level, name] of path.entries()) {
    const colon = CONTAINER_COLON.exec(name);
    const pod = podLevel(colon?.[1] ?? name, path[level - 1]);
    if (!pod) continue;
    if (colon) return { kind: "container", containerId: colon[3] ?? "", runtime: runtimeOf(colon[2]), ...pod };
    const child = containerName(path[level + 1] ?? "", undefined);
    if (child) return { kind: "container", ...child, ...pod };
    return { kind: "pod", ...pod };
  }
  return undefined;
}

function podLevel(name: string, parent: string | undefined): { podUid: string; qos: Qos } | undefined {
  const slice = POD_SLICE.exec(name);
  if (slice) return { podUid: (slice[2] ?? "").replaceAll("_", "-"), qos: qosOf(slice[1]) };
  const directory = POD_DIRECTORY.exec(name);
  return directory ? { podUid: directory[1] ?? "", qos: qosOf(parent) } : undefined;
}

function qosOf(name: string | undefined): Qos {
  return name === "burstable" || name === "besteffort" ? name : "guaranteed";
}

/** No pod's level: the outermost container. */
function container(path: readonly string[]): CgroupPlace | undefined {
  for (const [level, name] of path.entries()) {
    const found = containerName(name, path[level - 1]);
    if (found) return { kind: "container", ...found, podUid: undefined, qos: undefined };
  }
  return undefined;
}

interface ContainerName {
  readonly containerId: string;
  readonly runtime: Runtime | undefined;
}

function containerName(name: string, parent: string | undefined): ContainerName | undefined {
  const scope = CONTAINER_SCOPE.exec(name);
  if (scope) return named(scope[2], scope[1]);
  const plain = CONTAINER_PLAIN.exec(name);
  if (plain) return named(plain[2], plain[1] ?? parent);
  const payload = LXC_PAYLOAD.exec(name);
  if (payload) return named(payload[1], "lxc");
  return parent === "lxc" ? named(name, "lxc") : undefined;
}

function named(id: string | undefined, runtime: string | undefined): ContainerName {
  return { containerId: id ?? "", runtime: runtimeOf(runtime) };
}

function runtimeOf(name: string | undefined): Runtime | undefined {
  return name !== undefined && Object.hasOwn(RUNTIMES, name) ? RUNTIMES[name] : undefined;
}

/** The systemd unit on a path: the first level below the slices. A user's units go by the user's manager. */
function unit(path: readonly string[]): CgroupPlace | undefined {
  const name = path.find((level) => !level.endsWith(".slice"));
  return name !== undefined && UNIT.test(name) ? { kind: "unit", unit: name } : undefined;
}
