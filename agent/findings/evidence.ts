/**
 * What findings are judged by: the growth of one interval, as plain values with names. Whoever adds evidence adds a field here,
 * and fills it in evidence-of.ts.
 */
import type { FINDINGS, FindingName } from "../generated/findings.ts";
import type { Attributes } from "../model/attribute.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { EvidenceGrowth } from "../model/evidence-growth.ts";
import type { ConntrackCounters, NeighbourTable } from "../model/kernel-evidence.ts";
import type { LocalEnd, Names } from "../model/names.ts";
import type { NamespaceCounters } from "../model/probe-event.ts";
import type { Observation } from "./place-model.ts";

/** Of one interval: the time from one exchange to the next. */
export interface Evidence {
  /** Milliseconds. */
  readonly intervalMs: number;
  /** Those with trouble, under their names. */
  readonly edges: readonly EdgeEvidence[];
  /** Growth of each net namespace's own counters, by its inode number. One that was not read before is absent. */
  readonly namespaces: ReadonlyMap<number, NamespaceEvidence>;
  /**
   * Who sent to whom, healthy traffic too: in this interval and, for detectors, those right before it, the newest first. Two intervals
   * in a row in which nothing was lost end it.
   */
  readonly paths: readonly (readonly Path[])[];
  /** Connects of this interval, healthy ones too; empty where all were answered. */
  readonly connects: readonly Observation[];
  /** This one. */
  readonly node: () => LocalEnd;
  /** Packets that the kernel dropped, with its reason. */
  readonly drops: readonly EvidenceGrowth[];
  /** Those of the seconds before, at least of the interval before: a SYN is sent again 1 s and 3 s after it was dropped. */
  readonly pastDrops: readonly EvidenceGrowth[];
  /** Neighbours that did not answer, or found no room in their table. */
  readonly neighbours: readonly EvidenceGrowth[];
  /** Of each address family; absent where it was not read before. */
  readonly neighbourTables: readonly NeighbourTableEvidence[];
  /** Other nodes that do not answer, those first that have been silent for longest. Empty where peers' nodes are not known. */
  readonly silentNodes: readonly SilentNode[];
  /** Other nodes that get only a part of what this node sends; one may be silent in this interval, too. */
  readonly lossyNodes: readonly LossyNode[];
  /** Those that answer or get all again, as they were when they did: for as long as their connections may wait to send again. */
  readonly recoveringNodes: readonly (SilentNode | LossyNode)[];
}

/** A table as it is now, and the entries that have found no room in it within the interval. */
export interface NeighbourTableEvidence extends Pick<NeighbourTable, "family" | "entries" | "thresholds"> {
  readonly overflows: number;
}

/** Another node of which no pod answers this one's. Counts are since it is silent. */
export interface SilentNode {
  /** Its name. */
  readonly node: string;
  /** From the start of the first interval in which it was asked and did not answer. */
  readonly silentMs: number;
  /** Pods there, and Services that are there alone, which were asked; and the Resources here that asked. */
  readonly peers: number;
  readonly senders: number;
  /** Segments that were sent again: SYNs, after the timer, and probes for a lost tail. */
  readonly resentSyns: number;
  readonly timeouts: number;
  readonly probes: number;
  /** Connects that ended without an answer, and those that ended since this node did not find the way. */
  readonly timedOut: number;
  readonly unreachable: number;
  /** How often no neighbour answered for an address of it. */
  readonly unresolved: number;
  /** Segments that came from it. */
  readonly received: number;
  /** Whether its segments come, so that the way to it alone is broken. */
  readonly isHeard: boolean;
  /** Whether any other node has answered since: in this interval, or after the first one of the silence. */
  readonly othersAnswer: boolean;
}

/** Another node that loses much of what this node sends, whichever of its pods it is for. `silentMs` is for how long. */
export interface LossyNode extends SilentNode {
  /** Of the segments sent since, those that were sent again. */
  readonly lostShare: number;
}

export interface EdgeEvidence {
  readonly key: EdgeKey;
  readonly names: Names;
  /** By EDGE_COUNTERS. */
  readonly growth: Float64Array;
  /** Open connections; of a listener those that wait to be accepted, and how many may. */
  readonly open: number;
  readonly limit: number;
}

/** Segments of one end here to one peer in one interval. */
export interface Path {
  /** The same in each interval. */
  readonly id: string;
  /** PlaceNames of paths.ts. */
  readonly places: readonly string[];
  readonly segments: number;
  /** Segments that were sent again, without those that the peer already had; for detectors without those that a cause accounts for. */
  readonly lost: number;
  /** Where the peer is, if that is known. */
  readonly peerNode: string | undefined;
  /** Those that lost some; of the interval alone that is the newest. */
  readonly edges: readonly EdgeEvidence[];
}

/** Counters of a net namespace. */
export type NamespaceGrowth = Omit<NamespaceCounters, "netns" | "pid" | "cookie" | "cgroup" | "conntrack">;

export interface NamespaceEvidence {
  readonly netns: number;
  /** Tells it from a later namespace with the same inode number. */
  readonly id: string;
  readonly growth: NamespaceGrowth;
  /** Connection tracking: entries and limit as they are now, the rest as growth. */
  readonly conntrack: ConntrackCounters;
  /** Who lives in it: what the Resources of all its ends have in common; the node where nobody is known. */
  readonly subject: LocalEnd;
}

/** What a detector says of one place in one interval. It says so also below its limits, so that counts are whole. */
export interface Candidate {
  /** Tells places of one finding apart; the subject's id is part of it. */
  readonly key: string;
  /** Keys that this place had, or may get, while less is, or more will be, known: a finding under one of them goes on. */
  readonly otherKeys?: readonly string[];
  readonly subject: LocalEnd;
  /** What is compared with the threshold. */
  readonly value: number;
  /** Whether all limits are reached. */
  readonly holds: boolean;
  /** Whether a finding that is active goes on without that: limits that are lower for it keep it from flapping. */
  readonly goesOn?: boolean;
  /** Added up from interval to interval, by attribute name. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of this interval, by attribute name. */
  readonly facts: Attributes;
  /** For explanations.ts: the parts of its value. */
  readonly shows?: readonly Shown[];
  /** Whether its value is the largest part of it, and not the sum. */
  readonly isLargest?: boolean;
  /** What it accounts for. */
  readonly accountsFor?: readonly Accounted[];
}

/** A part of a candidate's value. */
export interface Shown {
  /** All places that it is at, by places.ts. */
  readonly places: readonly string[];
  readonly count: number;
}

/** Trouble at a place of which a candidate is the cause. */
export interface Accounted {
  readonly place: string;
  /** Packets that came to harm; Infinity where one cause may hurt any number of them. */
  readonly count: number;
}

/** The limits of one finding, by name. */
export type LimitsOf<Name extends FindingName> = {
  readonly [Limit in keyof (typeof FINDINGS)[Name]["thresholds"]]: number;
};

/** What the settings say of each finding. */
export type FindingLimits = { readonly [Name in FindingName]: LimitsOf<Name> & { readonly enabled: boolean } };

/** Pure: the same evidence gives the same candidates, each key once. */
export type Detector<Name extends FindingName> = (evidence: Evidence, limits: LimitsOf<Name>) => readonly Candidate[];
