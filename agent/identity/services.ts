/**
 * Services and their EndpointSlices → the name that a Service goes by, and the Service behind an
 * (address, port) or a node port.
 *
 * A client that connects to a ClusterIP has that address in its socket; the server knows only its pod. So
 * that both ends agree, a Service goes by the `service.name` of the workload behind it when all its
 * endpoints belong to one, else by its own name. With no endpoints left it keeps the name it had.
 */
import type { EndpointSlice, Pod, Service, ServiceName } from "./cluster.ts";

interface KnownService {
  readonly service: Service;
  /** The last single workload that was found behind it. */
  readonly workload: ServiceName | undefined;
  readonly name: ServiceName;
  /** The revision that `name` was worked out at. */
  readonly revision: number;
}

/** Who said that an (address, port) is a Service's: the Service itself or one of its slices. */
interface Claim {
  readonly service: string;
  readonly by: string;
}

export class Services {
  /** By `namespace/name`, since slices name their Service so. */
  readonly #services = new Map<string, KnownService>();
  readonly #keyOf = new Map<string, string>();
  readonly #slices = new Map<string, EndpointSlice>();
  /** Service → its slices; they may come before the Service. */
  readonly #slicesOf = new Map<string, Set<EndpointSlice>>();
  readonly #addressPorts = new Map<string, Claim>();
  readonly #nodePorts = new Map<number, string>();
  readonly #podOf: (uid: string) => Pod | undefined;
  #revision = 0;

  constructor(podOf: (uid: string) => Pod | undefined) {
    this.#podOf = podOf;
  }

  get size(): number {
    return this.#services.size;
  }

  get(uid: string): Service | undefined {
    return this.#services.get(this.#keyOf.get(uid) ?? "")?.service;
  }

  upsert(service: Service): void {
    const key = keyOf(service.namespace, service.name);
    const before = this.#services.get(key);
    this.remove(service.uid);
    this.#keyOf.set(service.uid, key);
    const workload = before?.service.uid === service.uid ? before.workload : undefined;
    this.#services.set(key, { service, workload, name: service, revision: -1 });
    this.#claim(key, service.uid, service.externalAddresses, service.ports);
    for (const port of service.nodePorts) this.#nodePorts.set(port, key);
  }

  remove(uid: string): Service | undefined {
    const key = this.#keyOf.get(uid) ?? "";
    const known = this.#services.get(key);
    this.#keyOf.delete(uid);
    if (known?.service.uid !== uid) return undefined;
    this.#services.delete(key);
    this.#disclaim(uid, known.service.externalAddresses, known.service.ports);
    for (const port of known.service.nodePorts) if (this.#nodePorts.get(port) === key) this.#nodePorts.delete(port);
    return known.service;
  }

  upsertSlice(slice: EndpointSlice): void {
    this.removeSlice(slice.uid);
    const key = keyOf(slice.namespace, slice.service);
    this.#slices.set(slice.uid, slice);
    const slices = this.#slicesOf.get(key) ?? new Set();
    this.#slicesOf.set(key, slices.add(slice));
    this.#claim(key, slice.uid, handWritten(slice), slice.ports);
    this.#revision++;
  }

  removeSlice(uid: string): void {
    const slice = this.#slices.get(uid);
    if (!slice) return;
    const key = keyOf(slice.namespace, slice.service);
    // The workload behind it until now is kept, whether or not anybody has asked for it.
    const service = this.#services.get(key)?.service;
    if (service) this.nameOf(service);
    this.#slices.delete(uid);
    const slices = this.#slicesOf.get(key);
    slices?.delete(slice);
    if (slices?.size === 0) this.#slicesOf.delete(key);
    this.#disclaim(uid, handWritten(slice), slice.ports);
    this.#revision++;
  }

  /** A pod appeared, or goes by another name than before. */
  podsChanged(): void {
    this.#revision++;
  }

  /** The Service that has this address for this port alone: a load balancer's, or an endpoint written by hand. */
  atAddressPort(address: string, port: number): Service | undefined {
    const claim = this.#addressPorts.get(`${address} ${port}`);
    return claim && this.#services.get(claim.service)?.service;
  }

  /** The Service behind a port of every node. */
  atNodePort(port: number): Service | undefined {
    return this.#services.get(this.#nodePorts.get(port) ?? "")?.service;
  }

  /** The name that peers of `service` go by. */
  nameOf(service: Service): ServiceName {
    const key = keyOf(service.namespace, service.name);
    const known = this.#services.get(key);
    if (!known) return { name: service.name, namespace: service.namespace };
    if (known.revision === this.#revision) return known.name;
    const workload = this.#workloadBehind(key, known.workload);
    const name = workload ?? { name: service.name, namespace: service.namespace };
    this.#services.set(key, { service: known.service, workload, name, revision: this.#revision });
    return name;
  }

  #workloadBehind(key: string, before: ServiceName | undefined): ServiceName | undefined {
    let found: ServiceName | undefined;
    for (const slice of this.#slicesOf.get(key) ?? []) {
      for (const { podUid } of slice.endpoints) {
        if (podUid === "") return undefined;
        const name = this.#podOf(podUid)?.service;
        // Not read yet, or just gone: the slice will follow.
        if (!name) continue;
        if (found && (found.name !== name.name || found.namespace !== name.namespace)) return undefined;
        found = name;
      }
    }
    return found ?? before;
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

function handWritten(slice: EndpointSlice): string[] {
  return slice.endpoints.filter(({ podUid }) => podUid === "").flatMap(({ addresses }) => addresses);
}

function addressPorts(addresses: readonly string[], ports: readonly number[]): string[] {
  return addresses.flatMap((address) => ports.map((port) => `${address} ${port}`));
}
