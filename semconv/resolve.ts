/**
 * Turns checked model files into one registry: definitions collected, references followed, `extends`
 * filled in. Pure; what only the whole registry can show (duplicate ids, references to nothing, names
 * that are not ours to define) becomes a problem here.
 */

import type {
  Attribute,
  Elsewhere,
  Event,
  FindingRemarks,
  Instrument,
  Member,
  Metric,
  Problem,
  Registry,
  RequirementLevel,
  SharedUses,
  Span,
  SpanKind,
  Stability,
  Thing,
  Use,
} from "./types.ts";
import { constantName, entityOf, type Upstream } from "./upstream.ts";

/** One model file after YAML, its shape checked. */
export interface ModelFile {
  /** Path as problems show it. */
  readonly file: string;
  /** The file's name without ending: the section of its metrics. */
  readonly section: string;
  readonly groups: readonly Group[];
  readonly imports?: { readonly entities?: readonly string[] };
}

interface Group {
  readonly id: string;
  readonly type: "attribute_group" | "metric" | "entity" | "event" | "span";
  readonly brief: string;
  readonly note?: string;
  readonly stability?: Stability;
  readonly extends?: string;
  readonly attributes?: readonly AttributeField[];
  readonly annotations?: {
    readonly flowspan: { readonly wrong?: string; readonly name?: string } & Elsewhere & FindingRemarks;
  };
  readonly metric_name?: string;
  readonly instrument?: Instrument;
  readonly unit?: string;
  readonly entity_associations?: readonly string[];
  readonly name?: string;
  readonly span_kind?: SpanKind;
}

interface AttributeField {
  readonly id?: string;
  readonly ref?: string;
  readonly type?: Attribute["type"] | { readonly members: readonly Member[] };
  readonly brief?: string;
  readonly note?: string;
  readonly stability?: Stability;
  readonly examples?: Attribute["examples"];
  readonly requirement_level?: RequirementLevel;
  readonly annotations?: {
    readonly flowspan: {
      readonly values?: readonly { readonly id?: string; readonly value: string; readonly brief: string }[];
      readonly defined_by?: string;
    };
  };
}

interface Place {
  readonly file: string;
  readonly path: string;
}

export function resolve(files: readonly ModelFile[], upstream: Upstream): { registry: Registry; problems: Problem[] } {
  const resolver = new Resolver(files, upstream);
  return { registry: resolver.registry(), problems: resolver.problems };
}

class Resolver {
  readonly problems: Problem[] = [];
  readonly #upstream: Upstream;
  readonly #files: readonly ModelFile[];
  readonly #groups = new Map<string, Group>();
  readonly #groupPlaces = new Map<string, Place>();
  readonly #attributes = new Map<string, Attribute>();
  readonly #names = new Map<string, Place>();

  constructor(files: readonly ModelFile[], upstream: Upstream) {
    this.#files = files;
    this.#upstream = upstream;
  }

  registry(): Registry {
    const metrics: Metric[] = [];
    const resources: Thing[] = [];
    const events: Event[] = [];
    const spans: Span[] = [];
    for (const [group, place] of this.#each()) {
      this.#once(this.#groupPlaces, group.id, { ...place, path: `${place.path}.id` });
      this.#groups.set(group.id, group);
    }
    for (const [group, place] of this.#each()) this.#define(group, place);
    for (const [group, place] of this.#each()) {
      const uses = this.#uses(group, place);
      if (group.type === "metric") metrics.push(this.#metric(group, place, uses));
      else if (group.type === "entity") resources.push(this.#thing(group, place, uses));
      else if (group.type === "event") events.push(this.#event(group, place, uses));
      else if (group.type === "span") spans.push(this.#span(group, place, uses));
    }
    return { attributes: this.#attributes, metrics, resources, events, spans };
  }

  *#each(): Generator<[Group, Place & { readonly section: string }]> {
    for (const { file, section, groups } of this.#files) {
      for (const [index, group] of groups.entries()) yield [group, { file, section, path: `groups[${index}]` }];
    }
  }

  /** Takes the group's own definitions into the registry, and what it says of released attributes. */
  #define(group: Group, place: Place): void {
    for (const [index, field] of (group.attributes ?? []).entries()) {
      const at = { file: place.file, path: `${place.path}.attributes[${index}]` };
      if (field.id !== undefined) this.#defineOwn(field, field.id, at);
      else if (field.annotations !== undefined && field.ref !== undefined) this.#defineReleased(field, field.ref, at);
    }
  }

  #defineOwn(field: AttributeField, name: string, place: Place): void {
    const at = { ...place, path: `${place.path}.id` };
    this.#once(this.#names, name, at);
    const specification = field.annotations?.flowspan.defined_by;
    if (this.#upstream.attributes.has(name)) this.#report(at, `${name} is released`, "use `ref` for it");
    else if (!name.startsWith("flowspan.") && specification === undefined) {
      const remedy = "use a name under flowspan., or say which specification has it: annotations.flowspan.defined_by";
      this.#report(at, `${name} is not ours to define`, remedy);
    }
    const enumerated = typeof field.type === "object" ? field.type.members : [];
    this.#attributes.set(name, {
      name,
      type: typeof field.type === "object" ? "enum" : (field.type ?? "string"),
      members: enumerated,
      brief: sentence(field.brief),
      note: sentence(field.note),
      stability: field.stability ?? "development",
      examples: field.examples ?? [],
      origin: specification ?? "flowspan",
    });
  }

  #defineReleased(field: AttributeField, name: string, place: Place): void {
    const remarks = field.annotations?.flowspan;
    const released = this.#upstream.values.get(constantName(name));
    const members = (remarks?.values ?? []).map(({ id, value, brief }, index) => {
      // error.type lists only its fallback upstream and is open by its own words; a list of more is a closed one.
      if (released !== undefined && released.size > 1 && !released.has(value)) {
        const path = `${place.path}.annotations.flowspan.values[${index}].value`;
        this.#report(
          { ...place, path },
          `${value} is no released value of ${name}`,
          `use one of ${[...released].join(", ")}`,
        );
      }
      return { id: id ?? value, value, brief };
    });
    this.#takeReleased(name, { ...place, path: `${place.path}.ref` });
    const taken = this.#attributes.get(name);
    if (taken === undefined) return;
    this.#attributes.set(name, { ...taken, members, brief: sentence(field.brief), note: sentence(field.note) });
  }

  #takeReleased(name: string, place: Place): void {
    const stability = this.#upstream.attributes.get(name);
    if (stability === undefined) {
      const remedy = name.startsWith("flowspan.")
        ? "define it in attributes.yaml"
        : `check the spelling against @opentelemetry/semantic-conventions ${this.#upstream.version}, or define a name under flowspan.`;
      this.#report(place, `${name} does not exist`, remedy);
      return;
    }
    this.#attributes.set(name, {
      name,
      type: this.#upstream.templates.has(name) ? "family" : "released",
      members: [],
      brief: "",
      note: "",
      stability,
      examples: [],
      origin: "conventions",
    });
  }

  #uses(group: Group, place: Place): Use[] {
    return (group.attributes ?? []).map((field, index) => {
      const name = field.ref ?? field.id ?? "";
      const at = { file: place.file, path: `${place.path}.attributes[${index}].ref` };
      if (!this.#attributes.has(name)) this.#takeReleased(name, at);
      return use(field, name);
    });
  }

  #shared(group: Group, place: Place): SharedUses | undefined {
    if (group.extends === undefined) return undefined;
    const base = this.#groups.get(group.extends);
    if (base !== undefined) {
      const uses = (base.attributes ?? []).map((field) => use(field, field.ref ?? field.id ?? ""));
      return { id: base.id, brief: sentence(base.brief), uses };
    }
    const at = { ...place, path: `${place.path}.extends` };
    this.#report(at, `no group ${group.extends} exists`, "name the id of an attribute_group");
    return undefined;
  }

  #metric(group: Group, place: Place & { readonly section: string }, uses: Use[]): Metric {
    const name = group.metric_name ?? "";
    const at = { ...place, path: `${place.path}.metric_name` };
    const ours = name.startsWith("flowspan.");
    this.#once(this.#names, name, at);
    if (!ours && !this.#upstream.metrics.has(name)) {
      this.#report(at, `${name} is not ours to define`, "use the name of a released metric, or one under flowspan.");
    }
    const { wrong, name: _, ...elsewhere } = group.annotations?.flowspan ?? {};
    return {
      ...this.#common(group),
      name,
      instrument: group.instrument ?? "counter",
      unit: group.unit ?? "1",
      uses,
      shared: this.#shared(group, place),
      origin: ours ? "flowspan" : "conventions",
      section: place.section,
      wrong: sentence(wrong),
      elsewhere,
      entities: this.#entities(group, name, place),
    };
  }

  /** The entities that the metric is of. A Resource of the model must be able to hold each. */
  #entities({ entity_associations = [] }: Group, metric: string, place: Place): Map<string, readonly string[]> {
    const at = { ...place, path: `${place.path}.entity_associations` };
    const released = entityOf(metric);
    if (released !== undefined && !entity_associations.includes(released)) {
      this.#report(at, `lacks ${released}`, `the conventions have ${metric} there: add it`);
    }
    return new Map(
      entity_associations.map((entity) => {
        const identity = this.#upstream.entities.get(entity);
        if (identity === undefined) this.#report(at, `no entity ${entity} is known`, "add it to upstream.ts");
        else if (!this.#files.some(({ imports }) => imports?.entities?.includes(entity))) {
          this.#report(
            at,
            `no file imports the entity ${entity}`,
            `add it to the file: imports: {entities: [${entity}]}`,
          );
        } else if (!this.#someResourceHas(identity)) {
          this.#report(at, `no Resource has ${identity.join(" and ")}`, "add them to an entity in resources.yaml");
        }
        return [entity, identity ?? []];
      }),
    );
  }

  #someResourceHas(identity: readonly string[]): boolean {
    return [...this.#groups.values()].some(
      ({ type, attributes = [] }) =>
        type === "entity" &&
        identity.every((name) => attributes.some((use) => use.ref === name && use.requirement_level === "required")),
    );
  }

  #span(group: Group, place: Place, uses: Use[]): Span {
    const id = group.id.slice("span.flowspan.".length);
    const kind = group.span_kind ?? "internal";
    const name = group.annotations?.flowspan.name ?? "";
    return { ...this.#common(group), id, kind, name, uses, shared: this.#shared(group, place) };
  }

  #event(group: Group, place: Place, uses: Use[]): Event {
    const finding = group.annotations?.flowspan;
    return { ...this.#thing(group, place, uses), shared: this.#shared(group, place), finding };
  }

  #thing(group: Group, place: Place, uses: Use[]): Thing {
    const name = group.name ?? "";
    const at = { ...place, path: `${place.path}.name` };
    this.#once(this.#names, name, at);
    if (!name.startsWith("flowspan.")) {
      this.#report(at, `${name} is not ours to define`, "use a name under flowspan.");
    }
    return { ...this.#common(group), name, uses };
  }

  #common(group: Group): Pick<Thing, "brief" | "note" | "stability"> {
    return { brief: sentence(group.brief), note: sentence(group.note), stability: group.stability ?? "development" };
  }

  #once(places: Map<string, Place>, name: string, place: Place): void {
    const first = places.get(name);
    if (first === undefined) places.set(name, place);
    else this.#report(place, `${name} is defined twice`, `rename it, or remove ${first.file} ${first.path}`);
  }

  #report(place: Place, message: string, remedy: string): void {
    this.problems.push({ file: place.file, path: place.path, message, remedy });
  }
}

function use(field: AttributeField, name: string): Use {
  const brief = field.ref === undefined ? "" : sentence(field.brief);
  return { name, level: field.requirement_level ?? "recommended", brief };
}

/** YAML's folded text on one line. */
function sentence(text: string | undefined): string {
  return (text ?? "").replace(/\s+/g, " ").trim();
}
