/**
 * A remote address, in an interval of time → who it was: pod, Service, node, this host, a range with a
 * name, somebody outside, or unknown.
 *
 * What owns an address best answers first: an (address, port) of a Service, then the owner by time (pod,
 * ClusterIP, node; an endpoint written by hand comes before a node), then this host, then named ranges. Pods on the host's network share their node's
 * address, so the answer there is the node: which pod it was cannot be told from the address. Two owners in
 * one interval are told apart by nobody: the answer is their common workload or `unknown`. Where an owner's
 * end lies in the interval, the next one is waited for, since it may have begun in it too.
 */

import { isDeepStrictEqual } from "node:util";
import { addressesOf, type EndpointSlice, type Node, type Pod, type Service } from "../../model/cluster-objects.ts";
import type { Role } from "../../model/edge.ts";
import type { RemoteEnd } from "../../model/names.ts";
import { parseAddress } from "../../shared/address.ts";
import { canonicalAddresses, inPrefix, type Prefix, prefixes } from "../../shared/prefix.ts";
import { type Beginnings, BOOT_MS } from "../beginnings.ts";
import { type Owner, type Ownership, OwnerTable } from "../owners.ts";
import { Inside } from "./inside.ts";
import {
  commonEnd,
  externalEnd,
  hostEnd,
  LOOPBACK_END,
  NO_PEER,
  nodeEnd,
  podEnd,
  rangeEnd,
  serviceEnd,
  unknownEnd,
} from "./remote-ends.ts";
import { type BackingPod, endpointKey, endpointKeys, portKeys, Services } from "./services.ts";

export interface RemoteAnswer {
  readonly end: RemoteEnd;
  /**
   * `changing`: the same question about later growth may have another answer without any change here.
   * `ending`: the next owner may have been there in that time already; `missing`: nobody is known who has the address.
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
    const pods = {
      byUid: (uid: string) => this.#backingPod(this.#pods.get(uid)?.pod),
      byAddress: (address: string) => this.#podAt(address),
    };
    this.#services = new Services(pods, options.allPods);
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
    const { beginnings, allPods } = this.#options;
    const fromMs = beginnings.earliestMs(allPods ? "pods" : "local-pods", atMs);
    const placedMs = before === undefined || before.node === "" ? fromMs : (known?.placedMs ?? fromMs);
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

  #podAt(address: string): BackingPod | undefined {
    const [owner, ...others] = this.#owners.ownersOf(address);
    return owner?.kind === "pod" && others.length === 0 ? this.#backingPod(owner.pod) : undefined;
  }

  #backingPod(pod: Pod | undefined): BackingPod | undefined {
    return pod && { service: pod.service, zone: this.#zones.get(pod.node) };
  }

  removePod(uid: string, atMs: number): void {
    const pod = this.#pods.get(uid)?.pod;
    if (!pod) return;
    for (const address of addressesOf(pod)) this.#release(address, uid, atMs);
    this.#inside.podChanged(addressesOf(pod), []);
    this.#pods.delete(uid);
  }

  upsertService(service: Service, atMs: number): void {
    const before = this.#services.get(service.uid);
    const owner = serviceOwner(service);
    if (before) this.#endService(before, service, atMs);
    const fromMs = this.#options.beginnings.earliestMs("services", atMs);
    this.#own(owner, before?.clusterAddresses, service.clusterAddresses, atMs, fromMs);
    this.#services.upsert(service);
  }

  removeService(uid: string, atMs: number): void {
    const before = this.#services.get(uid);
    if (before) this.#endService(before, undefined, atMs);
    this.#services.remove(uid);
  }

  /** Ends what `after` has no more, under the name that it went by. */
  #endService(before: Service, after: Service | undefined, atMs: number): void {
    const owner = this.#ending(before);
    for (const address of before.clusterAddresses) {
      if (after?.clusterAddresses.includes(address)) continue;
      this.#owners.renew(address, owner);
      this.#release(address, before.uid, atMs);
    }
    const kept = new Set(after && portsOf(after));
    for (const port of portsOf(before)) if (!kept.has(port)) this.#formerPorts.addFormer(port, owner, -Infinity, atMs);
  }

  upsertSlice(slice: EndpointSlice, atMs: number): void {
    this.#endEndpoints(slice.uid, slice, atMs);
    this.#services.upsertSlice(slice, atMs);
  }

  removeSlice(uid: string, atMs: number): void {
    this.#endEndpoints(uid, undefined, atMs);
    this.#services.removeSlice(uid, atMs);
  }

  /** Ends the ports that `after` gives to its Service no more. */
  #endEndpoints(uid: string, after: EndpointSlice | undefined, atMs: number): void {
    const before = this.#services.slice(uid);
    if (!before) return;
    const isSame = after?.service === before.service && after.namespace === before.namespace;
    const kept = new Set(isSame ? endpointKeys(after) : []);
    for (const key of endpointKeys(before)) {
      const service = kept.has(key) ? undefined : this.#services.ofSlice(key, uid);
      if (service) this.#formerPorts.addFormer(key, this.#ending(service), -Infinity, atMs);
    }
  }

  /** The Service as an owner whose time is over, under the name that it goes by. */
  #ending(service: Service): ServiceOwner {
    return serviceOwner({ ...service, goesBy: this.#services.naming(service) });
  }

  upsertNode(node: Node, atMs: number): void {
    const { uid, createdMs } = node;
    const owner = { kind: "node", uid, createdMs, end: nodeEnd(node.name, node.zone) } as const;
    const fromMs = this.#options.beginnings.earliestMs("nodes", atMs);
    this.#own(owner, this.#nodes.get(uid)?.addresses, node.addresses, atMs, fromMs);
    this.#nodes.set(uid, node);
    if (node.zone !== "") this.#zones.set(node.name, node.zone);
    this.#nodesChanged(atMs);
  }

  removeNode(uid: string, atMs: number): void {
    const node = this.#nodes.get(uid);
    if (!node) return;
    for (const address of node.addresses) this.#release(address, uid, atMs);
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
    for (const address of before) if (!after.includes(address)) this.#release(address, owner.uid, atMs);
    for (const address of after) {
      if (before.includes(address)) this.#owners.renew(address, owner);
      else {
        const claim = () => this.#owners.claim(address, owner, atMs, fromMs);
        this.#services.whenOwnerChanges(address, atMs, claim);
      }
    }
  }

  #release(address: string, uid: string, atMs: number): void {
    this.#services.whenOwnerChanges(address, atMs, () => this.#owners.release(address, uid, atMs));
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
      const answer = this.#atAddressPort(`${address} ${serverPort}`, address, time);
      if (answer) return answer;
    }
    const ownership = this.#owners.ownerOf(address, sinceMs, untilMs);
    if (role === "client" && mayBeEndpoint(ownership)) {
      const answer = this.#atAddressPort(endpointKey(address, serverPort), address, time);
      if (answer) return ownership.state === "none" ? this.#unlessPod(answer, address) : answer;
    }
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
    const fromMs = ownership.state === "owner" ? ownership.fromMs : BOOT_MS;
    if (owners.every((each) => this.#isDoubtful(each, fromMs, time))) return unknown(address);
    if (ownership.state === "several") {
      const state = ownership.settled ? "final" : "changing";
      const isNodes = owners.every(({ kind }) => kind === "node");
      const atPort = isNodes ? this.#throughNodePort(address, serverPort, role, time) : undefined;
      const end = commonEnd(owners.map((owner) => this.#ownEnd(owner))) ?? unknownEnd(address);
      return atPort ?? { end, state };
    }
    const { owner, settled, ending } = ownership;
    const answer = this.#answerOf(owner, address, serverPort, role, time);
    if (ending || (settled && owner.terminating)) return { ...answer, state: "ending" };
    return settled ? answer : { ...answer, state: "changing" };
  }

  #answerOf(owner: RemoteOwner, address: string, serverPort: number, role: Role, time: Time): RemoteAnswer {
    if (owner.kind === "service") return this.#serviceAnswer(owner.service, time);
    if (owner.kind === "pod") return final(this.#podEnd(owner));
    return this.#throughNodePort(address, serverPort, role, time) ?? final(owner.end);
  }

  #isDoubtful(owner: RemoteOwner, fromMs: number, { sinceMs }: Time): boolean {
    const podFeed = this.#options.allPods ? "pods" : "local-pods";
    const feed = { pod: podFeed, service: "services", node: "nodes" } as const;
    return this.#options.beginnings.isDoubtful(feed[owner.kind], owner, fromMs, sinceMs);
  }

  /** With the zone of its node, which may be told later than the pod, and may be gone before it. */
  #podEnd(owner: PodOwner): RemoteEnd {
    const zone = this.#zones.get(owner.pod.node);
    if (zone !== undefined && zone !== owner.end.zone) owner.end = podEnd(owner.pod, zone);
    return owner.end;
  }

  /** Under the name that does not depend on what is behind it. */
  #ownEnd(owner: RemoteOwner): RemoteEnd {
    if (owner.kind === "pod") return this.#podEnd(owner);
    return owner.kind === "service" ? serviceEnd(owner.service, owner.service, undefined) : owner.end;
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
    if (range) return final(rangeEnd(range.name));
    if (this.#inside.holds(bytes)) {
      return { end: unknownEnd(address), state: nodeName === undefined ? "final" : "missing" };
    }
    return final(externalEnd(address));
  }

  /** Of an address that may be a pod's, whose status is not there yet. */
  #unlessPod(answer: RemoteAnswer, address: string): RemoteAnswer {
    const bytes = parseAddress(address);
    const mayBePod = this.#options.nodeName !== undefined && bytes !== undefined && this.#inside.holds(bytes);
    return mayBePod && answer.state === "final" ? { ...answer, state: "missing" } : answer;
  }

  #throughNodePort(address: string, serverPort: number, role: Role, time: Time): RemoteAnswer | undefined {
    if (role !== "client") return undefined;
    return this.#portAnswer(this.#services.atNodePort(serverPort), `${serverPort}`, address, time);
  }

  #atAddressPort(key: string, address: string, time: Time): RemoteAnswer | undefined {
    return this.#portAnswer(this.#services.atAddressPort(key), key, address, time);
  }

  /** @param service that has the port now */
  #portAnswer(service: Service | undefined, port: string, address: string, time: Time): RemoteAnswer | undefined {
    const former = this.#formerPorts.ownerOf(port, time.sinceMs, time.untilMs);
    if (former.state === "none" || former.state === "forgotten") {
      if (service && this.#isDoubtful(serviceOwner(service), BOOT_MS, time)) return unknown(address);
      return service && this.#serviceAnswer(service, time);
    }
    const isFormer = former.state === "owner" && former.untilMs > time.untilMs;
    if (former.state === "owner" && (isFormer || service === undefined || service.uid === former.owner.uid)) {
      return { ...this.#serviceAnswer(former.owner.service, time), state: "changing" };
    }
    return unknown(address);
  }

  #serviceAnswer(service: Service, { sinceMs }: Time): RemoteAnswer {
    const { peer, replacedMs } = this.#services.naming(service);
    // Of growth from before, nobody can say which of the two workloads it belongs to.
    if (replacedMs > sinceMs) return { end: serviceEnd(service, service, peer.zone), state: "changing" };
    return final(serviceEnd(service, peer, peer.zone));
  }

  #nodesChanged(atMs: number): void {
    this.#inside.nodesChanged();
    this.#services.podsChanged(atMs);
  }
}

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
  return [...portKeys(externalAddresses, ports), ...nodePorts.map(String)];
}

/** An endpoint that was written by hand stands for an address that no pod and no Service has. */
function mayBeEndpoint(ownership: Ownership<RemoteOwner>): boolean {
  if (ownership.state === "owner") return ownership.owner.kind === "node";
  if (ownership.state === "several") return ownership.owners.every(({ kind }) => kind === "node");
  return ownership.state === "none";
}
