/**
 * The own node's pods, found by what a cgroup's name says: a container's id or a pod's uid.
 *
 * A pod that is gone stays known for a grace period, since its last growth is read after its end. The table collects a
 * pod's container ids while it lives: its status has only the last two of each container. An address finds its
 * pod as of the time of the growth, as with remote ends. Times are CLOCK_BOOTTIME milliseconds.
 */

import { addressesOf, type ContainerDetail, type Pod } from "../../model/cluster-objects.ts";
import { terminatingSince } from "../claims.ts";
import { type Owner, OwnerTable } from "../owners.ts";
import type { WatchStart } from "../watch-start.ts";
import type { CgroupPlace } from "./cgroup.ts";

export interface FoundPod {
  readonly pod: Pod;
  /** Undefined where it is not known which container it is. */
  readonly container: ContainerDetail | undefined;
  /** Later metadata cannot add to it. */
  readonly complete: boolean;
}

interface Known {
  pod: Pod;
  /** When it was removed; undefined while it is there. */
  goneMs: number | undefined;
  /** When it was reported as terminating. */
  terminatingMs: number | undefined;
  /** Container ids, of all restarts that were seen, with the container's name. */
  readonly ids: Map<string, string>;
}

interface AddressOwner extends Owner {
  readonly known: Known;
}

/** More than a node's pods have. */
const ADDRESSES_MAX = 65_536;
/** A container that restarts for ever must not fill the table. */
const IDS_PER_POD = 256;

export class LocalPods {
  readonly #graceMs: number;
  readonly #watchStart: WatchStart;
  /** By uid, and by the uid that the cgroup's name has, where it differs. */
  readonly #pods = new Map<string, Known>();
  readonly #byContainer = new Map<string, Known>();
  readonly #byAddress: OwnerTable<AddressOwner>;
  readonly #gone: { readonly uid: string; readonly atMs: number }[] = [];

  constructor(graceMs: number, watchStart: WatchStart) {
    this.#graceMs = graceMs;
    this.#watchStart = watchStart;
    this.#byAddress = new OwnerTable(graceMs, ADDRESSES_MAX);
  }

  /** Pods known, also those in their grace period. */
  get size(): number {
    return new Set(this.#pods.values()).size;
  }

  upsert(pod: Pod, atMs: number): void {
    const before = this.#pods.get(pod.uid);
    const known: Known = before ?? { pod, goneMs: undefined, terminatingMs: undefined, ids: new Map() };
    const had = before && before.goneMs === undefined ? addressesOf(before.pod) : [];
    const has = addressesOf(pod);
    const { uid, createdMs } = pod;
    const fromMs = this.#watchStart.earliestMs("local-pods", atMs);
    known.terminatingMs = terminatingSince(pod, known.terminatingMs, fromMs);
    const owner = { uid, createdMs, terminatingMs: known.terminatingMs, known };
    for (const address of had) if (!has.includes(address)) this.#byAddress.release(address, uid, atMs);
    for (const address of has) {
      if (had.includes(address)) this.#byAddress.renew(address, owner);
      else this.#byAddress.claim(address, owner, atMs, fromMs);
    }
    known.pod = pod;
    known.goneMs = undefined;
    this.#pods.set(pod.uid, known);
    const cgroupUid = pod.detail?.cgroupUid;
    if (cgroupUid !== undefined) this.#pods.set(cgroupUid, known);
    for (const { name, ids } of pod.detail?.containers ?? []) for (const id of ids) this.#addId(known, id, name);
  }

  remove(uid: string, atMs: number): void {
    const known = this.#pods.get(uid);
    if (!known) return;
    for (const address of known.pod.addresses) this.#byAddress.release(address, uid, atMs);
    known.goneMs = atMs;
    this.#gone.push({ uid, atMs });
  }

  sweep(nowMs: number): void {
    this.#byAddress.sweep(nowMs);
    while (this.#gone[0] && this.#gone[0].atMs + this.#graceMs <= nowMs) {
      const gone = this.#gone.shift();
      const known = this.#pods.get(gone?.uid ?? "");
      // It may have come back: a list after an outage says all pods anew.
      if (!known || known.goneMs !== gone?.atMs) continue;
      for (const id of known.ids.keys()) this.#unlink(this.#byContainer, id, known);
      this.#unlink(this.#pods, known.pod.uid, known);
      this.#unlink(this.#pods, known.pod.detail?.cgroupUid ?? "", known);
    }
  }

  /** The pod and container that a cgroup belongs to. */
  find(place: CgroupPlace): FoundPod | undefined {
    if (place.kind === "pod") return this.#found(this.#pods.get(place.podUid), undefined, true);
    if (place.kind !== "container") return undefined;
    const known = this.#byContainer.get(place.containerId) ?? this.#pods.get(place.podUid ?? "");
    if (!known) return undefined;
    const containers = known.pod.detail?.containers ?? [];
    // A pod with one container needs no status to tell which it is: its sandbox opens no sockets.
    const only = containers.length === 1 ? containers[0]?.name : undefined;
    const name = known.ids.get(place.containerId) ?? only;
    return this.#found(known, name, name !== undefined);
  }

  /**
   * For sockets whose cgroup names no pod: the pod that owned this address during (sinceMs, untilMs].
   * `final`: later growth has the same pod, too, until something changes here.
   */
  findByAddress(address: string, sinceMs: number, untilMs: number): { found: FoundPod | undefined; final: boolean } {
    const ownership = this.#byAddress.ownerOf(address, sinceMs, untilMs);
    if (ownership.state === "none") return { found: undefined, final: true };
    if (ownership.state === "several") return { found: undefined, final: ownership.final };
    if (ownership.state !== "owner") return { found: undefined, final: false };
    const { owner, fromMs } = ownership;
    if (this.#watchStart.mayPredate("local-pods", owner, fromMs, sinceMs)) return { found: undefined, final: false };
    const { known } = owner;
    const containers = known.pod.detail?.containers ?? [];
    const found = this.#found(known, containers.length === 1 ? containers[0]?.name : undefined, true);
    return { found, final: ownership.final };
  }

  #found(known: Known | undefined, containerName: string | undefined, complete: boolean): FoundPod | undefined {
    if (!known) return undefined;
    const container = known.pod.detail?.containers.find(({ name }) => name === containerName);
    return { pod: known.pod, container, complete };
  }

  #addId(known: Known, id: string, container: string): void {
    known.ids.set(id, container);
    this.#byContainer.set(id, known);
    if (known.ids.size <= IDS_PER_POD) return;
    const [oldest = ""] = known.ids.keys();
    known.ids.delete(oldest);
    this.#unlink(this.#byContainer, oldest, known);
  }

  #unlink(map: Map<string, Known>, key: string, known: Known): void {
    if (map.get(key) === known) map.delete(key);
  }
}
