/** Owners of addresses, in as few words as answers need. */
import type { Node, Pod, Service, ServiceName } from "../../model/cluster-objects.ts";

export const NONE: readonly string[] = [];
const NO_NAME: ServiceName = { name: "", namespace: "" };

/** A pod, in as few words as its answers need. Changed in place. */
export class PodRecord {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Seconds, as the API says them: a small integer has no object of its own. */
  readonly #createdS: number;
  /** When it was first known to have a node: addresses come after that. */
  fromMs: number;
  node: string;
  ended = false;
  /** When it was reported as terminating. */
  terminatingMs: number | undefined;
  service: ServiceName;
  /** One alone, as most have, is not put into a list of its own. */
  addresses: string | readonly string[];

  constructor(pod: Pick<Pod, "uid" | "name" | "namespace" | "createdMs">, fromMs: number) {
    this.uid = pod.uid;
    this.name = pod.name;
    this.namespace = pod.namespace;
    this.#createdS = Math.floor(pod.createdMs / 1000);
    this.fromMs = fromMs;
    this.node = "";
    this.service = NO_NAME;
    this.addresses = NONE;
  }

  get kind(): "pod" {
    return "pod";
  }

  get createdMs(): number {
    return this.#createdS * 1000;
  }

  differenceTo({ service, node, ended, terminating = false }: Pod) {
    return {
      isNamedAnew: this.service.name !== service.name || this.service.namespace !== service.namespace,
      isMoved: this.node !== node,
      isEnding: this.ended !== ended || (this.terminatingMs !== undefined) !== terminating,
    };
  }
}

export interface ServiceRecord {
  readonly kind: "service";
  readonly uid: string;
  readonly createdMs: number;
  readonly fromMs: number;
  service: Service;
}

export interface NodeRecord {
  readonly kind: "node";
  readonly uid: string;
  readonly createdMs: number;
  readonly fromMs: number;
  node: Node;
}

export type OwnerRecord = PodRecord | ServiceRecord | NodeRecord;

export function listOf(addresses: string | readonly string[]): readonly string[] {
  return typeof addresses === "string" ? [addresses] : addresses;
}

/** The Service that has a port of an address for itself. */
export interface AtPort {
  readonly service: Service;
  /** Because of an endpoint written by hand. */
  readonly byEndpoint: boolean;
}
