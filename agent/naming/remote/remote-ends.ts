/**
 * Remote ends of each kind, from what the tables hold of their owner.
 */

import type { Pod, ServiceName } from "../../model/cluster-objects.ts";
import type { RemoteEnd } from "../../model/names.ts";

const ANONYMOUS = { name: undefined, namespace: undefined, podName: undefined } as const;
export const NO_PEER: RemoteEnd = { ...ANONYMOUS, kind: "unknown", label: "" };
export const LOOPBACK_END: RemoteEnd = { ...ANONYMOUS, kind: "loopback", label: "localhost" };

/** One for each pod of the cluster: without a spread all fields lie in the object, and a joined text is one piece. */
export function podEnd({ service, namespace, name: podName, node }: Pod, zone: string | undefined): RemoteEnd {
  const label = [namespace, podName].join("/");
  const nodeName = node || undefined;
  return { kind: "pod", name: service.name, namespace: service.namespace, podName, zone, nodeName, label };
}

export function serviceEnd(
  service: ServiceName,
  { name, namespace }: ServiceName,
  { zone, nodeName }: Pick<RemoteEnd, "zone" | "nodeName"> = {},
): RemoteEnd {
  const label = `${service.namespace}/${service.name}`;
  return { kind: "service", name, namespace, podName: undefined, zone, nodeName, label };
}

export function nodeEnd(name: string, zone: string | undefined): RemoteEnd {
  return { ...ANONYMOUS, kind: "node", name, zone: zone || undefined, nodeName: name, label: `node/${name}` };
}

export function hostEnd(name: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "host", name, label: name };
}

export function unknownEnd(address: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "unknown", label: address };
}

export function rangeEnd(name: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "cidr", name, label: name };
}

export function externalEnd(address: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "external", label: address };
}

/**
 * What all of several ends are: the workload of a pod that was replaced by its like, the node or Service that was
 * made again under its name.
 *
 * @returns undefined where they cannot be told apart
 */
export function commonEnd(ends: readonly RemoteEnd[]): RemoteEnd | undefined {
  const [first] = ends;
  if (!first) return undefined;
  const isCommon = ends.every(
    ({ kind, name, namespace }) => kind === first.kind && name === first.name && namespace === first.namespace,
  );
  if (!isCommon) return undefined;
  const zone = ends.every((end) => end.zone === first.zone) ? first.zone : undefined;
  const nodeName = ends.every((end) => end.nodeName === first.nodeName) ? first.nodeName : undefined;
  if (ends.every((end) => end.podName === first.podName)) return { ...first, zone, nodeName };
  return { ...first, podName: undefined, zone, nodeName, label: `${first.namespace}/${first.name}` };
}
