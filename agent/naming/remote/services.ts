/**
 * Services and their EndpointSlices → the name that a Service goes by, the zone that it is in, and the
 * Service behind an (address, port) or a node port.
 *
 * A client that connects to a ClusterIP has that address in its socket; the server knows only its pod. Both ends must
 * agree. So a Service goes by the `service.name` of the workload behind it when all its endpoints belong to one
 * workload, else by its own name. An endpoint written by hand belongs to the pod that has its address. A Service without
 * endpoints keeps its last name. When another workload has replaced the first, older growth may be of either: it goes by
 * the Service's own name. A Service is in a zone, and on a node, when all its endpoints are. Where only the own node's pods are known and
 * an endpoint is another node's, the Service goes by its own name, in no zone. Times are CLOCK_BOOTTIME milliseconds.
 */
import type { EndpointSlice, Service, ServiceName, ServiceNaming, ServicePeer } from "../../model/cluster-objects.ts";

interface KnownService extends ServiceNaming {
  readonly service: Service;
  /** The last single workload that was found behind it. */
  readonly workload: ServiceName | undefined;
  /** The revision that `peer` was worked out at. */
  readonly revision: number;
}

/** What Services need of the pods behind them. */
export interface BackingPod {
  readonly service: ServiceName;
  readonly zone: string | undefined;
  readonly nodeName: string | undefined;
}

export interface BackingPods {
  byUid(uid: string): BackingPod | undefined;
  /** The one that has the address for itself now. */
  byAddress(address: string): BackingPod | undefined;
}

interface Behind extends Pick<ServicePeer, "zone" | "nodeName"> {
  readonly workload: ServiceName | undefined | "none";
}

/** Who reported that a port is a Service's: the Service itself or one of its slices. */
interface Claim {
  readonly service: string;
  readonly by: string;
}

export class Services {
  readonly #services = new Map<string, KnownService>();
  /**
   * By `namespace/name`, since slices name their Service so: uids, the one that has the name now last. After an
   * outage a Service that was made again is reported before the end of the one that had its name.
   */
  readonly #namesakes = new Map<string, readonly string[]>();
  readonly #slices = new Map<string, EndpointSlice>();
  /** Service → its slices; they may come before the Service. */
  readonly #slicesOf = new Map<string, Set<EndpointSlice>>();
  /** By keys of portKeys() and endpointKeys(). */
  readonly #addressPorts = new Map<string, Claim>();
  readonly #nodePorts = new Map<number, Claim>();
  /** Addresses of endpoints written by hand, each with the Service of every slice that has it. */
  readonly #handWritten = new Map<string, readonly string[]>();
  readonly #pods: BackingPods;
  readonly #allPods: boolean;
  #revision = 0;
  #revisedMs = -Infinity;

  /** @param allPods whether `pods` knows all of them sooner or later, and not only some */
  constructor(pods: BackingPods, allPods: boolean) {
    this.#pods = pods;
    this.#allPods = allPods;
  }

  get size(): number {
    return this.#services.size;
  }

  get(uid: string): Service | undefined {
    return this.#services.get(uid)?.service;
  }

  upsert(service: Service): void {
    const { uid } = service;
    const key = keyOf(service.namespace, service.name);
    const workload = this.#services.get(uid)?.workload;
    this.remove(uid);
    this.#services.set(uid, { service, workload, peer: ownName(service), replacedMs: -Infinity, revision: -1 });
    const createdMs = (each: string) => this.#services.get(each)?.service.createdMs ?? 0;
    const namesakes = [...(this.#namesakes.get(key) ?? []), uid].sort((a, b) => createdMs(a) - createdMs(b));
    this.#namesakes.set(key, namesakes);
    this.#claimKeys(key, uid, portKeys(service.externalAddresses, service.ports));
    for (const port of service.nodePorts) this.#nodePorts.set(port, { service: key, by: uid });
  }

  remove(uid: string): void {
    const service = this.get(uid);
    if (!service) return;
    const key = keyOf(service.namespace, service.name);
    this.#services.delete(uid);
    const namesakes = this.#namesakes.get(key)?.filter((each) => each !== uid) ?? [];
    if (namesakes.length > 0) this.#namesakes.set(key, namesakes);
    else this.#namesakes.delete(key);
    this.#disclaim(uid, portKeys(service.externalAddresses, service.ports));
    for (const port of service.nodePorts) if (this.#nodePorts.get(port)?.by === uid) this.#nodePorts.delete(port);
  }

  upsertSlice(slice: EndpointSlice, atMs: number): void {
    this.removeSlice(slice.uid, atMs);
    const key = keyOf(slice.namespace, slice.service);
    this.#slices.set(slice.uid, slice);
    const slices = this.#slicesOf.get(key) ?? new Set();
    this.#slicesOf.set(key, slices.add(slice));
    this.#claimKeys(key, slice.uid, endpointKeys(slice));
    for (const address of handWritten(slice)) {
      this.#handWritten.set(address, [...(this.#handWritten.get(address) ?? []), key]);
    }
    this.#revise(atMs);
    // Looked at now: by the time that somebody asks, its pods may have gone again.
    for (const each of this.#namesakes.get(key) ?? []) this.#known(each);
  }

  removeSlice(uid: string, atMs: number): void {
    const slice = this.#slices.get(uid);
    if (!slice) return;
    const key = keyOf(slice.namespace, slice.service);
    // The workload behind it until now is kept, whether or not anybody has asked for it.
    for (const each of this.#namesakes.get(key) ?? []) this.#known(each);
    this.#slices.delete(uid);
    const slices = this.#slicesOf.get(key);
    slices?.delete(slice);
    if (slices?.size === 0) this.#slicesOf.delete(key);
    this.#disclaim(uid, endpointKeys(slice));
    for (const address of handWritten(slice)) {
      const keys = this.#handWritten.get(address) ?? [];
      const left = keys.toSpliced(keys.indexOf(key), 1);
      if (left.length > 0) this.#handWritten.set(address, left);
      else this.#handWritten.delete(address);
    }
    this.#revise(atMs);
  }

  /** A pod appeared, goes by another name than before, or is known to be in another zone. */
  podsChanged(atMs: number): void {
    this.#revise(atMs);
  }

  /**
   * Lets `change` give an address to another owner, or to none, and keeps the workload that was behind it until now.
   *
   * @returns whether a Service may go by another name now
   */
  whenOwnerChanges(address: string, atMs: number, change: () => void): boolean {
    const services = this.#handWritten.get(address) ?? [];
    const look = () => {
      for (const key of services) for (const uid of this.#namesakes.get(key) ?? []) this.#known(uid);
    };
    look();
    change();
    if (services.length === 0) return false;
    this.#revise(atMs);
    look();
    return true;
  }

  slice(uid: string): EndpointSlice | undefined {
    return this.#slices.get(uid);
  }

  /** The Service that has the port for itself. @param key of portKeys() or endpointKeys() */
  atAddressPort(key: string): Service | undefined {
    return this.#claimed(this.#addressPorts.get(key));
  }

  /** The Service that this slice gives the port to. */
  ofSlice(key: string, uid: string): Service | undefined {
    const claim = this.#addressPorts.get(key);
    return claim?.by === uid ? this.#claimed(claim) : undefined;
  }

  /** The Service behind a port of every node. */
  atNodePort(port: number): Service | undefined {
    return this.#claimed(this.#nodePorts.get(port));
  }

  #claimed(claim: Claim | undefined): Service | undefined {
    return this.get(this.#namesakes.get(claim?.service ?? "")?.at(-1) ?? "");
  }

  /** What clients call it now, and since when no other workload was behind it. */
  naming(service: Service): ServiceNaming {
    return service.goesBy ?? this.#known(service.uid) ?? { peer: ownName(service), replacedMs: -Infinity };
  }

  /** Worked out anew where anything has changed since. */
  #known(uid: string): KnownService | undefined {
    const known = this.#services.get(uid);
    if (!known || known.revision === this.#revision) return known;
    const { service } = known;
    const behind = this.#behind(keyOf(service.namespace, service.name));
    const workload = behind.workload === "none" ? known.workload : behind.workload;
    const isReplaced = known.workload !== undefined && !areEqual(workload, known.workload);
    const { name, namespace } = workload ?? service;
    const anew = {
      service,
      workload,
      peer: { name, namespace, zone: behind.zone, nodeName: behind.nodeName },
      replacedMs: isReplaced ? this.#revisedMs : known.replacedMs,
      revision: this.#revision,
    };
    this.#services.set(uid, anew);
    return anew;
  }

  #revise(atMs: number): void {
    this.#revision++;
    this.#revisedMs = atMs;
  }

  /** The single workload behind a Service (undefined: there are several), the single zone and node of its endpoints. */
  #behind(key: string): Behind {
    let workload: ServiceName | undefined | "none" = "none";
    const zones = new Set<string | undefined>();
    const nodes = new Set<string | undefined>();
    for (const { endpoints } of this.#slicesOf.get(key) ?? []) {
      for (const { podUid, addresses } of endpoints) {
        const pod = podUid === "" ? this.#podAt(addresses) : this.#pods.byUid(podUid);
        // Of all pods, it is not read yet or just gone, and the slice will follow. Of some, it may be anything.
        if (!pod && this.#allPods && podUid !== "") continue;
        if (!pod) return { workload: undefined, zone: undefined, nodeName: undefined };
        workload = workload === "none" || areEqual(workload, pod.service) ? pod.service : undefined;
        zones.add(pod.zone);
        nodes.add(pod.nodeName);
      }
    }
    return { workload, zone: onlyOne(zones), nodeName: onlyOne(nodes) };
  }

  #podAt([address]: readonly string[]): BackingPod | undefined {
    return address === undefined ? undefined : this.#pods.byAddress(address);
  }

  #claimKeys(service: string, by: string, keys: readonly string[]): void {
    for (const key of keys) this.#addressPorts.set(key, { service, by });
  }

  #disclaim(by: string, keys: readonly string[]): void {
    for (const key of keys) if (this.#addressPorts.get(key)?.by === by) this.#addressPorts.delete(key);
  }
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function onlyOne([first, ...others]: Iterable<string | undefined>): string | undefined {
  return others.length === 0 ? first : undefined;
}

function ownName({ name, namespace }: Service): ServicePeer {
  return { name, namespace, zone: undefined, nodeName: undefined };
}

function areEqual(a: ServiceName | undefined, b: ServiceName): boolean {
  return a?.name === b.name && a.namespace === b.namespace;
}

function handWritten(slice: EndpointSlice): string[] {
  return slice.endpoints.filter(({ podUid }) => podUid === "").flatMap(({ addresses }) => addresses);
}

/** Keys of ports that are a Service's whoever has their address. */
export function portKeys(addresses: readonly string[], ports: readonly number[]): string[] {
  return addresses.flatMap((address) => ports.map((port) => `${address} ${port}`));
}

/** A pod or a Service that has the address itself comes before it. */
export function endpointKey(address: string, port: number): string {
  return `endpoint ${address} ${port}`;
}

/** Keys of the ports that a slice gives to its Service. */
export function endpointKeys(slice: EndpointSlice): string[] {
  const addresses = handWritten(slice);
  if (slice.ownsPorts) return portKeys(addresses, slice.ports);
  return addresses.flatMap((address) => slice.ports.map((port) => endpointKey(address, port)));
}
