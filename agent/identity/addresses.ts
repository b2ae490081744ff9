/**
 * A remote address, in an interval of time → who it was: pod, Service, node, this host, a range with a
 * name, somebody outside, or unknown.
 *
 * What owns an address best answers first: an (address, port) of a Service, then the owner by time (pod,
 * ClusterIP, node), then this host, then named ranges. Pods on the host's network share their node's
 * address, so the answer there is the node: which pod it was cannot be told from the address. Two owners in
 * one interval are told apart by nobody: the answer is their common workload or `unknown`.
 */

import type { RemoteEnd, Role } from "../model.ts";
import { parseAddress } from "../source/address.ts";
import type { EndpointSlice, Node, Pod, Service } from "./cluster.ts";
import { canonicalAddresses, inPrefix, type Prefix, parsePrefix } from "./ip.ts";
import { type Owner, type Ownership, OwnerTable } from "./owners.ts";
import { Services } from "./services.ts";

export interface RemoteAnswer {
  readonly end: RemoteEnd;
  /** `changing`: the same question about later growth may have another answer without any change here. */
  readonly state: "final" | "changing" | "missing";
}

export interface AddressOptions {
  readonly hostName: string;
  readonly hostAddresses: readonly string[];
  /** Of the own node; undefined without Kubernetes. */
  readonly nodeName: string | undefined;
  /** Name → prefixes; the longest prefix wins. */
  readonly cidrs: Readonly<Record<string, readonly string[]>>;
  readonly graceMs: number;
  readonly capacity: number;
}

type RemoteOwner = Owner &
  (
    | { readonly kind: "pod"; readonly pod: Pod; readonly end: RemoteEnd }
    | { readonly kind: "service"; readonly service: Service }
    | { readonly kind: "node"; readonly end: RemoteEnd }
  );

interface NamedPrefix extends Prefix {
  readonly name: string;
}

const LOOPBACK = prefixes("127.0.0.0/8", "::1");
/** Addresses that mean something only inside: an owner that is not known (yet) may be a pod. */
const INSIDE = prefixes(
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "fc00::/7",
  "fe80::/10",
);

export class Addresses {
  readonly #options: AddressOptions;
  readonly #owners: OwnerTable<RemoteOwner>;
  readonly #pods = new Map<string, Pod>();
  readonly #nodes = new Map<string, Node>();
  readonly #services = new Services((uid) => this.#pods.get(uid));
  readonly #cidrs: readonly NamedPrefix[];
  readonly #host: ReadonlySet<string>;
  /** Of all nodes: where pods' addresses come from. */
  #podRanges: readonly Prefix[] = [];

  constructor(options: AddressOptions) {
    this.#options = options;
    this.#owners = new OwnerTable(options.graceMs, options.capacity);
    this.#host = new Set(canonicalAddresses(options.hostAddresses));
    this.#cidrs = Object.entries(options.cidrs)
      .flatMap(([name, cidrs]) => prefixes(...cidrs).map((prefix) => ({ ...prefix, name })))
      .sort((a, b) => b.bits - a.bits);
  }

  get size(): number {
    return this.#owners.size;
  }

  /** Claims that found no room in the table: those addresses are `unknown`. */
  get refused(): number {
    return this.#owners.refused;
  }

  upsertPod(pod: Pod, atMs: number): void {
    const before = this.#pods.get(pod.uid);
    const kept = pod.hostNetwork || pod.ended ? [] : pod.addresses;
    for (const address of before?.addresses ?? []) {
      if (!kept.includes(address)) this.#owners.release(address, pod.uid, atMs);
    }
    const { uid, createdMs } = pod;
    for (const address of kept)
      this.#owners.claim(address, { kind: "pod", uid, createdMs, pod, end: podEnd(pod) }, atMs);
    this.#pods.set(uid, pod);
    if (before?.service.name !== pod.service.name || before.service.namespace !== pod.service.namespace) {
      this.#services.podsChanged();
    }
  }

  removePod(uid: string, atMs: number): void {
    for (const address of this.#pods.get(uid)?.addresses ?? []) this.#owners.release(address, uid, atMs);
    this.#pods.delete(uid);
  }

  upsertService(service: Service, atMs: number): void {
    const before = this.#services.get(service.uid);
    for (const address of before?.clusterAddresses ?? []) {
      if (!service.clusterAddresses.includes(address)) this.#owners.release(address, service.uid, atMs);
    }
    const { uid, createdMs } = service;
    for (const address of service.clusterAddresses) {
      this.#owners.claim(address, { kind: "service", uid, createdMs, service }, atMs);
    }
    this.#services.upsert(service);
  }

  removeService(uid: string, atMs: number): void {
    for (const address of this.#services.remove(uid)?.clusterAddresses ?? []) this.#owners.release(address, uid, atMs);
  }

  upsertSlice(slice: EndpointSlice): void {
    this.#services.upsertSlice(slice);
  }

  removeSlice(uid: string): void {
    this.#services.removeSlice(uid);
  }

  upsertNode(node: Node, atMs: number): void {
    for (const address of this.#nodes.get(node.uid)?.addresses ?? []) {
      if (!node.addresses.includes(address)) this.#owners.release(address, node.uid, atMs);
    }
    const { uid, createdMs } = node;
    for (const address of node.addresses) {
      this.#owners.claim(address, { kind: "node", uid, createdMs, end: nodeEnd(node.name) }, atMs);
    }
    this.#nodes.set(uid, node);
    this.#nodesChanged();
  }

  removeNode(uid: string, atMs: number): void {
    for (const address of this.#nodes.get(uid)?.addresses ?? []) this.#owners.release(address, uid, atMs);
    this.#nodes.delete(uid);
    this.#nodesChanged();
  }

  sweep(nowMs: number): void {
    this.#owners.sweep(nowMs);
  }

  /**
   * Who `address` was during (sinceMs, nowMs].
   *
   * @param serverPort the remote end's port for a client, of no use for a server
   */
  find(address: string, serverPort: number, role: Role, sinceMs: number, nowMs: number): RemoteAnswer {
    if (role === "listener") return final(NO_PEER);
    if (role === "client") {
      const service = this.#services.atAddressPort(address, serverPort);
      if (service) return final(this.#serviceEnd(service));
    }
    const ownership = this.#owners.ownerOf(address, sinceMs, nowMs);
    if (ownership.state === "none") return this.#findUnowned(address, serverPort, role);
    return this.#findOwned(ownership, address, serverPort, role);
  }

  #findOwned(ownership: Ownership<RemoteOwner>, address: string, serverPort: number, role: Role): RemoteAnswer {
    if (ownership.state === "several") return { end: commonEnd(ownership.owners, address), state: "changing" };
    if (ownership.state !== "owner") return { end: unknownEnd(address), state: "changing" };
    const state = ownership.settled ? "final" : "changing";
    const { owner } = ownership;
    if (owner.kind === "service") return { end: this.#serviceEnd(owner.service), state };
    if (owner.kind === "pod") return { end: owner.end, state };
    return { end: this.#throughNodePort(serverPort, role) ?? owner.end, state };
  }

  #findUnowned(address: string, serverPort: number, role: Role): RemoteAnswer {
    const { nodeName, hostName } = this.#options;
    const bytes = parseAddress(address);
    if (!bytes) return final(unknownEnd(address));
    if (LOOPBACK.some((prefix) => inPrefix(bytes, prefix))) return final(LOOPBACK_END);
    if (this.#host.has(address)) {
      const end = nodeName === undefined ? hostEnd(hostName) : nodeEnd(nodeName);
      return final(this.#throughNodePort(serverPort, role) ?? end);
    }
    const range = this.#cidrs.find((prefix) => inPrefix(bytes, prefix));
    if (range) return final({ ...ANONYMOUS, kind: "cidr", name: range.name, label: range.name });
    const inside = nodeName !== undefined && [...this.#podRanges, ...INSIDE].some((prefix) => inPrefix(bytes, prefix));
    if (inside) return { end: unknownEnd(address), state: "missing" };
    return final({ ...ANONYMOUS, kind: "external", label: address });
  }

  #throughNodePort(serverPort: number, role: Role): RemoteEnd | undefined {
    const service = role === "client" ? this.#services.atNodePort(serverPort) : undefined;
    return service && this.#serviceEnd(service);
  }

  #serviceEnd(service: Service): RemoteEnd {
    const { name, namespace } = this.#services.nameOf(service);
    return { kind: "service", name, namespace, podName: undefined, label: `${service.namespace}/${service.name}` };
  }

  #nodesChanged(): void {
    const cidrs = new Set([...this.#nodes.values()].flatMap(({ podCidrs }) => podCidrs));
    this.#podRanges = prefixes(...cidrs);
  }
}

const ANONYMOUS = { name: undefined, namespace: undefined, podName: undefined } as const;
const NO_PEER: RemoteEnd = { ...ANONYMOUS, kind: "unknown", label: "" };
const LOOPBACK_END: RemoteEnd = { ...ANONYMOUS, kind: "loopback", label: "localhost" };

function final(end: RemoteEnd): RemoteAnswer {
  return { end, state: "final" };
}

function podEnd(pod: Pod): RemoteEnd {
  return { kind: "pod", ...pod.service, podName: pod.name, label: `${pod.namespace}/${pod.name}` };
}

function nodeEnd(name: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "node", name, label: `node/${name}` };
}

function hostEnd(name: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "host", name, label: name };
}

function unknownEnd(address: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "unknown", label: address };
}

/** The workload that all owners belong to: a pod that was replaced by its like under the same address. */
function commonEnd(owners: readonly RemoteOwner[], address: string): RemoteEnd {
  const ends = owners.map((owner) => (owner.kind === "pod" ? owner.end : undefined));
  const [first] = ends;
  const same = ends.every((end) => end && end.name === first?.name && end.namespace === first?.namespace);
  return first && same
    ? { ...first, podName: undefined, label: `${first.namespace}/${first.name}` }
    : unknownEnd(address);
}

/** What is no prefix is left out; the configuration has refused it before. */
function prefixes(...cidrs: readonly string[]): Prefix[] {
  return cidrs.map(parsePrefix).filter((prefix) => prefix !== undefined);
}
