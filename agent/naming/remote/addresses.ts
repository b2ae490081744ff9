/**
 * A remote address, in an interval of time → who it was: pod, Service, node, this host, a range with a
 * name, somebody outside, or unknown.
 *
 * The most exact owner answers: an (address, port) of a Service, then the owner by time (pod, ClusterIP, node; an
 * endpoint written by hand comes before a node), then this host, then named ranges. Pods on the host's network share
 * their node's address. The address does not show which pod it was, so the answer is the node. Two owners in
 * one interval cannot be told apart: the answer is their common workload or `unknown`. Where an owner's
 * end lies in the interval, the next owner may have begun in it, too: so the edge waits for it.
 */

import type { Service } from "../../model/cluster-objects.ts";
import type { Role } from "../../model/edge.ts";
import type { RemoteEnd } from "../../model/names.ts";
import { parseAddress } from "../../shared/address.ts";
import { canonicalAddresses, inPrefix, type Prefix, prefixes } from "../../shared/prefix.ts";
import type { Ownership } from "../owners.ts";
import { BOOT_MS, type WatchStart } from "../watch-start.ts";
import { type AddressTables, type PodOwner, type RemoteOwner, serviceOwner } from "./address-tables.ts";
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
import { endpointKey } from "./services.ts";

export interface RemoteAnswer {
  readonly end: RemoteEnd;
  /**
   * `changing`: the same question about later growth may have another answer without any change here.
   * `ending`: the next owner may have been there in that time already; `missing`: no owner of the address is known.
   */
  readonly state: "final" | "changing" | "ending" | "missing";
}

export interface AddressOptions {
  readonly hostName: string;
  readonly hostAddresses: readonly string[];
  /** Of the own node; undefined without Kubernetes. */
  readonly nodeName: string | undefined;
  /** Whether the pods of all nodes are reported, and not only the own node's. */
  readonly allPods: boolean;
  /** Name → prefixes; the longest prefix wins. */
  readonly cidrs: Readonly<Record<string, readonly string[]>>;
  readonly watchStart: WatchStart;
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
  readonly #tables: AddressTables;
  readonly #cidrs: readonly NamedPrefix[];
  readonly #host: ReadonlySet<string>;

  constructor(tables: AddressTables, options: AddressOptions) {
    this.#tables = tables;
    this.#options = options;
    this.#host = new Set(canonicalAddresses(options.hostAddresses));
    this.#cidrs = Object.entries(options.cidrs)
      .flatMap(([name, cidrs]) => prefixes(...cidrs).map((prefix) => ({ ...prefix, name })))
      .sort((a, b) => b.bits - a.bits);
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
    const ownership = this.#tables.owners.ownerOf(address, sinceMs, untilMs);
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
    if (owners.every((each) => this.#mayPredate(each, fromMs, time))) return unknown(address);
    if (ownership.state === "several") {
      const state = ownership.final ? "final" : "changing";
      const isNodes = owners.every(({ kind }) => kind === "node");
      const atPort = isNodes ? this.#throughNodePort(address, serverPort, role, time) : undefined;
      const end = commonEnd(owners.map((owner) => this.#ownEnd(owner))) ?? unknownEnd(address);
      return atPort ?? { end, state };
    }
    const { owner, final, ending } = ownership;
    const answer = this.#answerOf(owner, address, serverPort, role, time);
    if (ending || (final && owner.terminatingMs !== undefined)) return { ...answer, state: "ending" };
    return final ? answer : { ...answer, state: "changing" };
  }

  #answerOf(owner: RemoteOwner, address: string, serverPort: number, role: Role, time: Time): RemoteAnswer {
    if (owner.kind === "service") return this.#serviceAnswer(owner.service, time);
    if (owner.kind === "pod") return final(this.#podEnd(owner));
    return this.#throughNodePort(address, serverPort, role, time) ?? final(owner.end);
  }

  #mayPredate(owner: RemoteOwner, fromMs: number, { sinceMs }: Time): boolean {
    const podFeed = this.#options.allPods ? "pods" : "local-pods";
    const feed = { pod: podFeed, service: "services", node: "nodes" } as const;
    return this.#options.watchStart.mayPredate(feed[owner.kind], owner, fromMs, sinceMs);
  }

  /** With the zone of its node, which may be reported later than the pod, and may be gone before it. */
  #podEnd(owner: PodOwner): RemoteEnd {
    const zone = this.#tables.zoneOf(owner.pod.node);
    if (zone !== undefined && zone !== owner.end.zone) owner.end = podEnd(owner.pod, zone);
    return owner.end;
  }

  /** Under the name that does not depend on what is behind it. */
  #ownEnd(owner: RemoteOwner): RemoteEnd {
    if (owner.kind === "pod") return this.#podEnd(owner);
    return owner.kind === "service" ? serviceEnd(owner.service, owner.service) : owner.end;
  }

  #findUnowned(address: string, serverPort: number, role: Role, time: Time): RemoteAnswer {
    const { nodeName, hostName } = this.#options;
    const bytes = parseAddress(address);
    if (!bytes) return final(unknownEnd(address));
    if (LOOPBACK.some((prefix) => inPrefix(bytes, prefix))) return final(LOOPBACK_END);
    if (this.#host.has(address)) {
      const end = nodeName === undefined ? hostEnd(hostName) : nodeEnd(nodeName, this.#tables.zoneOf(nodeName));
      return this.#throughNodePort(address, serverPort, role, time) ?? final(end);
    }
    const range = this.#cidrs.find((prefix) => inPrefix(bytes, prefix));
    if (range) return final(rangeEnd(range.name));
    if (this.#tables.podRanges.holds(bytes)) {
      return { end: unknownEnd(address), state: nodeName === undefined ? "final" : "missing" };
    }
    return final(externalEnd(address));
  }

  /** Of an address that may be a pod's, whose status is not there yet. */
  #unlessPod(answer: RemoteAnswer, address: string): RemoteAnswer {
    const bytes = parseAddress(address);
    const mayBePod = this.#options.nodeName !== undefined && bytes !== undefined && this.#tables.podRanges.holds(bytes);
    return mayBePod && answer.state === "final" ? { ...answer, state: "missing" } : answer;
  }

  #throughNodePort(address: string, serverPort: number, role: Role, time: Time): RemoteAnswer | undefined {
    if (role !== "client") return undefined;
    return this.#portAnswer(this.#tables.services.atNodePort(serverPort), `${serverPort}`, address, time);
  }

  #atAddressPort(key: string, address: string, time: Time): RemoteAnswer | undefined {
    return this.#portAnswer(this.#tables.services.atAddressPort(key), key, address, time);
  }

  /** @param service that has the port now */
  #portAnswer(service: Service | undefined, port: string, address: string, time: Time): RemoteAnswer | undefined {
    const former = this.#tables.formerPorts.ownerOf(port, time.sinceMs, time.untilMs);
    if (former.state === "none" || former.state === "forgotten") {
      if (service && this.#mayPredate(serviceOwner(service), BOOT_MS, time)) return unknown(address);
      return service && this.#serviceAnswer(service, time);
    }
    const isFormer = former.state === "owner" && former.untilMs > time.untilMs;
    if (former.state === "owner" && (isFormer || service === undefined || service.uid === former.owner.uid)) {
      return { ...this.#serviceAnswer(former.owner.service, time), state: "changing" };
    }
    return unknown(address);
  }

  #serviceAnswer(service: Service, { sinceMs }: Time): RemoteAnswer {
    const { peer, replacedMs } = this.#tables.services.naming(service);
    // Growth from before may belong to either workload.
    if (replacedMs > sinceMs) return { end: serviceEnd(service, service, peer), state: "changing" };
    return final(serviceEnd(service, peer, peer));
  }
}

function final(end: RemoteEnd): RemoteAnswer {
  return { end, state: "final" };
}

/** For this growth. */
function unknown(address: string): RemoteAnswer {
  return { end: unknownEnd(address), state: "changing" };
}

/** An endpoint that was written by hand stands for an address that no pod and no Service has. */
function mayBeEndpoint(ownership: Ownership<RemoteOwner>): boolean {
  if (ownership.state === "owner") return ownership.owner.kind === "node";
  if (ownership.state === "several") return ownership.owners.every(({ kind }) => kind === "node");
  return ownership.state === "none";
}
