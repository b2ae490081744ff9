/**
 * Cgroups in the kubelet's layout below one directory of the lab's own, in the v2 hierarchy.
 *
 *   systemd   <lab>/<node>/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid_>.slice/cri-containerd-<id>.scope
 *   cgroupfs  <lab>/<node>/kubepods/burstable/pod<uid>/<id>                 CRI-O: crio-<id>
 *   both      <lab>/<node>/system.slice/<name>.service       host processes
 *             <lab>/outside                                  relays, agents: not part of any node
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerDescription, Description, PodDescription, Runtime } from "./describe.ts";

/** The mount point of the v2 hierarchy: /sys/fs/cgroup, or .../unified on a hybrid system. */
export function findCgroupMount(mounts: string = readFileSync("/proc/mounts", "utf8")): string {
  for (const line of mounts.split("\n")) {
    const [, target, type] = line.split(" ");
    if (type === "cgroup2" && target) return target;
  }
  throw new Error("no cgroup v2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified");
}

/** A container's cgroup below its node's. */
export function containerCgroup(
  { cgroupDriver, runtime }: Pick<Description, "cgroupDriver" | "runtime">,
  pod: PodDescription,
  { id }: ContainerDescription,
): string {
  const uid = pod.configHash ?? pod.uid;
  if (cgroupDriver === "cgroupfs") return `kubepods/burstable/pod${uid}/${runtime === "cri-o" ? "crio-" : ""}${id}`;
  const slice = `kubepods-burstable-pod${uid.replaceAll("-", "_")}.slice`;
  return `kubepods.slice/kubepods-burstable.slice/${slice}/${SCOPES[runtime]}-${id}.scope`;
}

const SCOPES: Readonly<Record<Runtime, string>> = { containerd: "cri-containerd", "cri-o": "crio", docker: "docker" };

export function unitCgroup(unit: string): string {
  return `system.slice/${unit}.service`;
}

/** All cgroups of a lab at its start, as paths below the mount point. */
export function cgroupPaths(lab: string, description: Description): string[] {
  return [
    `${lab}/outside`,
    ...description.nodes.map((node) => `${lab}/${node.name}/system.slice`),
    ...description.pods.flatMap((pod) =>
      pod.containers.map((each) => `${lab}/${pod.node}/${containerCgroup(description, pod, each)}`),
    ),
  ];
}

export function buildCgroups(mount: string, lab: string, description: Description): void {
  for (const path of cgroupPaths(lab, description)) mkdirSync(join(mount, path), { recursive: true });
}
