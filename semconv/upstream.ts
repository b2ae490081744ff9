/**
 * The names that OpenTelemetry has released, read from the constants of @opentelemetry/semantic-conventions.
 *
 * A constant of the stable entry point makes a name stable; one that only the incubating entry point has
 * is in development upstream and may still change there.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as stable from "@opentelemetry/semantic-conventions";
import * as incubating from "@opentelemetry/semantic-conventions/incubating";

export interface Upstream {
  /** Version of the conventions, which is also the package's. */
  readonly version: string;
  readonly attributes: ReadonlyMap<string, "stable" | "development">;
  /** Those of `attributes` that are the front part of a family: `k8s.pod.label` of `k8s.pod.label.team`. */
  readonly templates: ReadonlySet<string>;
  readonly metrics: ReadonlyMap<string, "stable" | "development">;
  /** Values that the conventions list for an enum, by the attribute's constant name without `ATTR_`. */
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
  /** What a Resource must say for one of these entities to be on it. */
  readonly entities: ReadonlyMap<string, readonly string[]>;
}

/** The identity of the entities that our metrics are of; the package has constants for attributes and metrics only. */
const ENTITIES = new Map([["process", ["process.pid", "process.creation.time"]]]);
/** Metrics whose name begins so are, by the conventions, of the entity of that name. */
const ENTITY_OF_METRIC = /^(process)\./;

/** The entity that the conventions associate with a released metric. */
export function entityOf(metric: string): string | undefined {
  return ENTITY_OF_METRIC.exec(metric)?.[1];
}

export function readUpstream(): Upstream {
  const packageFile = fileURLToPath(import.meta.resolve("@opentelemetry/semantic-conventions")).replace(
    /dist\/.*$/,
    "package.json",
  );
  const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { version: string };
  return {
    version,
    attributes: namesOf("ATTR_"),
    templates: new Set(
      Object.values({ ...incubating, ...stable })
        .filter((value) => typeof value === "function")
        .map((value) => templateName(value as Template)),
    ),
    metrics: namesOf("METRIC_"),
    values: enumValues(),
    entities: ENTITIES,
  };
}

/** The constant's name part of an attribute: `network.io.direction` → `NETWORK_IO_DIRECTION`. */
export function constantName(name: string): string {
  return name.replace(/[.-]/g, "_").toUpperCase();
}

function namesOf(prefix: string): Map<string, "stable" | "development"> {
  const names = new Map<string, "stable" | "development">();
  // Stable ones last: the incubating entry point exports them too, and the stable word must win.
  for (const [exports, stability] of [
    [incubating, "development"],
    [stable, "stable"],
  ] as const) {
    for (const [constant, value] of Object.entries(exports)) {
      if (!constant.startsWith(prefix)) continue;
      if (typeof value === "string") names.set(value, stability);
      if (typeof value === "function") names.set(templateName(value as Template), stability);
    }
  }
  return names;
}

/** A family of attributes: the constant is a function from the last part of the name to the whole. */
type Template = (key: string) => string;

function templateName(template: Template): string {
  return template("").replace(/\.$/, "");
}

function enumValues(): Map<string, Set<string>> {
  const values = new Map<string, Set<string>>();
  for (const [constant, value] of Object.entries({ ...incubating, ...stable })) {
    const [attribute, member] = constant.split("_VALUE_");
    if (attribute === undefined || member === undefined || typeof value !== "string") continue;
    values.set(attribute, (values.get(attribute) ?? new Set()).add(value));
  }
  return values;
}
