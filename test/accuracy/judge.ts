/**
 * What a scenario's agents found, held against what went wrong in it. Pure.
 *
 * A fault is found where a finding of its kind is about its ends. A loss is found where an agent has a finding that may be about its place,
 * and all agents' counts together name that place alone; where they name several, it is `unknown`. A finding that no fault explains is wrong, and
 * so is a place.
 */
import type { Suspect } from "../../agent/findings/localize.ts";
import { linkOf } from "./all-nodes.ts";
import { type ApplicationFault, type Fault, kindOf, type LossPlace, nodeOf, type Scenario } from "./scenario.ts";

/** One finding, as its log records have it. */
export interface Found {
  /** Without `flowspan.finding.`. */
  readonly name: string;
  /** Of the agent. */
  readonly node: string;
  /** Keys of pods; undefined where it is about a node, or the peer has no name. */
  readonly subject: string | undefined;
  readonly peer: string | undefined;
  readonly peerNode?: string | undefined;
  /** Of retransmits: `peer_node node-2`, `local_pod n1p1`, … */
  readonly candidates: readonly string[];
  /** Exchanges from the fault to the start. */
  readonly intervals: number;
}

export interface FaultVerdict {
  readonly kind: string;
  /** Share of packets lost. */
  readonly share: number | undefined;
  readonly skewed: boolean;
  /** In the same scenario, with this one. */
  readonly faults: number;
  readonly outcome: "found" | "unknown" | "missed";
  /** Exchanges until its first finding started. */
  readonly intervals: number | undefined;
}

export interface ScenarioVerdict {
  readonly seed: number;
  readonly faults: readonly FaultVerdict[];
  /** How many findings agents had. */
  readonly findings: number;
  /** Those that no fault explains. */
  readonly wrong: readonly string[];
  /** Where something is wrong: the largest share of a second that a thread of a pod has waited for a core, by the pod's key. */
  readonly waited?: Readonly<Record<string, number>>;
  /** Places that all counts together name, where an agent found a loss, and that are none of the faults'. */
  readonly wrongPlaces: readonly string[];
}

/** @param suspects by all agents' counts together */
export function judge(scenario: Scenario, found: readonly Found[], suspects: readonly Suspect[]): ScenarioVerdict {
  const { seed, busiest, faults } = scenario;
  const verdicts = faults.map((fault): FaultVerdict => {
    const own = found.filter((each) => isOf(each, fault));
    const share = fault.kind === "loss" ? fault.share : undefined;
    const intervals = own.length === 0 ? undefined : Math.min(...own.map((each) => each.intervals));
    const outcome = own.length === 0 ? "missed" : fault.kind === "loss" ? placed(fault.at, suspects) : "found";
    return { kind: kindOf(fault), share, skewed: busiest !== undefined, faults: faults.length, intervals, outcome };
  });
  const isExplained = (each: Found) => faults.some((fault) => isOf(each, fault) || follows(each, fault));
  const wrong = found.filter((each) => !isExplained(each)).map(textOf);
  // Without a finding nobody asks where.
  const places = found.some(({ name }) => name === "retransmits") ? suspects : [];
  const truth = faults.flatMap(lossyPlaces);
  const holes = faults.filter((fault): fault is ApplicationFault => fault.kind === "mtu_black_hole");
  const isTrue = (name: string) => truth.includes(name) || holes.some((hole) => isBetween(name, hole));
  const wrongPlaces = places.filter((suspect) => !namesOf(suspect).some(isTrue));
  return {
    seed,
    faults: verdicts,
    findings: found.length,
    wrong,
    wrongPlaces: wrongPlaces.map((suspect) => namesOf(suspect).join(" or ")),
  };
}

/** A link that is cut loses all that is sent to it. */
function lossyPlaces(fault: Fault): string[] {
  if (fault.kind === "partition") return [linkOf(nodeOf(fault.client), nodeOf(fault.server))];
  return fault.kind === "loss" ? [placeName(fault.at)] : [];
}

function placed(at: LossPlace, suspects: readonly Suspect[]): FaultVerdict["outcome"] {
  const place = placeName(at);
  if (suspects.some((suspect) => suspect.place === place && suspect.alternatives.length === 0)) return "found";
  return suspects.some((suspect) => namesOf(suspect).includes(place)) ? "unknown" : "missed";
}

function namesOf({ place, alternatives }: Suspect): string[] {
  return [place, ...alternatives].flatMap((each) => each.split(" and "));
}

function placeName(at: LossPlace): string {
  switch (at.kind) {
    case "link":
      return linkOf(...at.nodes);
    case "node":
      return `node ${at.node}`;
    case "pod":
      return `pod ${at.pod}`;
  }
}

function isOf(found: Found, fault: Fault): boolean {
  if (fault.kind === "loss") {
    if (found.name !== "retransmits") return false;
    const names = found.candidates.flatMap((each) => each.split(" and "));
    return names.some((name) => clusterPlaces(found.node, name).includes(placeName(fault.at)));
  }
  return found.name === fault.kind && isAt(found, fault);
}

function isAt({ node, subject, peer, peerNode }: Found, { kind, client, server }: ApplicationFault): boolean {
  const nodes = [nodeOf(client), nodeOf(server)];
  switch (kind) {
    // Queues are their listener's.
    case "listen_queue_overflow":
    case "syn_cookies":
      return subject === server;
    // On the way to the server.
    case "packets_dropped":
    case "mtu_black_hole":
      return subject === undefined && node === nodeOf(server);
    // The node that it is of tracks what both send.
    case "conntrack_full":
      return subject === undefined && nodes.includes(node);
    case "partition":
      return node !== peerNode && nodes.includes(node) && nodes.includes(peerNode ?? "");
    default:
      return subject === client && (peer === undefined || peer === server);
  }
}

/** What a place may be that an agent names: a peer's node stands for the link to it. */
function clusterPlaces(node: string, candidate: string): string[] {
  const [kind = "", name = ""] = candidate.split(" ");
  if (kind === "peer_node") return [`node ${name}`, linkOf(node, name)];
  return [`${kind.replace(/^(local|peer)_/, "")} ${name}`];
}

/**
 * What is right beside a fault's own finding. Clients of a full accept queue get no answer, too, and are refused once its listener has been
 * ended. The agent of the client's node knows nothing of what the server's node drops: it has what that does to the client.
 */
function follows(found: Found, fault: Fault): boolean {
  switch (fault.kind) {
    case "listen_queue_overflow":
      return found.subject === fault.client && ["connect_unanswered", "connect_refused"].includes(found.name);
    case "packets_dropped":
      return found.subject === fault.client && found.name === "connect_unanswered";
    case "mtu_black_hole":
      return found.name === "retransmits" && found.candidates.some((each) => isBetween(each, fault));
    default:
      return false;
  }
}

/** Whether a place may be either pod, or the pair. */
function isBetween(place: string, { client, server }: ApplicationFault): boolean {
  return place.split(/[ >]+/).some((word) => word === client || word === server);
}

function textOf({ name, node, subject, peer, candidates }: Found): string {
  if (name === "retransmits") return `${name} at ${node}: ${candidates.join(" or ")}`;
  return `${name} at ${node}: ${subject ?? "the node"} to ${peer ?? "?"}`;
}
