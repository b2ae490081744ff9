/**
 * The truth: who really had which address when, and what an API server was told of it, late.
 *
 * Knows nothing of the agent's rules. A pod has its address from when it started until it ended; the kubelet says
 * both afterwards. Addresses are handed on at once. A controller keeps a Service's slice after the pods' statuses.
 */
import type { ClusterChange, EndpointSlice, Feed, Pod } from "../../agent/model/cluster-objects.ts";
import { BOOT_UNIX_MS, node, pod, service, slice } from "../unit/naming/cluster-builders.ts";
import type { Timeline } from "./timeline.ts";

/** One write to the API server. */
export type Write = Pick<ClusterChange, "feed"> & {
  readonly atMs: number;
  readonly uid: string;
  /** Undefined: it was deleted. */
  readonly object: { readonly uid: string } | undefined;
};

/** Somebody who has an address for a time. */
export interface Tenant {
  readonly kind: "pod" | "node";
  readonly uid: string;
  readonly name: string;
  /** Of a node: its own name. */
  readonly workload: string;
  readonly address: string;
  readonly createdMs: number;
  readonly fromMs: number;
  untilMs: number;
  /** Ended by itself: nobody said so before. */
  endedBySelf: boolean;
  /** Lives under its address beside another. */
  readonly shares: boolean;
}

interface LivePod {
  object: Pod;
  readonly shares: boolean;
  tenant: Tenant | undefined;
  /** Told to end, or ended. */
  isGoing: boolean;
}

export const POD_ADDRESSES = ["10.1.0.2", "10.1.0.3", "10.1.0.4"] as const;
export const NODE_ADDRESS = "192.0.2.2";
export const FRONT_ADDRESS = "10.96.0.1";
/** A Service whose one endpoint was written by hand, at a pod's address. */
export const HAND_ADDRESS = "10.96.0.2";
export const FEEDS: readonly Feed[] = ["pods", "services", "endpoint-slices", "nodes"];

export class World {
  readonly writes: Write[] = [];
  readonly objects = new Map<string, Write>();
  readonly tenants: Tenant[] = [];
  readonly #timeline: Timeline;
  readonly #pods: LivePod[] = [];
  readonly #onWrite: () => void;
  #names = 0;
  #selected = "cart";
  #node: Tenant | undefined;

  constructor(timeline: Timeline, onWrite: () => void) {
    this.#timeline = timeline;
    this.#onWrite = onWrite;
    this.#write("nodes", node("node-1", { addresses: ["192.0.2.1"], zone: "a" }));
    this.#write("services", service("front", { clusterAddresses: [FRONT_ADDRESS] }));
    this.#write("services", service("hand", { clusterAddresses: [HAND_ADDRESS] }));
    const endpoints = [{ addresses: [POD_ADDRESSES[0]], podUid: "" }];
    this.#write("endpoint-slices", slice("hand-1", "hand", { endpoints, ports: [80] }));
    this.#reconcile();
    this.makeNode();
  }

  /** Who has the address: none, one, or several that share it. */
  tenantsAt(address: string): Tenant[] {
    const { nowMs } = this.#timeline;
    return this.tenants.filter((each) => each.address === address && each.fromMs <= nowMs && nowMs < each.untilMs);
  }

  /** Of the endpoint that was written by hand. */
  get handAddress(): string {
    return POD_ADDRESSES[0];
  }

  /** Pods that traffic to the Service reaches now. */
  backends(address: string): Tenant[] {
    const uid = address === FRONT_ADDRESS ? "uid-front-1" : "uid-hand-1";
    const found = this.objects.get(uid)?.object as EndpointSlice | undefined;
    const live = POD_ADDRESSES.flatMap((each) => this.tenantsAt(each));
    return live.filter((tenant) =>
      (found?.endpoints ?? []).some(({ podUid, addresses }) =>
        podUid === "" ? addresses.includes(tenant.address) : podUid === tenant.uid,
      ),
    );
  }

  /** Puts a pod on its node, where it is given a free address. @param lateMs until the API is told of that */
  startPod(workload: string, address: string, startMs: number, lateMs: number, shares: boolean): void {
    const createdMs = this.#unixMs();
    const live: LivePod = {
      object: pod(`${workload}-${++this.#names}`, { node: "node-2", createdMs }),
      shares,
      tenant: undefined,
      isGoing: false,
    };
    this.#pods.push(live);
    this.#write("pods", live.object);
    this.#timeline.after(startMs, () => {
      if (live.isGoing || (!shares && this.tenantsAt(address).length > 0)) return;
      live.tenant = this.#settle({ kind: "pod", ...live.object, workload, address, shares });
      this.#timeline.after(lateMs, () => this.#tellAddress(live));
    });
  }

  /** @param graceMs from being told to the end @param lateMs from the end until the API is told */
  deletePod(index: number, graceMs: number, lateMs: number): void {
    const live = this.#going(index);
    if (!live) return;
    live.object = { ...live.object, terminating: true };
    this.#write("pods", live.object);
    this.#timeline.after(graceMs, () => {
      this.#end(live);
      this.#timeline.after(lateMs, () => this.#tellEnd(live));
    });
  }

  /** All its containers end by themselves. */
  endPod(index: number, lateMs: number): void {
    const live = this.#going(index);
    if (!live) return;
    if (live.tenant) live.tenant.endedBySelf = true;
    this.#end(live);
    this.#timeline.after(lateMs, () => this.#tellEnd(live));
  }

  /** The Service stands for another workload from now on. */
  select(workload: string, lateMs: number): void {
    this.#selected = workload;
    this.#timeline.after(lateMs, () => this.#reconcile());
  }

  /** The API's object of the node goes and, where it is made again, comes back under its name; the machine runs on. */
  makeNode(): void {
    const before = this.#node;
    const uid = `uid-node-2-${++this.#names}`;
    const object = node("node-2", { uid, addresses: [NODE_ADDRESS], zone: "b", createdMs: this.#unixMs() });
    if (before) this.#delete("nodes", before.uid);
    if (before) before.untilMs = this.#timeline.nowMs;
    this.#node = this.#settle({ kind: "node", ...object, workload: "node-2", address: NODE_ADDRESS, shares: false });
    this.#write("nodes", object);
  }

  #settle(tenant: Omit<Tenant, "fromMs" | "untilMs" | "endedBySelf">): Tenant {
    const { nowMs: fromMs } = this.#timeline;
    const { kind, uid, name, workload, address, createdMs, shares } = tenant;
    const made = {
      kind,
      uid,
      name,
      workload,
      address,
      createdMs,
      shares,
      fromMs,
      untilMs: Infinity,
      endedBySelf: false,
    };
    this.tenants.push(made);
    return made;
  }

  #going(index: number): LivePod | undefined {
    const able = this.#pods.filter(({ isGoing }) => !isGoing);
    const live = able[index % Math.max(1, able.length)];
    if (live) live.isGoing = true;
    return live;
  }

  #end({ tenant }: LivePod): void {
    if (tenant) tenant.untilMs = this.#timeline.nowMs;
  }

  #tellAddress(live: LivePod): void {
    if (live.object.ended || live.tenant === undefined || !this.objects.has(live.object.uid)) return;
    live.object = { ...live.object, addresses: [live.tenant.address] };
    this.#write("pods", live.object);
    this.#timeline.after(300, () => this.#reconcile());
  }

  #tellEnd(live: LivePod): void {
    const addresses = live.tenant ? [live.tenant.address] : [];
    live.object = { ...live.object, addresses, ended: true };
    this.#write("pods", live.object);
    this.#timeline.after(100, () => {
      this.#delete("pods", live.object.uid);
      this.#reconcile();
    });
  }

  #reconcile(): void {
    const ready = this.#pods.filter(({ object, isGoing }) => !isGoing && object.addresses.length > 0);
    const endpoints = ready
      .filter(({ object }) => object.service.name === this.#selected)
      .map(({ object: { uid: podUid, addresses } }) => ({ addresses, podUid }));
    this.#write("endpoint-slices", slice("front-1", "front", { endpoints }));
  }

  #write(feed: Feed, object: { readonly uid: string }): void {
    this.#log({ feed, atMs: this.#timeline.nowMs, uid: object.uid, object });
  }

  #delete(feed: Feed, uid: string): void {
    this.#log({ feed, atMs: this.#timeline.nowMs, uid, object: undefined });
  }

  #log(write: Write): void {
    this.writes.push(write);
    if (write.object) this.objects.set(write.uid, write);
    else this.objects.delete(write.uid);
    this.#onWrite();
  }

  /** As the API says it: whole seconds. */
  #unixMs(): number {
    return Math.floor((BOOT_UNIX_MS + this.#timeline.nowMs) / 1000) * 1000;
  }
}
