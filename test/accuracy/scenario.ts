/**
 * A seed → one scenario: what goes wrong in a cluster of three nodes, and how its traffic is spread. Pure: the same seed gives the
 * same scenario on every machine.
 */
import type { LabInput } from "../lab/world/describe.ts";
import { Random } from "../torture/program.ts";

export const NODES = ["node-1", "node-2", "node-3"] as const;
const PODS_A_NODE = 4;

/** Pods by their key: `n1p1` is the first one on node-1. */
export const PODS: readonly string[] = NODES.flatMap((_, node) =>
  Array.from({ length: PODS_A_NODE }, (_, pod) => `n${node + 1}p${pod + 1}`),
);

export function nodeOf(pod: string): string {
  return `node-${pod.slice(1, pod.indexOf("p"))}`;
}

export const CLUSTER: LabInput = {
  nodes: NODES.length,
  pods: PODS.map((key) => ({ key, node: nodeOf(key) })),
};

/** Shares of packets that a place loses, both ways. */
export const LOSSES = [0.001, 0.0025, 0.005, 0.01, 0.02] as const;

/** Packets are lost at a place; the other faults are between a client and a server, a partition between their nodes. */
export type Fault = { readonly kind: "loss"; readonly at: LossPlace; readonly share: number } | ApplicationFault;

export interface ApplicationFault {
  readonly kind: ApplicationKind;
  readonly client: string;
  readonly server: string;
}

export type LossPlace =
  | { readonly kind: "link"; readonly nodes: readonly [string, string] }
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "pod"; readonly pod: string };

/** Those of the registry that hurt nothing beside them. */
export const APPLICATION_KINDS = [
  "connect_refused",
  "connect_unanswered",
  "listen_queue_overflow",
  "slow_reader",
  "ports_exhausted",
  "syn_cookies",
  "socket_memory",
  "neighbour_unresolved",
  "packets_dropped",
  "mtu_black_hole",
  "partition",
] as const;

/**
 * Alone in their scenario, in little traffic. A send buffer is too small only where the whole link is slow, and connection tracking
 * has a limit that is the machine's: only nodes that track more than it are full.
 */
export const LONELY_KINDS = ["small_send_buffer", "conntrack_full"] as const;
export type LonelyKind = (typeof LONELY_KINDS)[number];
export type ApplicationKind = (typeof APPLICATION_KINDS)[number] | LonelyKind;
const ALL_KINDS: readonly ApplicationKind[] = [...APPLICATION_KINDS, ...LONELY_KINDS];

export function isLonely(kind: Fault["kind"]): kind is LonelyKind {
  return (LONELY_KINDS as readonly string[]).includes(kind);
}

export interface Scenario {
  readonly seed: number;
  /** The pair that has 80 % of the traffic; undefined: all pairs have the same. */
  readonly busiest: { readonly client: string; readonly server: string } | undefined;
  readonly faults: readonly Fault[];
}

const MOST_FAULTS = 5;

/**
 * @param turn each second one begins with an application's fault, of one kind after the other, so that none is rare; undefined: all is
 *   random
 */
export function scenarioOf(seed: number, turn?: number): Scenario {
  const random = new Random(seed);
  const busiest = random.chance(0.5) ? apart(random) : undefined;
  // Half of them have one fault, the others two to five.
  const count = random.chance(0.5) ? 1 : random.between(2, MOST_FAULTS);
  const faults: Fault[] = [];
  if (turn !== undefined && turn % 2 === 1) {
    const kind = ALL_KINDS[((turn - 1) / 2) % ALL_KINDS.length] as ApplicationKind;
    const fault = applicationOf(random, kind, busiest);
    if (isLonely(kind)) return { seed, busiest: undefined, faults: [fault] };
    faults.push(fault);
  }
  for (let tries = 0; faults.length < count && tries < 50; tries++) {
    const fault = random.chance(0.6)
      ? lossOf(random, busiest)
      : applicationOf(random, random.pick(APPLICATION_KINDS), busiest);
    if (faults.every((other) => areApart(fault, other))) faults.push(fault);
  }
  return { seed, busiest, faults };
}

/** Two pods on different nodes. */
function apart(random: Random): { client: string; server: string } {
  const client = random.pick(PODS);
  return { client, server: random.pick(PODS.filter((pod) => nodeOf(pod) !== nodeOf(client))) };
}

/** With skewed traffic half of the faults lie on the busiest pair's way, where they hide best. */
function lossOf(random: Random, busiest: Scenario["busiest"]): Fault {
  const { client, server } = busiest !== undefined && random.chance(0.5) ? busiest : apart(random);
  const share = random.pick(LOSSES);
  const kind = random.pick(["link", "node", "pod"] as const);
  if (kind === "link") return { kind: "loss", at: { kind, nodes: pairOf(nodeOf(client), nodeOf(server)) }, share };
  const pod = random.pick([client, server]);
  return { kind: "loss", at: kind === "node" ? { kind, node: nodeOf(pod) } : { kind, pod }, share };
}

/** Where all packets from one to the other are hurt, no other traffic may go there. */
function applicationOf(random: Random, kind: ApplicationKind, busiest: Scenario["busiest"]): ApplicationFault {
  if (!STRANGERS_ONLY.has(kind)) return { kind, ...apart(random) };
  const client = random.pick(PODS);
  const isBusiest = (pod: string) => busiest !== undefined && [busiest.client, busiest.server].includes(pod);
  const strangers = PODS.filter((pod) => nodeOf(pod) !== nodeOf(client) && !arePeers(client, pod));
  const server = random.pick(strangers.filter((pod) => !(isBusiest(pod) && isBusiest(client))));
  return { kind, client, server };
}

const STRANGERS_ONLY: ReadonlySet<ApplicationKind> = new Set<ApplicationKind>(["syn_cookies", "mtu_black_hole"]);

/** Who talks to whom while nothing is wrong: two pods on each other node, and one of its own. */
export function peersOf(pod: string): string[] {
  const index = PODS.filter((each) => nodeOf(each) === nodeOf(pod)).indexOf(pod);
  return NODES.flatMap((node) => {
    const there = PODS.filter((each) => nodeOf(each) === node);
    const next = there[(index + 1) % there.length] as string;
    return node === nodeOf(pod) ? [next] : [there[index % there.length] as string, next];
  });
}

function arePeers(one: string, other: string): boolean {
  return peersOf(one).includes(other) || peersOf(other).includes(one);
}

function pairOf(a: string, b: string): [string, string] {
  return a < b ? [a, b] : [b, a];
}

/**
 * One place, or one application, has one fault. Of three nodes, two that lose look like the third one and the link between the two; so
 * one loss at most is at a node or a link, and the others are at pods that it does not hurt. A partition has no losses beside it, and nothing
 * else between its nodes.
 */
function areApart(a: Fault, b: Fault): boolean {
  if (a.kind === "loss" && b.kind === "loss") {
    if (a.at.kind !== "pod" && b.at.kind !== "pod") return false;
    if (a.at.kind === "pod" && b.at.kind === "pod") return a.at.pod !== b.at.pod;
    const nodes = nodesOf(a.at);
    return nodesOf(b.at).every((node) => !nodes.includes(node));
  }
  const [cut, other] = a.kind === "partition" ? [a, b] : [b, a];
  if (cut.kind === "partition") {
    if (other.kind === "loss" || other.kind === "partition") return false;
    const nodes = [cut.client, cut.server].map(nodeOf);
    return ![other.client, other.server].every((pod) => nodes.includes(nodeOf(pod)));
  }
  if (a.kind === "loss" || b.kind === "loss") return true;
  return [a.client, a.server].every((pod) => pod !== b.client && pod !== b.server);
}

function nodesOf(place: LossPlace): readonly string[] {
  if (place.kind === "link") return place.nodes;
  return [place.kind === "node" ? place.node : nodeOf(place.pod)];
}

/** As the confusion matrix has it: `loss at a node`, `connect_refused`. */
export function kindOf(fault: Fault): string {
  return fault.kind === "loss" ? `loss at a ${fault.at.kind}` : fault.kind;
}
