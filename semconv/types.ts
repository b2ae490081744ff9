/**
 * The registry as the generator sees it: what stands in model/*.yaml once it has been read and checked.
 *
 * Field names are the weaver registry's, so a model file reads the same here, there and upstream.
 * Our own remarks (where a number can be wrong, what others call it) live under `annotations.flowspan`.
 */

export const INSTRUMENTS = ["counter", "updowncounter", "gauge", "histogram"] as const;
export type Instrument = (typeof INSTRUMENTS)[number];

export const STABILITIES = ["development", "alpha", "beta", "release_candidate", "stable"] as const;
export type Stability = (typeof STABILITIES)[number];

export type RequirementLevel = "required" | "recommended" | "opt_in" | { readonly conditionally_required: string };

export interface Member {
  readonly id: string;
  readonly value: string;
  readonly brief: string;
  /** What follows is of losses alone: losses.ts. */
  readonly note?: string;
  readonly annotations?: {
    readonly flowspan: { readonly where?: string; readonly severity?: string; readonly remedy?: string };
  };
}

/**
 * An attribute that the registry defines or takes from outside; `members` is empty unless it is an enum.
 * A `family` has a last part of its own for each key: `k8s.pod.label` stands for `k8s.pod.label.team`.
 */
export interface Attribute {
  readonly name: string;
  readonly type: "string" | "int" | "double" | "boolean" | "string[]" | "enum" | "released" | "family";
  readonly members: readonly Member[];
  readonly brief: string;
  readonly note: string;
  readonly stability: string;
  readonly examples: readonly (string | number | boolean | readonly string[])[];
  /** Where the name is defined: us, the released conventions, or an OpenTelemetry specification (a link). */
  readonly origin: "flowspan" | "conventions" | string;
}

/** One attribute of a metric, resource or event. */
export interface Use {
  readonly name: string;
  readonly level: RequirementLevel;
  /** What it means here; empty: what its definition says. */
  readonly brief: string;
}

/** What three other sources call the same thing; absent where nothing of theirs counts it. */
export interface Elsewhere {
  readonly obi?: readonly string[];
  readonly netobserv?: readonly string[];
  readonly proposal?: readonly string[];
  /** How far the names above mean the same. */
  readonly remark?: string;
}

/** Attributes that several metrics have, said once: an attribute_group that metrics extend. */
export interface SharedUses {
  readonly id: string;
  readonly brief: string;
  readonly uses: readonly Use[];
}

export interface Metric {
  readonly name: string;
  readonly instrument: Instrument;
  readonly unit: string;
  readonly brief: string;
  readonly note: string;
  readonly stability: Stability;
  /** Its own attributes; with `shared` they are all it has. */
  readonly uses: readonly Use[];
  readonly shared: SharedUses | undefined;
  /** Our own name, or one of the released conventions. */
  readonly origin: "flowspan" | "conventions";
  /** Heading of the reference under which it stands: `flow`, `coverage`, `self`. */
  readonly section: string;
  /** Where the number can be wrong, in words for its reader. */
  readonly wrong: string;
  readonly elsewhere: Elsewhere;
  /** Entities that must be on the Resource, each by the attributes that identify it. */
  readonly entities: ReadonlyMap<string, readonly string[]>;
}

export const SPAN_KINDS = ["client", "server", "producer", "consumer", "internal"] as const;
export type SpanKind = (typeof SPAN_KINDS)[number];

/** A span; several kinds may have one name, so that its constant is named after the group's id. */
export interface Span extends Thing {
  /** The group's id without its `span.flowspan.`: `tcp.connection.client`. */
  readonly id: string;
  readonly kind: SpanKind;
  readonly shared: SharedUses | undefined;
}

/** Of a span or of a log record. */
export interface Event extends Thing {
  readonly shared: SharedUses | undefined;
  /** What stands under annotations.flowspan of a finding: findings.ts reads it. */
  readonly finding: FindingRemarks | undefined;
}

/** One limit of a finding; it is a setting. */
export interface Threshold {
  readonly default: number;
  readonly unit: string;
  readonly brief: string;
}

/** What the model says of a finding besides its name, meaning and evidence. */
export interface FindingRemarks {
  readonly subject?: string;
  readonly severity?: string;
  readonly start_after?: number;
  readonly end_after?: number;
  readonly thresholds?: Readonly<Record<string, Threshold>>;
  readonly cause?: string;
  readonly command?: string;
  readonly runbook?: string;
}

/** A resource or an event: a name and the attributes it has. */
export interface Thing {
  readonly name: string;
  readonly brief: string;
  readonly note: string;
  readonly stability: Stability;
  readonly uses: readonly Use[];
}

export interface Registry {
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly metrics: readonly Metric[];
  readonly resources: readonly Thing[];
  readonly events: readonly Event[];
  readonly spans: readonly Span[];
}

/** One mistake in a model file, in words that say what to do. */
export interface Problem {
  readonly file: string;
  /** Path to the field inside the file: `groups[3].attributes[0].ref`. */
  readonly path: string;
  readonly message: string;
  readonly remedy: string;
}
