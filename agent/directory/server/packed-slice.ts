/**
 * An EndpointSlice in little room: 16 bytes for each pod behind it, unpacked when somebody asks.
 *
 * A large cluster's slices name every pod once more; as objects they take more than the pods themselves.
 */
import type { Endpoint, EndpointSlice } from "../../model/cluster-objects.ts";

const UUID = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;
const UUID_BYTES = 16;
const NO_ADDRESSES: readonly string[] = [];

export class PackedSlice implements EndpointSlice {
  readonly uid: string;
  readonly namespace: string;
  readonly service: string;
  readonly ports: readonly number[];
  /** The pods' uids, one after the other, a byte a character. */
  readonly #pods: string;
  /** Those that are no UUID, or belong to no pod. */
  readonly #others: readonly Endpoint[];

  constructor({ uid, namespace, service, ports, endpoints }: EndpointSlice) {
    this.uid = uid;
    this.namespace = namespace;
    this.service = service;
    this.ports = ports;
    const isPacked = ({ podUid }: Endpoint) => UUID.test(podUid);
    const hex = endpoints.filter(isPacked).map(({ podUid }) => podUid.replaceAll("-", ""));
    this.#pods = Buffer.from(hex.join(""), "hex").toString("latin1");
    const others = endpoints.filter((endpoint) => !isPacked(endpoint));
    this.#others = others.length === 0 ? NONE : others;
  }

  /** Made anew with each reading. Addresses are kept of those without a pod alone: pods know their own. */
  get endpoints(): readonly Endpoint[] {
    const hex = Buffer.from(this.#pods, "latin1").toString("hex");
    const pods = Array.from({ length: this.#pods.length / UUID_BYTES }, (_, i) => {
      const each = hex.slice(i * 2 * UUID_BYTES, (i + 1) * 2 * UUID_BYTES);
      const uid = [each.slice(0, 8), each.slice(8, 12), each.slice(12, 16), each.slice(16, 20), each.slice(20)];
      return { addresses: NO_ADDRESSES, podUid: uid.join("-") };
    });
    return [...pods, ...this.#others];
  }
}

const NONE: readonly Endpoint[] = [];
