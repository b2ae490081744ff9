/** The values that each workload of the chart has: image, account, resources, scheduling and what is added to its pods. */
import { anyObject, choice, flag, named, objects, resources, text, texts, type Value } from "./value.ts";

export function imageValues(workload: string, repository: string): Value[] {
  return [
    {
      path: `${workload}.image.repository`,
      schema: text,
      default: repository,
      description: "Name of the image, without a tag. deploy/Dockerfile builds it.",
    },
    {
      path: `${workload}.image.tag`,
      schema: text,
      default: "",
      description: "Tag of the image. Empty: the chart's appVersion.",
    },
    {
      path: `${workload}.image.digest`,
      schema: { type: "string", pattern: "^(sha256:[0-9a-f]{64})?$" },
      default: "",
      description: "Digest of the image, sha256:…. It takes the place of the tag.",
    },
    {
      path: `${workload}.image.pullPolicy`,
      schema: choice("", "Always", "IfNotPresent", "Never"),
      default: "",
      description: "imagePullPolicy. Empty: as Kubernetes decides.",
    },
  ];
}

export interface WorkloadDefaults {
  readonly resources: object;
  readonly tolerations: readonly object[];
  readonly updateStrategy: object;
}

export function workloadValues(workload: string, defaults: WorkloadDefaults): Value[] {
  return [
    {
      path: `${workload}.serviceAccount.create`,
      schema: flag,
      default: true,
      description: "Make the service account. Without it `serviceAccount.name` must name one that exists.",
    },
    {
      path: `${workload}.serviceAccount.name`,
      schema: text,
      default: "",
      description: "Name of the service account. Empty: the workload's own name.",
    },
    {
      path: `${workload}.serviceAccount.annotations`,
      schema: texts,
      default: {},
      description: "Annotations of the service account.",
    },
    {
      path: `${workload}.seccompProfile`,
      schema: anyObject,
      default: { type: "RuntimeDefault" },
      description:
        "Seccomp profile of the pods. deploy/manifests/README.md has narrower ones, and says which runtimes need one for the probe.",
    },
    {
      path: `${workload}.appArmorProfile`,
      schema: anyObject,
      default: {},
      description:
        "AppArmor profile of the pods (Kubernetes 1.30). Empty: the runtime's own. deploy/apparmor has narrower ones, which each node must have loaded.",
    },
    {
      path: `${workload}.resources`,
      schema: resources,
      default: defaults.resources,
      description: "Requests and limits of the container.",
    },
    {
      path: `${workload}.updateStrategy`,
      schema: anyObject,
      default: defaults.updateStrategy,
      description: "How pods are replaced. The kernel goes on counting meanwhile, so nothing is lost.",
    },
    { path: `${workload}.podLabels`, schema: texts, default: {}, description: "More labels of the pods." },
    { path: `${workload}.podAnnotations`, schema: texts, default: {}, description: "More annotations of the pods." },
    ...schedulingValues(workload, defaults.tolerations),
    {
      path: `${workload}.extraEnv`,
      schema: named,
      default: [],
      description: "More environment variables of the container.",
    },
    {
      path: `${workload}.extraVolumes`,
      schema: named,
      default: [],
      description: "More volumes of the pods.",
    },
    {
      path: `${workload}.extraVolumeMounts`,
      schema: named,
      default: [],
      description: "More mounts of the container.",
    },
  ];
}

function schedulingValues(workload: string, tolerations: readonly object[]): Value[] {
  return [
    {
      path: `${workload}.nodeSelector`,
      schema: texts,
      default: { "kubernetes.io/os": "linux" },
      description: "Labels that a node must have. Entries are added to the default's.",
    },
    {
      path: `${workload}.tolerations`,
      schema: objects,
      default: tolerations,
      description: "Taints that the pods tolerate.",
    },
    { path: `${workload}.affinity`, schema: anyObject, default: {}, description: "Affinity of the pods." },
  ];
}
