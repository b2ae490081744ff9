/**
 * A remote address, in an interval of time → who it was: pod, Service, node, this host, a range with a
 * name, somebody outside, or unknown.
 *
 * What owns an address best answers first: an (address, port) of a Service, then the owner by time (pod,
 * ClusterIP, node), then this host, then named ranges. Pods on the host's network share their node's
 * address, so the answer there is the node: which pod it was cannot be told from the address. Two owners in
 * one interval are told apart by nobody: the answer is their common workload or `unknown`. Where an owner's
 * end lies in the interval, the next one is waited for, since it may have begun in it too.
 */

import { isDeepStrictEqual } from "node:util";
import type { RemoteEnd, Role } from "../model.ts";
import { parseAddress } from "../source/address.ts";
import type { Beginnings } from "./beginnings.ts";
import { addressesOf, type EndpointSlice, type Node, type Pod, type Service } from "./cluster.ts";
import { Inside } from "./inside.ts";
import { canonicalAddresses, inPrefix, type Prefix, prefixes } from "./ip.ts";
import { type Owner, type Ownership, OwnerTable } from "./owners.ts";
import { type BackingPod, Services } from "./services.ts";

export interface RemoteAnswer {
  readonly end: RemoteEnd;
  /**
   * `changing`: the same question about later growth may have another answer without any change here.
   * `ending`: the next owner may have been there in that time already; `missing`: nobody is known.
   */
  readonly state: "final" | "changing" | "ending" | "missing";
}

export interface AddressOptions {
  readonly hostName: string;
  readonly hostAddresses: readonly string[];
  /** Of the own node; undefined without Kubernetes. */
  readonly nodeName: string | undefined;
  /** Whether the pods of all nodes are told, and not only the own node's. */
  readonly allPods: boolean;
  /** Name → prefixes; the longest prefix wins. */
  readonly cidrs: Readonly<Record<string, readonly string[]>>;
  readonly graceMs: number;
  readonly capacity: number;
  readonly beginnings: Beginnings;
}

/** `end` is made anew when the pod's zone becomes known. */
type PodOwner = Owner & { readonly kind: "pod"; readonly pod: Pod; end: RemoteEnd };

type ServiceOwner = Owner & { readonly kind: "service"; readonly service: Service };

type RemoteOwner = PodOwner | ServiceOwner | (Owner & { readonly kind: "node"; readonly end: RemoteEnd });

interface KnownPod {
  readonly pod: Pod;
  /** When a watch first told of it on its node: it had no address before. */
  readonly placedMs: number;
}

/** Of growth: (sinceMs, untilMs]. */
interface Time {
  readonly sinceMs: number;
  readonly untilMs: number;
}

interface NamedPrefix extends Prefix {
  readonly name: string;
}

const LOOPBACK = prefixes("127.0.0.0/8", "::1");

export class Addresses {
  readonly #options: AddressOptions;
  readonly #owners: OwnerTable<RemoteOwner>;
  readonly #pods = new Map<string, KnownPod>();
  readonly #nodes = new Map<string, Node>();
  /** By node name. */
  readonly #zones = new Map<string, string>();
  readonly #services: Services;
  /** By portsOf(): Services that had an (address, port) or node port until lately. */
  readonly #formerPorts: OwnerTable<ServiceOwner>;
  readonly #cidrs: readonly NamedPrefix[];
  readonly #host: ReadonlySet<string>;
  readonly #inside = new Inside(this.#nodes);

  constructor(options: AddressOptions) {
    this.#options = options;
    this.#services = new Services((uid) => this.#backingPod(uid), options.allPods);
    this.#owners = new OwnerTable(options.graceMs, options.capacity);
    this.#formerPorts = new OwnerTable(options.graceMs, options.capacity);
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
    const known = this.#pods.get(pod.uid);
    const before = known?.pod;
    const { uid, createdMs, terminating } = pod;
    const placedMs = before === undefined || before.node === "" ? atMs : (known?.placedMs ?? atMs);
    const end = podEnd(pod, this.#zones.get(pod.node));
    const owner: PodOwner = { kind: "pod", uid, createdMs, terminating, pod, end };
    const had = before ? addressesOf(before) : [];
    this.#own(owner, had, addressesOf(pod), atMs, placedMs);
    this.#inside.podChanged(had, addressesOf(pod));
    // One that lived so shortly that its address is told of with its end.
    const isLate = pod.ended && !pod.hostNetwork && before?.ended === false && before.addresses.length === 0;
    if (isLate) for (const address of pod.addresses) this.#owners.addFormer(address, owner, placedMs, atMs);
    this.#pods.set(uid, { pod, placedMs });
    const isSame = before?.node === pod.node && isDeepStrictEqual(before.service, pod.service);
    if (!isSame) this.#services.podsChanged(atMs);
  }

  #backingPod(uid: string): BackingPod | undefined {
    const pod = this.#pods.get(uid)?.pod;
    return pod && { service: pod.service, zone: this.#zones.get(pod.node) };
  }

  removePod(uid: string, atMs: number): void {
    const pod = this.#pods.get(uid)?.pod;
    if (!pod) return;
    for (const address of addressesOf(pod)) this.#owners.release(address, uid, atMs);
    this.#inside.podChanged(addressesOf(pod), []);
    this.#pods.delete(uid);
  }

  upsertService(service: Service, atMs: number): void {
    const before = this.#services.get(service.uid);
    const owner = serviceOwner(service);
    if (before) this.#endService(before, service, atMs);
    this.#own(owner, before?.clusterAddresses, service.clusterAddresses, atMs, atMs);
    this.#services.upsert(service);
  }

  removeService(uid: string, atMs: number): void {
    const before = this.#services.get(uid);
    if (before) this.#endService(before, undefined, atMs);
    this.#services.remove(uid);
  }

  /** Ends what `after` has no more, under the name that it went by. */
  #endService(before: Service, after: Service | undefined, atMs: number): void {
    const owner = serviceOwner({ ...before, goesBy: this.#services.naming(before) });
    for (const address of before.clusterAddresses) {
      if (after?.clusterAddresses.includes(address)) continue;
      this.#owners.renew(address, owner);
      this.#owners.release(address, before.uid, atMs);
    }
    const kept = new Set(after && portsOf(after));
    for (const port of portsOf(before)) if (!kept.has(port)) this.#formerPorts.addFormer(port, owner, -Infinity, atMs);
  }

  upsertSlice(slice: EndpointSlice, atMs: number): void {
    this.#services.upsertSlice(slice, atMs);
  }

  removeSlice(uid: string, atMs: number): void {
    this.#services.removeSlice(uid, atMs);
  }

  upsertNode(node: Node, atMs: number): void {
    const { uid, createdMs } = node;
    const owner = { kind: "node", uid, createdMs, end: nodeEnd(node.name, node.zone) } as const;
    this.#own(owner, this.#nodes.get(uid)?.addresses, node.addresses, atMs, atMs);
    this.#nodes.set(uid, node);
    if (node.zone !== "") this.#zones.set(node.name, node.zone);
    this.#nodesChanged(atMs);
  }

  removeNode(uid: string, atMs: number): void {
    const node = this.#nodes.get(uid);
    if (!node) return;
    for (const address of node.addresses) this.#owners.release(address, uid, atMs);
    this.#nodes.delete(uid);
    // After an outage, a node that was made anew under its name may be told of before the old one's end.
    const namesakes = [...this.#nodes.values()].filter(({ name }) => name === node.name);
    if (namesakes.length === 0) this.#zones.delete(node.name);
    this.#nodesChanged(atMs);
  }

  #own(
    owner: RemoteOwner,
    before: readonly string[] = [],
    after: readonly string[],
    atMs: number,
    fromMs: number,
  ): void {
    for (const address of before) if (!after.includes(address)) this.#owners.release(address, owner.uid, atMs);
    for (const address of after) {
      if (before.includes(address)) this.#owners.renew(address, owner);
      else this.#owners.claim(address, owner, atMs, fromMs);
    }
  }

  sweep(nowMs: number): void {
    this.#owners.sweep(nowMs);
    this.#formerPorts.sweep(nowMs);
  }

  /**
   * Who `address` was during (sinceMs, untilMs].
   *
   * @param serverPort the remote end's port for a client, of no use for a server
   */
  find(address: string, serverPort: number, role: Role, sinceMs: number, untilMs: number): RemoteAnswer {
    if (role === "listener") return final(NO_PEER);
    const time = { sinceMs, untilMs };
    if (role === "client") {
      const service = this.#services.atAddressPort(address, serverPort);
      const answer = this.#portAnswer(service, `${address} ${serverPort}`, address, time);
      if (answer) return answer;
    }
    const ownership = this.#owners.ownerOf(address, sinceMs, untilMs);
    if (ownership.state === "none") return this.#findUnowned(address, serverPort, role, time);
    return this.#findOwned(ownership, address, serverPort, role, time);
  }

  #findOwned(
    ownership: Ownership<RemoteOwner>,
    address: string,
    serverPort: number,
    role: Role,
    time: Time,
  ): RemoteAnswer {
    if (ownership.state === "forgotten" || ownership.state === "none") return unknown(address);
    const owners = ownership.state === "several" ? ownership.owners : [ownership.owner];
    if (owners.every((each) => this.#isDoubtful(each, time))) return unknown(address);
    if (ownership.state === "several") return { end: this.#commonEnd(owners, address), state: "changing" };
    const { owner, settled, ending } = ownership;
    const answer = this.#answerOf(owner, address, serverPort, role, time);
    if (ending || (settled && owner.kind === "pod" && owner.pod.terminating)) return { ...answer, state: "ending" };
    return settled ? answer : { ...answer, state: "changing" };
  }

  #answerOf(owner: RemoteOwner, address: string, serverPort: number, role: Role, time: Time): RemoteAnswer {
    if (owner.kind === "service") return this.#serviceAnswer(owner.service, time);
    if (owner.kind === "pod") return final(this.#podEnd(owner));
    return this.#throughNodePort(address, serverPort, role, time) ?? final(owner.end);
  }

  #isDoubtful(owner: RemoteOwner, { sinceMs }: Time): boolean {
    const podFeed = this.#options.allPods ? "pods" : "local-pods";
    const feed = { pod: podFeed, service: "services", node: "nodes" } as const;
    return this.#options.beginnings.isDoubtful(feed[owner.kind], owner, sinceMs);
  }

  /** With the zone of its node, which may be told later than the pod, and may be gone before it. */
  #podEnd(owner: PodOwner): RemoteEnd {
    const zone = this.#zones.get(owner.pod.node);
    if (zone !== undefined && zone !== owner.end.zone) owner.end = podEnd(owner.pod, zone);
    return owner.end;
  }

  /** The workload that all owners belong to: a pod that was replaced by its like under the same address. */
  #commonEnd(owners: readonly RemoteOwner[], address: string): RemoteEnd {
    const ends = owners.map((owner) => (owner.kind === "pod" ? this.#podEnd(owner) : undefined));
    const [first] = ends;
    if (!first?.name || !ends.every((end) => end && end.name === first.name && end.namespace === first.namespace)) {
      return unknownEnd(address);
    }
    const zone = ends.every((end) => end?.zone === first.zone) ? first.zone : undefined;
    // One that was made again under its name is as good as the same.
    if (ends.every((end) => end?.podName === first.podName)) return { ...first, zone };
    return { ...first, podName: undefined, zone, label: `${first.namespace}/${first.name}` };
  }

  #findUnowned(address: string, serverPort: number, role: Role, time: Time): RemoteAnswer {
    const { nodeName, hostName } = this.#options;
    const bytes = parseAddress(address);
    if (!bytes) return final(unknownEnd(address));
    if (LOOPBACK.some((prefix) => inPrefix(bytes, prefix))) return final(LOOPBACK_END);
    if (this.#host.has(address)) {
      const end = nodeName === undefined ? hostEnd(hostName) : nodeEnd(nodeName, this.#zones.get(nodeName));
      return this.#throughNodePort(address, serverPort, role, time) ?? final(end);
    }
    const range = this.#cidrs.find((prefix) => inPrefix(bytes, prefix));
    if (range) return final({ ...ANONYMOUS, kind: "cidr", name: range.name, label: range.name });
    if (this.#inside.holds(bytes)) {
      return { end: unknownEnd(address), state: nodeName === undefined ? "final" : "missing" };
    }
    return final({ ...ANONYMOUS, kind: "external", label: address });
  }

  #throughNodePort(address: string, serverPort: number, role: Role, time: Time): RemoteAnswer | undefined {
    if (role !== "client") return undefined;
    return this.#portAnswer(this.#services.atNodePort(serverPort), `${serverPort}`, address, time);
  }

  /** @param service that has the port now */
  #portAnswer(service: Service | undefined, port: string, address: string, time: Time): RemoteAnswer | undefined {
    const former = this.#formerPorts.ownerOf(port, time.sinceMs, time.untilMs);
    if (former.state === "none" || former.state === "forgotten") {
      if (service && this.#isDoubtful(serviceOwner(service), time)) return unknown(address);
      return service && this.#serviceAnswer(service, time);
    }
    if (former.state === "owner" && (service === undefined || service.uid === former.owner.uid)) {
      return { ...this.#serviceAnswer(former.owner.service, time), state: "changing" };
    }
    return unknown(address);
  }

  #serviceAnswer(service: Service, { sinceMs }: Time): RemoteAnswer {
    const { peer, replacedMs } = this.#services.naming(service);
    const label = `${service.namespace}/${service.name}`;
    const end = { kind: "service", podName: undefined, zone: peer.zone, label } as const;
    // Of growth from before, nobody can say which of the two workloads it belongs to.
    if (replacedMs > sinceMs) {
      return { end: { ...end, name: service.name, namespace: service.namespace }, state: "changing" };
    }
    return final({ ...end, name: peer.name, namespace: peer.namespace });
  }

  #nodesChanged(atMs: number): void {
    this.#inside.nodesChanged();
    this.#services.podsChanged(atMs);
  }
}

const ANONYMOUS = { name: undefined, namespace: undefined, podName: undefined } as const;
const NO_PEER: RemoteEnd = { ...ANONYMOUS, kind: "unknown", label: "" };
const LOOPBACK_END: RemoteEnd = { ...ANONYMOUS, kind: "loopback", label: "localhost" };

function final(end: RemoteEnd): RemoteAnswer {
  return { end, state: "final" };
}

/** For this growth. */
function unknown(address: string): RemoteAnswer {
  return { end: unknownEnd(address), state: "changing" };
}

function serviceOwner(service: Service): ServiceOwner {
  return { kind: "service", uid: service.uid, createdMs: service.createdMs, service };
}

/** Keys of what only a port of an address, or of every node, is a Service's. */
function portsOf({ externalAddresses, ports, nodePorts }: Service): string[] {
  return [
    ...externalAddresses.flatMap((address) => ports.map((port) => `${address} ${port}`)),
    ...nodePorts.map(String),
  ];
}

function podEnd(pod: Pod, zone: string | undefined): RemoteEnd {
  return { kind: "pod", ...pod.service, podName: pod.name, zone, label: `${pod.namespace}/${pod.name}` };
}

function nodeEnd(name: string, zone: string | undefined): RemoteEnd {
  return { ...ANONYMOUS, kind: "node", name, zone: zone || undefined, label: `node/${name}` };
}

function hostEnd(name: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "host", name, label: name };
}

function unknownEnd(address: string): RemoteEnd {
  return { ...ANONYMOUS, kind: "unknown", label: address };
}
