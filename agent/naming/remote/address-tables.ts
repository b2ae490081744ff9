/**
 * Changes of the cluster → who has had which address, and which port of it, when.
 *
 * Pods, ClusterIPs and nodes own addresses; a Service may own a port alone. What ends is kept for a while, since growth
 * is reported after it happened. The answers are made in addresses.ts.
 */
import { isDeepStrictEqual } from "node:util";
import { addressesOf, type EndpointSlice, type Node, type Pod, type Service } from "../../model/cluster-objects.ts";
import type { RemoteEnd } from "../../model/names.ts";
import { terminatingSince } from "../claims.ts";
import { type Owner, OwnerTable } from "../owners.ts";
import type { WatchStart } from "../watch-start.ts";
import { PodRanges } from "./pod-ranges.ts";
import { nodeEnd, podEnd } from "./remote-ends.ts";
import { type BackingPod, endpointKeys, portKeys, Services } from "./services.ts";

export interface AddressTableOptions {
  /** Whether the pods of all nodes are reported, and not only the own node's. */
  readonly allPods: boolean;
  readonly graceMs: number;
  readonly capacity: number;
  readonly watchStart: WatchStart;
}

export type PodOwner = Owner & {
  readonly kind: "pod";
  readonly pod: Pod;
  /** When a watch first reported it on its node: it had no address before. */
  readonly placedMs: number;
  /** Made anew when the pod's zone becomes known. */
  end: RemoteEnd;
};

export type ServiceOwner = Owner & { readonly kind: "service"; readonly service: Service };

export type RemoteOwner = PodOwner | ServiceOwner | (Owner & { readonly kind: "node"; readonly end: RemoteEnd });

export class AddressTables {
  readonly #options: AddressTableOptions;
  readonly #pods = new Map<string, PodOwner>();
  readonly #nodes = new Map<string, Node>();
  readonly #zones = new Map<string, string>();
  /** By address. */
  readonly owners: OwnerTable<RemoteOwner>;
  readonly services: Services;
  /** By portsOf(): Services that had an (address, port) or node port until lately. */
  readonly formerPorts: OwnerTable<ServiceOwner>;
  readonly podRanges = new PodRanges(this.#nodes);

  constructor(options: AddressTableOptions) {
    this.#options = options;
    const pods = {
      byUid: (uid: string) => this.#backingPod(this.#pods.get(uid)?.pod),
      byAddress: (address: string) => this.#podAt(address),
    };
    this.services = new Services(pods, options.allPods);
    this.owners = new OwnerTable(options.graceMs, options.capacity);
    this.formerPorts = new OwnerTable(options.graceMs, options.capacity);
  }

  get size(): number {
    return this.owners.size;
  }

  /** Claims that found no room in the table: those addresses are `unknown`. */
  get refused(): number {
    return this.owners.refused;
  }

  /** Of a node, by its name. */
  zoneOf(nodeName: string): string | undefined {
    return this.#zones.get(nodeName);
  }

  upsertPod(pod: Pod, atMs: number): void {
    const known = this.#pods.get(pod.uid);
    const before = known?.pod;
    const { uid, createdMs } = pod;
    const { watchStart, allPods } = this.#options;
    const fromMs = watchStart.earliestMs(allPods ? "pods" : "local-pods", atMs);
    const placedMs = before === undefined || before.node === "" ? fromMs : (known?.placedMs ?? fromMs);
    const terminatingMs = terminatingSince(pod, known?.terminatingMs, fromMs);
    const end = podEnd(pod, this.#zones.get(pod.node));
    const owner: PodOwner = { kind: "pod", uid, createdMs, terminatingMs, pod, placedMs, end };
    const had = before ? addressesOf(before) : [];
    this.#own(owner, had, addressesOf(pod), atMs, placedMs);
    this.podRanges.podChanged(had, addressesOf(pod));
    // One that lived so shortly that its address is reported with its end.
    const isLate = pod.ended && !pod.hostNetwork && before?.ended === false && before.addresses.length === 0;
    if (isLate) for (const address of pod.addresses) this.owners.addFormer(address, owner, placedMs, atMs);
    this.#pods.set(uid, owner);
    const isSame = before?.node === pod.node && isDeepStrictEqual(before.service, pod.service);
    if (!isSame) this.services.podsChanged(atMs);
  }

  #podAt(address: string): BackingPod | undefined {
    const [owner, ...others] = this.owners.ownersOf(address);
    return owner?.kind === "pod" && others.length === 0 ? this.#backingPod(owner.pod) : undefined;
  }

  #backingPod(pod: Pod | undefined): BackingPod | undefined {
    return pod && { service: pod.service, zone: this.#zones.get(pod.node), nodeName: pod.node || undefined };
  }

  removePod(uid: string, atMs: number): void {
    const pod = this.#pods.get(uid)?.pod;
    if (!pod) return;
    for (const address of addressesOf(pod)) this.#release(address, uid, atMs);
    this.podRanges.podChanged(addressesOf(pod), []);
    this.#pods.delete(uid);
  }

  upsertService(service: Service, atMs: number): void {
    const before = this.services.get(service.uid);
    const owner = serviceOwner(service);
    if (before) this.#endService(before, service, atMs);
    const fromMs = this.#options.watchStart.earliestMs("services", atMs);
    this.#own(owner, before?.clusterAddresses, service.clusterAddresses, atMs, fromMs);
    this.services.upsert(service);
  }

  removeService(uid: string, atMs: number): void {
    const before = this.services.get(uid);
    if (before) this.#endService(before, undefined, atMs);
    this.services.remove(uid);
  }

  /** Ends what `after` has no more, under the name that it went by. */
  #endService(before: Service, after: Service | undefined, atMs: number): void {
    const owner = this.#ending(before);
    for (const address of before.clusterAddresses) {
      if (after?.clusterAddresses.includes(address)) continue;
      this.owners.renew(address, owner);
      this.#release(address, before.uid, atMs);
    }
    const kept = new Set(after && portsOf(after));
    for (const port of portsOf(before)) if (!kept.has(port)) this.formerPorts.addFormer(port, owner, -Infinity, atMs);
  }

  upsertSlice(slice: EndpointSlice, atMs: number): void {
    this.#endEndpoints(slice.uid, slice, atMs);
    this.services.upsertSlice(slice, atMs);
  }

  removeSlice(uid: string, atMs: number): void {
    this.#endEndpoints(uid, undefined, atMs);
    this.services.removeSlice(uid, atMs);
  }

  /** Ends the ports that `after` gives to its Service no more. */
  #endEndpoints(uid: string, after: EndpointSlice | undefined, atMs: number): void {
    const before = this.services.slice(uid);
    if (!before) return;
    const isSame = after?.service === before.service && after.namespace === before.namespace;
    const kept = new Set(isSame ? endpointKeys(after) : []);
    for (const key of endpointKeys(before)) {
      const service = kept.has(key) ? undefined : this.services.ofSlice(key, uid);
      if (service) this.formerPorts.addFormer(key, this.#ending(service), -Infinity, atMs);
    }
  }

  /** The Service as an owner whose time is over, under the name that it goes by. */
  #ending(service: Service): ServiceOwner {
    return serviceOwner({ ...service, goesBy: this.services.naming(service) });
  }

  upsertNode(node: Node, atMs: number): void {
    const { uid, createdMs } = node;
    const owner = { kind: "node", uid, createdMs, end: nodeEnd(node.name, node.zone) } as const;
    const fromMs = this.#options.watchStart.earliestMs("nodes", atMs);
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
    // After an outage, a node that was made anew under its name may be reported before the old one's end.
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
      if (before.includes(address)) this.owners.renew(address, owner);
      else {
        const claim = () => this.owners.claim(address, owner, atMs, fromMs);
        this.services.whenOwnerChanges(address, atMs, claim);
      }
    }
  }

  #release(address: string, uid: string, atMs: number): void {
    this.services.whenOwnerChanges(address, atMs, () => this.owners.release(address, uid, atMs));
  }

  sweep(nowMs: number): void {
    this.owners.sweep(nowMs);
    this.formerPorts.sweep(nowMs);
  }

  #nodesChanged(atMs: number): void {
    this.podRanges.nodesChanged();
    this.services.podsChanged(atMs);
  }
}

export function serviceOwner(service: Service): ServiceOwner {
  return { kind: "service", uid: service.uid, createdMs: service.createdMs, service };
}

/** Keys of what only a port of an address, or of every node, is a Service's. */
function portsOf({ externalAddresses, ports, nodePorts }: Service): string[] {
  return [...portKeys(externalAddresses, ports), ...nodePorts.map(String)];
}
