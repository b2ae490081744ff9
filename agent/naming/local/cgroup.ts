/**
 * Cgroup names (leaf first, at most four levels) → what runs there: container, systemd unit, machine, host.
 *
 * Knows the layouts of the kubelet's systemd and cgroupfs drivers with containerd, CRI-O and cri-dockerd,
 * of Docker, Podman, nerdctl and LXC without Kubernetes, and of systemd. Only four levels are known, so a
 * path may be cut off above: where that could change the answer, the answer is `unknown`, never a guess.
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
  /** `ssh.service`, `session-3.scope`; `user` is the uid that a user manager's unit belongs to. */
  | { readonly kind: "unit"; readonly unit: string; readonly user: number | undefined }
  | { readonly kind: "host" }
  | { readonly kind: "unknown" };

const LEVELS = 4;
const ID = "[0-9a-f]{64}";
// A prefix (kind writes `kubelet-kubepods-…`) or none; underscores instead of dashes inside the uid.
const POD_SLICE = /^(?:.+-)?kubepods(?:-(burstable|besteffort))?-pod([0-9a-f]{8}[0-9a-f_]{24,28})\.slice/;
const POD_DIRECTORY = /^pod([0-9a-f]{8}[0-9a-f-]{24,28})$/;
const CONTAINER_SCOPE = new RegExp(`^(cri-containerd|crio|docker|libpod|nerdctl|containerd)-(${ID})\\.scope$`);
// containerd's cgroupfs driver under a kubelet with the systemd driver: all levels in one name.
const CONTAINER_COLON = new RegExp(`^(.+\\.slice):(cri-containerd|crio|docker):(${ID})$`);
const CONTAINER_PLAIN = new RegExp(`^(?:(libpod|crio)-)?(${ID})$`);
const LXC_PAYLOAD = /^lxc\.payload\.(.+)$/;
const USER_MANAGER = /^user@(\d+)\.service$/;
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

/** @param names as the kernel has them, leaf first; empty names are past the root */
export function parseCgroup(names: readonly string[]): CgroupPlace {
  const path = names.filter((name) => name !== "");
  if (path.length === 0) return { kind: "host" };
  return podContainer(path) ?? container(path) ?? unit(path) ?? { kind: "unknown" };
}

/**
 * Inside a pod the container is the level right under the pod's: what lies deeper (an init system, Docker
 * in Docker) is the container's own business.
 */
function podContainer(path: readonly string[]): CgroupPlace | undefined {
  for (const [level, name] of path.entries()) {
    const colon = CONTAINER_COLON.exec(name);
    const pod = podLevel(colon?.[1] ?? name, path[level + 1]);
    if (!pod) continue;
    if (colon) return { kind: "container", containerId: colon[3] ?? "", runtime: runtimeOf(colon[2]), ...pod };
    const child = level === 0 ? undefined : containerName(path[level - 1] ?? "", undefined);
    if (child) return { kind: "container", containerId: child.containerId, runtime: child.runtime, ...pod };
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

/** No pod's level in sight: the scope of a Kubernetes runtime if there is one, else the innermost container. */
function container(path: readonly string[]): CgroupPlace | undefined {
  const found = path.map((name, level) => containerName(name, path[level + 1])).filter((name) => name !== undefined);
  const chosen = found.findLast(({ kubernetes }) => kubernetes) ?? found[0];
  if (!chosen) return undefined;
  const { containerId, runtime } = chosen;
  return { kind: "container", containerId, runtime, podUid: undefined, qos: undefined };
}

interface ContainerName {
  readonly containerId: string;
  readonly runtime: Runtime | undefined;
  /** The name is one that only a Kubernetes runtime gives. */
  readonly kubernetes: boolean;
}

function containerName(name: string, parent: string | undefined): ContainerName | undefined {
  const scope = CONTAINER_SCOPE.exec(name);
  if (scope) return named(scope[2], scope[1], scope[1] === "cri-containerd" || scope[1] === "crio");
  const plain = CONTAINER_PLAIN.exec(name);
  if (plain) return named(plain[2], plain[1] ?? parent, plain[1] === "crio");
  const payload = LXC_PAYLOAD.exec(name);
  if (payload) return named(payload[1], "lxc", false);
  return parent === "lxc" ? named(name, "lxc", false) : undefined;
}

function named(id: string | undefined, runtime: string | undefined, kubernetes: boolean): ContainerName {
  return { containerId: id ?? "", runtime: runtimeOf(runtime), kubernetes };
}

function runtimeOf(name: string | undefined): Runtime | undefined {
  return name !== undefined && Object.hasOwn(RUNTIMES, name) ? RUNTIMES[name] : undefined;
}

/**
 * The systemd unit on a path: the first level below the slices, and below a user's manager the first one
 * below its slices. The path must be whole, for a container can hold a `system.slice` of its own.
 */
function unit(path: readonly string[]): CgroupPlace | undefined {
  const fromRoot = path.toReversed();
  const manager = fromRoot.findIndex((name) => USER_MANAGER.test(name));
  const user = manager < 0 ? undefined : Number(USER_MANAGER.exec(fromRoot[manager] ?? "")?.[1]);
  if (manager < 0 && path.length >= LEVELS) return undefined;

  const inner = fromRoot.slice(manager + 1).find((name) => !name.endsWith(".slice"));
  const name = inner !== undefined && UNIT.test(inner) ? inner : fromRoot[manager];
  return name === undefined ? undefined : { kind: "unit", unit: name, user };
}
