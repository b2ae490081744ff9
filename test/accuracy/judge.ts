/**
 * What a scenario's agents found, held against what went wrong in it. Pure.
 *
 * A fault is found where a finding of its kind is about its place; a loss where all agents' places together name its place. A finding
 * is right where a fault explains it, wrong where none does. A loss of which only several candidates are named is `unknown`.
 */
import { joinPlaces, linkOf, type Seen } from "./joined.ts";
import { type Fault, kindOf, type LossPlace, type Scenario } from "./scenario.ts";

/** One finding, as its log records have it. */
export interface Found {
  /** Without `flowspan.finding.`. */
  readonly name: string;
  /** Of the agent. */
  readonly node: string;
  /** Names of pods: `default/n1p1`; undefined where it is about a node, or the peer has no name. */
  readonly subject: string | undefined;
  readonly peer: string | undefined;
  /** Of retransmits. */
  readonly candidates: readonly string[];
  /** Exchanges from the fault to the start. */
  readonly intervals: number;
}

export interface FaultVerdict {
  readonly kind: string;
  /** Share of packets lost. */
  readonly share: number | undefined;
  readonly skewed: boolean;
  readonly faults: number;
  readonly outcome: "found" | "unknown" | "missed";
  /** Exchanges until its first finding started. */
  readonly intervals: number | undefined;
}

export interface ScenarioVerdict {
  readonly seed: number;
  readonly faults: readonly FaultVerdict[];
  /** Places and findings that no fault explains. */
  readonly wrong: readonly string[];
}

/** @param podName `default/NAME` of a pod's key */
export function judge(scenario: Scenario, found: readonly Found[], podName: (key: string) => string): ScenarioVerdict {
  const { seed, busiest, faults } = scenario;
  const losses = found.filter(({ name }) => name === "retransmits");
  const joined = joinPlaces(losses.map(({ node, candidates }): Seen => ({ node, candidates })));
  const places = new Map(
    faults.flatMap((fault) => (fault.kind === "loss" ? [[placeName(fault.at, podName), fault]] : [])),
  );
  const verdicts = faults.map((fault): FaultVerdict => {
    const own = found.filter((each) => isOf(each, fault, podName));
    const share = fault.kind === "loss" ? fault.share : undefined;
    const intervals = own.length === 0 ? undefined : Math.min(...own.map((each) => each.intervals));
    const common = { kind: kindOf(fault), share, skewed: busiest !== undefined, faults: faults.length, intervals };
    if (fault.kind !== "loss") return { ...common, outcome: own.length > 0 ? "found" : "missed" };
    const place = placeName(fault.at, podName);
    if (joined.places.includes(place)) return { ...common, outcome: "found" };
    return { ...common, outcome: joined.undecided.includes(place) ? "unknown" : "missed" };
  });
  const wrongPlaces = joined.places.filter((place) => !places.has(place)).map((place) => `retransmits: ${place}`);
  const undecided = joined.undecided.length > 0 && !joined.undecided.some((place) => places.has(place));
  const wrongFindings = found
    .filter(
      (each) =>
        each.name !== "retransmits" &&
        !faults.some((fault) => isOf(each, fault, podName) || follows(each, fault, podName)),
    )
    .map(({ name, subject, peer, node }) => `${name}: ${subject ?? node} to ${peer ?? "?"}`);
  return {
    seed,
    faults: verdicts,
    wrong: [
      ...wrongPlaces,
      ...(undecided ? [`retransmits: one of ${joined.undecided.join(", ")}`] : []),
      ...wrongFindings,
    ],
  };
}

export function placeName(at: LossPlace, podName: (key: string) => string): string {
  switch (at.kind) {
    case "link":
      return linkOf(...at.nodes);
    case "node":
      return `node ${at.node}`;
    case "pod":
      return `pod ${podName(at.pod)}`;
  }
}

function isOf(found: Found, fault: Fault, podName: (key: string) => string): boolean {
  if (fault.kind === "loss") {
    const place = placeName(fault.at, podName);
    const { places, undecided } = joinPlaces([found]);
    return found.name === "retransmits" && [...places, ...undecided].includes(place);
  }
  if (found.name !== fault.kind) return false;
  // An accept queue is its listener's.
  if (fault.kind === "listen_queue_overflow") return found.subject === podName(fault.server);
  return found.subject === podName(fault.client) && (found.peer === undefined || found.peer === podName(fault.server));
}

/** Clients of a full accept queue get no answer, too. */
function follows(found: Found, fault: Fault, podName: (key: string) => string): boolean {
  if (fault.kind !== "listen_queue_overflow") return false;
  return found.name === "connect_unanswered" && found.subject === podName(fault.client);
}
