/**
 * Services and their EndpointSlices → the name that a Service goes by, the zone that it is in, and the
 * Service behind an (address, port) or a node port.
 *
 * A client that connects to a ClusterIP has that address in its socket; the server knows only its pod. So
 * that both ends agree, a Service goes by the `service.name` of the workload behind it when all its
 * endpoints belong to one, else by its own name. With no endpoints left it keeps the name it had. Growth from
 * before the workload was replaced by another goes by the Service's own name: it may be of either. A Service
 * is in a zone when all its endpoints are. Where one of them is another node's and only the own node's pods
 * are known, it goes by its own name, in no zone. Times are CLOCK_BOOTTIME milliseconds.
 */
import type { EndpointSlice, Service, ServiceName, ServiceNaming, ServicePeer } from "./cluster.ts";

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
}

/** Who said that a port is a Service's: the Service itself or one of its slices. */
interface Claim {
  readonly service: string;
  readonly by: string;
}

export class Services {
  readonly #services = new Map<string, KnownService>();
  /**
   * By `namespace/name`, since slices name their Service so: uids, the one that has the name now last. After an
   * outage a Service that was made again is told before the end of the one that had its name.
   */
  readonly #namesakes = new Map<string, readonly string[]>();
  readonly #slices = new Map<string, EndpointSlice>();
  /** Service → its slices; they may come before the Service. */
  readonly #slicesOf = new Map<string, Set<EndpointSlice>>();
  readonly #addressPorts = new Map<string, Claim>();
  readonly #nodePorts = new Map<number, Claim>();
  readonly #podOf: (uid: string) => BackingPod | undefined;
  readonly #allPods: boolean;
  #revision = 0;
  #revisedMs = -Infinity;

  /** @param allPods whether podOf knows all pods sooner or later, and not only some */
  constructor(podOf: (uid: string) => BackingPod | undefined, allPods: boolean) {
    this.#podOf = podOf;
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
    this.#claim(key, uid, service.externalAddresses, service.ports);
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
    this.#disclaim(uid, service.externalAddresses, service.ports);
    for (const port of service.nodePorts) if (this.#nodePorts.get(port)?.by === uid) this.#nodePorts.delete(port);
  }

  upsertSlice(slice: EndpointSlice, atMs: number): void {
    this.removeSlice(slice.uid, atMs);
    const key = keyOf(slice.namespace, slice.service);
    this.#slices.set(slice.uid, slice);
    const slices = this.#slicesOf.get(key) ?? new Set();
    this.#slicesOf.set(key, slices.add(slice));
    this.#claim(key, slice.uid, handWritten(slice), slice.ports);
    this.#revise(atMs);
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
    this.#disclaim(uid, handWritten(slice), slice.ports);
    this.#revise(atMs);
  }

  /** A pod appeared, goes by another name than before, or is known to be in another zone. */
  podsChanged(atMs: number): void {
    this.#revise(atMs);
  }

  /** The Service that has this address for this port alone: a load balancer's, or an endpoint written by hand. */
  atAddressPort(address: string, port: number): Service | undefined {
    return this.#claimed(this.#addressPorts.get(`${address} ${port}`));
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
      peer: { name, namespace, zone: behind.zone },
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

  /** The single workload behind a Service (undefined: there are several) and the single zone of its endpoints. */
  #behind(key: string): { workload: ServiceName | undefined | "none"; zone: string | undefined } {
    let workload: ServiceName | undefined | "none" = "none";
    const zones = new Set<string | undefined>();
    for (const { endpoints } of this.#slicesOf.get(key) ?? []) {
      for (const { podUid } of endpoints) {
        if (podUid === "") return { workload: undefined, zone: undefined };
        const pod = this.#podOf(podUid);
        // Of all pods, it is not read yet or just gone, and the slice will follow. Of some, it may be anything.
        if (!pod && this.#allPods) continue;
        if (!pod) return { workload: undefined, zone: undefined };
        workload = workload === "none" || areEqual(workload, pod.service) ? pod.service : undefined;
        zones.add(pod.zone);
      }
    }
    const [zone] = zones;
    return { workload, zone: zones.size === 1 ? zone : undefined };
  }

  #claim(service: string, by: string, addresses: readonly string[], ports: readonly number[]): void {
    for (const key of addressPorts(addresses, ports)) this.#addressPorts.set(key, { service, by });
  }

  #disclaim(by: string, addresses: readonly string[], ports: readonly number[]): void {
    for (const key of addressPorts(addresses, ports)) {
      if (this.#addressPorts.get(key)?.by === by) this.#addressPorts.delete(key);
    }
  }
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function ownName({ name, namespace }: Service): ServicePeer {
  return { name, namespace, zone: undefined };
}

function areEqual(a: ServiceName | undefined, b: ServiceName): boolean {
  return a?.name === b.name && a.namespace === b.namespace;
}

function handWritten(slice: EndpointSlice): string[] {
  return slice.endpoints.filter(({ podUid }) => podUid === "").flatMap(({ addresses }) => addresses);
}

function addressPorts(addresses: readonly string[], ports: readonly number[]): string[] {
  return addresses.flatMap((address) => ports.map((port) => `${address} ${port}`));
}
