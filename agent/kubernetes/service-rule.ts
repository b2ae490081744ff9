/**
 * OTel's Kubernetes rule: a pod's metadata → the service attributes that its own SDK would send.
 *
 * The rule is "Specify resource attributes using Kubernetes annotations" of the semantic conventions
 * (docs/non-normative/k8s-attributes.md). Annotations come first, `app.kubernetes.io/*` labels only where
 * they were switched on, then the owners from the top down. Both ends of an edge are named by it, so that
 * `service.peer.name` at one end is `service.name` at the other.
 */
import {
  ATTR_K8S_CRONJOB_NAME,
  ATTR_K8S_DAEMONSET_NAME,
  ATTR_K8S_DEPLOYMENT_NAME,
  ATTR_K8S_JOB_NAME,
  ATTR_K8S_REPLICASET_NAME,
  ATTR_K8S_STATEFULSET_NAME,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
} from "../generated/semconv.ts";
import type { ServiceName } from "../model/cluster-objects.ts";

const ANNOTATION_PREFIX = "resource.opentelemetry.io/";
const LABEL_INSTANCE = "app.kubernetes.io/instance";
const LABEL_NAME = "app.kubernetes.io/name";
const LABEL_VERSION = "app.kubernetes.io/version";
const LABEL_TEMPLATE_HASH = "pod-template-hash";

/** More is cut off: a pod's annotations may hold 256 KiB, and all of its points carry them. */
const ANNOTATIONS_MAX = 64;
const VALUE_MAX = 1024;

type Texts = Readonly<Record<string, string>>;

/** What the rule reads of a pod. */
export interface PodMetadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Texts;
  readonly annotations: Texts;
  /** The owner reference that is the controller. */
  readonly controller: { readonly kind: string; readonly name: string } | undefined;
  readonly createdMs: number;
}

/** All attributes that annotations set, without their prefix. */
export function annotatedAttributes(annotations: Texts): Record<string, string> {
  const found: [string, string][] = [];
  for (const [key, value] of Object.entries(annotations)) {
    if (found.length === ANNOTATIONS_MAX) break;
    const name = key.startsWith(ANNOTATION_PREFIX) ? key.slice(ANNOTATION_PREFIX.length) : "";
    if (name !== "" && value !== "") found.push([name, value.slice(0, VALUE_MAX)]);
  }
  return Object.fromEntries(found);
}

/**
 * `k8s.*` names of a pod's owners, from the top down: the order in which the rule looks for a name.
 *
 * A ReplicaSet is a Deployment's when its name ends in the pod's `pod-template-hash`; a Job is a CronJob's
 * when its name ends in minutes since 1970 that lie shortly before the pod was made. Neither is watched.
 */
export function ownerAttributes(pod: PodMetadata): Record<string, string> {
  const { controller } = pod;
  switch (controller?.kind) {
    case "ReplicaSet": {
      const deployment = withoutEnding(controller.name, `-${pod.labels[LABEL_TEMPLATE_HASH] ?? ""}`);
      return {
        ...(deployment === undefined ? {} : { [ATTR_K8S_DEPLOYMENT_NAME]: deployment }),
        [ATTR_K8S_REPLICASET_NAME]: controller.name,
      };
    }
    case "Job": {
      const cronJob = cronJobOf(controller.name, pod.createdMs);
      return {
        ...(cronJob === undefined ? {} : { [ATTR_K8S_CRONJOB_NAME]: cronJob }),
        [ATTR_K8S_JOB_NAME]: controller.name,
      };
    }
    case "StatefulSet":
      return { [ATTR_K8S_STATEFULSET_NAME]: controller.name };
    case "DaemonSet":
      return { [ATTR_K8S_DAEMONSET_NAME]: controller.name };
    default:
      return {};
  }
}

function withoutEnding(name: string, ending: string): string | undefined {
  return ending.length > 1 && name.length > ending.length && name.endsWith(ending)
    ? name.slice(0, -ending.length)
    : undefined;
}

/** A run may be started late, after an outage; a month is the longest that we take for late. */
const CRONJOB_LATE_MAX_MS = 31 * 24 * 3_600_000;
const MINUTE_MS = 60_000;

function cronJobOf(job: string, createdMs: number): string | undefined {
  const [, name, minutes] = /^(.+)-(\d{8,9})$/.exec(job) ?? [];
  const lateMs = createdMs - Number(minutes) * MINUTE_MS;
  return lateMs >= -MINUTE_MS && lateMs <= CRONJOB_LATE_MAX_MS ? name : undefined;
}

/** @param wellKnownLabels the rule's opt-in for `app.kubernetes.io/*` */
export function serviceOf(pod: PodMetadata, wellKnownLabels: boolean): ServiceName {
  const annotated = annotatedAttributes(pod.annotations);
  const [topOwner] = Object.values(ownerAttributes(pod));
  const label = wellKnownLabels ? pod.labels[LABEL_INSTANCE] || pod.labels[LABEL_NAME] : undefined;
  return {
    name: annotated[ATTR_SERVICE_NAME] ?? (label || topOwner || pod.name),
    namespace: annotated[ATTR_SERVICE_NAMESPACE] ?? pod.namespace,
  };
}

/** The annotation is not looked at here: PodDetail.annotated is stronger than any of this. */
export function versionOf(pod: PodMetadata, image: string, wellKnownLabels: boolean): string | undefined {
  return (wellKnownLabels && pod.labels[LABEL_VERSION]) || imageVersion(image);
}

/**
 * Tag and digest of an image by the grammar of github.com/distribution/reference:
 * `TAG@DIGEST`, else the digest, else the tag.
 */
export function imageVersion(image: string): string | undefined {
  const match = /^[^@]*?(?::([\w][\w.-]{0,127}))?(?:@([A-Za-z][\w+.-]*:[0-9a-fA-F]{32,}))?$/.exec(image);
  if (!match) return undefined;
  const [, tag, digest] = match;
  if (tag !== undefined && digest !== undefined) return `${tag}@${digest}`;
  return digest ?? tag;
}
