/** Cgroup names as the kernel has them, leaf first, and what each layout means. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CgroupPlace, parseCgroup } from "../../../../agent/naming/local/cgroup.ts";

const A = "a7".repeat(32);
const B = "b3".repeat(32);
const UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const UID_ = UID.replaceAll("-", "_");
const HASH = "0123456789abcdef0123456789abcdef";

interface Case {
  readonly name: string;
  readonly names: readonly string[];
  readonly place: CgroupPlace;
}

const KUBERNETES: readonly Case[] = [
  {
    name: "containerd, systemd driver, burstable",
    names: [
      `cri-containerd-${A}.scope`,
      `kubepods-burstable-pod${UID_}.slice`,
      "kubepods-burstable.slice",
      "kubepods.slice",
    ],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: UID, qos: "burstable" },
  },
  {
    name: "CRI-O, systemd driver, guaranteed",
    names: [`crio-${A}.scope`, `kubepods-pod${UID_}.slice`, "kubepods.slice"],
    place: { kind: "container", containerId: A, runtime: "cri-o", podUid: UID, qos: "guaranteed" },
  },
  {
    name: "CRI-O with crun's own level below the container's",
    names: ["container", `crio-${A}.scope`, `kubepods-besteffort-pod${UID_}.slice`, "kubepods-besteffort.slice"],
    place: { kind: "container", containerId: A, runtime: "cri-o", podUid: UID, qos: "besteffort" },
  },
  {
    name: "cri-dockerd, systemd driver",
    names: [`docker-${A}.scope`, `kubepods-besteffort-pod${UID_}.slice`, "kubepods-besteffort.slice", "kubepods.slice"],
    place: { kind: "container", containerId: A, runtime: "docker", podUid: UID, qos: "besteffort" },
  },
  {
    name: "cgroupfs driver, burstable",
    names: [A, `pod${UID}`, "burstable", "kubepods"],
    place: { kind: "container", containerId: A, runtime: undefined, podUid: UID, qos: "burstable" },
  },
  {
    name: "cgroupfs driver, guaranteed",
    names: [A, `pod${UID}`, "kubepods"],
    place: { kind: "container", containerId: A, runtime: undefined, podUid: UID, qos: "guaranteed" },
  },
  {
    name: "cgroupfs driver with CRI-O's prefix",
    names: [`crio-${A}`, `pod${UID}`, "besteffort", "kubepods"],
    place: { kind: "container", containerId: A, runtime: "cri-o", podUid: UID, qos: "besteffort" },
  },
  {
    name: "static pod, whose cgroup carries the configuration's hash",
    names: [
      `cri-containerd-${A}.scope`,
      `kubepods-burstable-pod${HASH}.slice`,
      "kubepods-burstable.slice",
      "kubepods.slice",
    ],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: HASH, qos: "burstable" },
  },
  {
    name: "a node in a container, as kind makes them",
    names: [
      `cri-containerd-${A}.scope`,
      `kubelet-kubepods-burstable-pod${UID_}.slice`,
      "kubelet-kubepods-burstable.slice",
      "kubelet-kubepods.slice",
    ],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: UID, qos: "burstable" },
  },
  {
    name: "containerd's cgroupfs driver under a kubelet with the systemd driver",
    names: [`kubepods-burstable-pod${UID_}.slice:cri-containerd:${A}`, "system.slice"],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: UID, qos: "burstable" },
  },
  {
    name: "an init system inside the container",
    names: ["init.scope", `cri-containerd-${A}.scope`, `kubepods-pod${UID_}.slice`, "kubepods.slice"],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: UID, qos: "guaranteed" },
  },
  {
    name: "a service of an init system inside a container whose pod's level is not there",
    names: ["a", "nginx.service", "system.slice", `cri-containerd-${A}.scope`],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: undefined, qos: undefined },
  },
  {
    name: "Docker inside a pod belongs to the pod's container",
    names: [B, "docker", `cri-containerd-${A}.scope`, `kubepods-pod${UID_}.slice`],
    place: { kind: "container", containerId: A, runtime: "containerd", podUid: UID, qos: "guaranteed" },
  },
  {
    name: "Docker inside a container whose pod's level is not there",
    names: ["init", B, "docker", `crio-${A}.scope`],
    place: { kind: "container", containerId: A, runtime: "cri-o", podUid: undefined, qos: undefined },
  },
  {
    name: "the pod's own level",
    names: [`kubepods-burstable-pod${UID_}.slice`, "kubepods-burstable.slice", "kubepods.slice"],
    place: { kind: "pod", podUid: UID, qos: "burstable" },
  },
  {
    name: "CRI-O's monitor is not the container",
    names: [
      `crio-conmon-${A}.scope`,
      `kubepods-burstable-pod${UID_}.slice`,
      "kubepods-burstable.slice",
      "kubepods.slice",
    ],
    place: { kind: "pod", podUid: UID, qos: "burstable" },
  },
];

const PLAIN: readonly Case[] = [
  {
    name: "Docker with the systemd driver",
    names: [`docker-${A}.scope`, "system.slice"],
    place: { kind: "container", containerId: A, runtime: "docker", podUid: undefined, qos: undefined },
  },
  {
    name: "Docker with the cgroupfs driver",
    names: [A, "docker"],
    place: { kind: "container", containerId: A, runtime: "docker", podUid: undefined, qos: undefined },
  },
  {
    name: "Podman of a user",
    names: ["container", `libpod-${A}.scope`, "user.slice", "user@1000.service"],
    place: { kind: "unit", unit: "user@1000.service" },
  },
  {
    name: "Podman with the cgroupfs driver",
    names: [`libpod-${A}`, "libpod_parent"],
    place: { kind: "container", containerId: A, runtime: "podman", podUid: undefined, qos: undefined },
  },
  {
    name: "LXC",
    names: ["ssh.service", "system.slice", "lxc.payload.web"],
    place: { kind: "container", containerId: "web", runtime: "lxc", podUid: undefined, qos: undefined },
  },
  {
    name: "LXC before version 4",
    names: ["web", "lxc"],
    place: { kind: "container", containerId: "web", runtime: "lxc", podUid: undefined, qos: undefined },
  },
];

const HOST: readonly Case[] = [
  {
    name: "a system service",
    names: ["ssh.service", "system.slice"],
    place: { kind: "unit", unit: "ssh.service" },
  },
  {
    name: "an instance of a template",
    names: ["getty@tty1.service", "system-getty.slice", "system.slice"],
    place: { kind: "unit", unit: "getty@tty1.service" },
  },
  {
    name: "a level that a service made for itself",
    names: ["worker", "app.service", "system.slice"],
    place: { kind: "unit", unit: "app.service" },
  },
  { name: "the first process", names: ["init.scope"], place: { kind: "unit", unit: "init.scope" } },
  {
    name: "a login session",
    names: ["session-3.scope", "user-1000.slice", "user.slice"],
    place: { kind: "unit", unit: "session-3.scope" },
  },
  {
    name: "a user's service, whatever the user calls it, goes by the user's manager",
    names: ["web.service", "app.slice", "user@1000.service", "user-1000.slice"],
    place: { kind: "unit", unit: "user@1000.service" },
  },
  {
    name: "a user's manager",
    names: ["user@1000.service", "user-1000.slice", "user.slice"],
    place: { kind: "unit", unit: "user@1000.service" },
  },
  { name: "the root", names: ["", "", "", ""], place: { kind: "host" } },
  { name: "the root without names", names: [], place: { kind: "host" } },
  { name: "a slice alone", names: ["system.slice"], place: { kind: "unknown" } },
  { name: "a unit whose name could not be read", names: ["?", "system.slice"], place: { kind: "unknown" } },
  { name: "a directory that nobody knows", names: ["batch", "jobs"], place: { kind: "unknown" } },
  {
    name: "levels that a service made for itself",
    names: ["b", "a", "nginx.service", "system.slice"],
    place: { kind: "unit", unit: "nginx.service" },
  },
];

const POD = [
  `cri-containerd-${A}.scope`,
  `kubepods-burstable-pod${UID_}.slice`,
  "kubepods-burstable.slice",
  "kubepods.slice",
] as const;
const POD_PLACE: CgroupPlace = {
  kind: "container",
  containerId: A,
  runtime: "containerd",
  podUid: UID,
  qos: "burstable",
};
const VICTIM_UID = "deadbeef-4b5a-6978-8796-a5b4c3d2e1f0";
const VICTIM = [`cri-containerd-${B}.scope`, `kubepods-burstable-pod${VICTIM_UID.replaceAll("-", "_")}.slice`] as const;
const MANAGER: CgroupPlace = { kind: "unit", unit: "user@1000.service" };

/** What somebody can make who may make cgroups below their own. */
const FORGED: readonly Case[] = [
  { name: "another pod inside a container", names: [...VICTIM, ...POD], place: POD_PLACE },
  {
    name: "another pod as directories inside a container",
    names: [B, `pod${VICTIM_UID}`, "kubepods", ...POD],
    place: POD_PLACE,
  },
  {
    name: "another pod inside a pod's level, beside its containers",
    names: [...VICTIM, ...POD.slice(1)],
    place: { kind: "pod", podUid: UID, qos: "burstable" },
  },
  {
    name: "another container inside a Docker container",
    names: [`cri-containerd-${B}.scope`, `docker-${A}.scope`, "system.slice"],
    place: { kind: "container", containerId: A, runtime: "docker", podUid: undefined, qos: undefined },
  },
  {
    name: "a pod of a user",
    names: [...VICTIM, "app.slice", "user@1000.service", "user-1000.slice", "user.slice"],
    place: MANAGER,
  },
  {
    name: "a container of a user",
    names: [`docker-${B}.scope`, "user@1000.service", "user-1000.slice", "user.slice"],
    place: MANAGER,
  },
  {
    name: "a system service of a user",
    names: ["postgresql.service", "system.slice", "user@1000.service", "user-1000.slice", "user.slice"],
    place: MANAGER,
  },
  {
    name: "another user's manager below a user's own",
    names: ["user@0.service", "user@1000.service", "user-1000.slice", "user.slice"],
    place: MANAGER,
  },
  {
    name: "a user's manager below a system service",
    names: ["user@0.service", "app.service", "system.slice"],
    place: { kind: "unit", unit: "app.service" },
  },
  {
    name: "a pod below a level whose name could not be read",
    names: [...VICTIM, "?", "user-1000.slice", "user.slice"],
    place: { kind: "unknown" },
  },
];

describe.each([
  ["Kubernetes", KUBERNETES],
  ["containers without Kubernetes", PLAIN],
  ["systemd and the host", HOST],
  ["names that somebody chose to be taken for another", FORGED],
] as const)("%s", (_, cases) => {
  test.each(cases)("$name", ({ names, place }) => {
    expect(parseCgroup(names)).toEqual(place);
  });
});

test("any names give a place, never an error", () => {
  const part = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "kubepods",
      `pod${UID}`,
      A,
      `docker-${A}.scope`,
      "user@x.service",
      "lxc",
      "system.slice",
      "__proto__",
    ),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (names) => {
      expect(["container", "pod", "unit", "host", "unknown"]).toContain(parseCgroup(names).kind);
    }),
  );
});

test("whatever a container makes below its own level, it keeps its name", () => {
  const own = fc.oneof(fc.string(), fc.constantFrom(...VICTIM, ...POD, "user@0.service", "?", "system.slice", "lxc"));
  fc.assert(
    fc.property(fc.array(own, { maxLength: 4 }), (below) => {
      expect(parseCgroup([...below, ...POD])).toEqual(POD_PLACE);
    }),
  );
});
