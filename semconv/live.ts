/**
 * What a program sends, held against the registry, by the rules of Weaver's live-check and stricter ones: a name, a
 * unit, an instrument, an attribute or a value that the model does not have, and one that it requires and that is
 * not there. Pure: decoded points, spans and log records in, sentences out, each once.
 */
import type { Attribute, Metric, Registry, SharedUses, Use } from "./types.ts";
import { constantName, type Upstream } from "./upstream.ts";

type Value = string | number | boolean | readonly string[];
type Values = Readonly<Record<string, Value>>;

/** A metric's point as OTLP has it. */
export interface SentPoint {
  readonly metric: string;
  readonly unit: string;
  readonly instrument: "gauge" | "sum" | "histogram" | "exponential_histogram";
  /** `moment`: no growth, a gauge's or a non-monotonic sum's. */
  readonly kind: "moment" | "delta" | "cumulative";
  readonly attributes: Values;
  readonly resource: Values;
}

export interface SentSpan {
  readonly name: string;
  readonly kind: string;
  readonly attributes: Values;
  readonly resource: Values;
  readonly events: readonly { readonly name: string; readonly attributes: Values }[];
}

/** What a value of each type is; of released attributes the type is not known here. */
const TYPES: Readonly<Record<Attribute["type"], (value: Value) => boolean>> = {
  string: (value) => typeof value === "string",
  enum: (value) => typeof value === "string",
  int: Number.isInteger,
  double: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  "string[]": Array.isArray,
  released: () => true,
  family: (value) => typeof value === "string",
};

/** A log record; one without an event name is none of ours. */
export interface SentLog {
  readonly eventName: string;
  readonly attributes: Values;
  readonly resource: Values;
}

export class LiveCheck {
  readonly #registry: Registry;
  readonly #upstream: Upstream;
  readonly #metrics: ReadonlyMap<string, Metric>;
  readonly #findings = new Set<string>();

  constructor(registry: Registry, upstream: Upstream) {
    this.#registry = registry;
    this.#upstream = upstream;
    this.#metrics = new Map(registry.metrics.map((metric) => [metric.name, metric]));
  }

  /** Of everything that was added, each once. */
  get findings(): readonly string[] {
    return [...this.#findings];
  }

  addPoints(points: Iterable<SentPoint>): void {
    for (const point of points) {
      const metric = this.#metrics.get(point.metric);
      if (metric === undefined) this.#find(point.metric, "is a metric that the model does not have");
      else this.#point(point, metric);
    }
  }

  addSpans(spans: Iterable<SentSpan>): void {
    for (const sent of spans) {
      const where = `${sent.name} (${sent.kind})`;
      const span = this.#registry.spans.find(({ name, kind }) => name === sent.name && kind === sent.kind);
      if (span === undefined) this.#find(where, "is a span that the model does not have");
      else this.#attributes(where, sent.attributes, usesOf(span));
      for (const event of sent.events) {
        const known = this.#registry.events.find(({ name }) => name === event.name);
        if (known === undefined) this.#find(event.name, "is an event that the model does not have");
        else this.#attributes(event.name, event.attributes, usesOf(known));
      }
      this.#resource(sent.resource);
    }
  }

  addLogs(logs: Iterable<SentLog>): void {
    for (const { eventName, attributes, resource } of logs) {
      const event = this.#registry.events.find(({ name }) => name === eventName);
      if (event === undefined) this.#find(eventName, "is an event that the model does not have");
      else this.#attributes(eventName, attributes, usesOf(event));
      this.#resource(resource);
    }
  }

  #point(point: SentPoint, metric: Metric): void {
    const instrument = instrumentOf(point);
    if (instrument !== metric.instrument)
      this.#find(metric.name, `is sent as a ${instrument}, not ${metric.instrument}`);
    if (point.unit !== metric.unit) this.#find(metric.name, `is sent in ${point.unit}, not ${metric.unit}`);
    this.#attributes(metric.name, point.attributes, usesOf(metric));
    for (const [entity, identity] of metric.entities) {
      for (const name of identity) {
        if (!(name in point.resource)) this.#find(metric.name, `is of ${entity}, but its Resource lacks ${name}`);
      }
    }
    this.#resource(point.resource);
  }

  /** What is sent has a use, what is required is sent. */
  #attributes(where: string, sent: Values, uses: readonly Use[]): void {
    for (const [name, value] of Object.entries(sent)) {
      if (!uses.some((use) => use.name === name)) this.#find(where, `has no attribute ${name} in the model`);
      this.#value(where, name, value);
    }
    for (const { name, level } of uses) {
      if (level === "required" && !(name in sent)) this.#find(where, `lacks ${name}, which it requires`);
    }
  }

  /** Users add names of their own to a Resource; those below flowspan. are the model's. */
  #resource(sent: Values): void {
    for (const [name, value] of Object.entries(sent)) {
      const isOurs = name.startsWith("flowspan.");
      if (isOurs && !this.#registry.resources.some(({ uses }) => uses.some((use) => use.name === name))) {
        this.#find("a Resource", `has no attribute ${name} in the model`);
      }
      this.#value("a Resource", name, value);
    }
  }

  #value(where: string, name: string, value: Value): void {
    const attribute = this.#registry.attributes.get(name);
    if (attribute === undefined) return;
    const said = `says ${name}=${JSON.stringify(value)}`;
    if (!TYPES[attribute.type](value)) this.#find(where, `${said}, which is no ${attribute.type}`);
    else if (typeof value === "string" && !this.#isMember(attribute, value)) {
      this.#find(where, `${said}, a value that the model does not have`);
    }
  }

  /** A released enum of more than its fallback is a closed one; ours all are. */
  #isMember({ name, type, members }: Attribute, value: string): boolean {
    if (type === "enum") return members.some((member) => member.value === value);
    const released = this.#upstream.values.get(constantName(name));
    return released === undefined || released.size < 2 || released.has(value);
  }

  #find(where: string, what: string): void {
    this.#findings.add(`${where} ${what}`);
  }
}

function usesOf({ uses, shared }: { readonly uses: readonly Use[]; readonly shared: SharedUses | undefined }): Use[] {
  return [...(shared?.uses ?? []), ...uses];
}

function instrumentOf({ instrument, kind }: SentPoint): Metric["instrument"] {
  if (instrument === "gauge") return "gauge";
  if (instrument === "histogram" || instrument === "exponential_histogram") return "histogram";
  return kind === "moment" ? "updowncounter" : "counter";
}
