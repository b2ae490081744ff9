/**
 * Model texts for the tests: one metric with defaults, so that a test shows only what matters to it.
 */
import { loadRegistry } from "../../../semconv/load.ts";
import type { Problem, Registry } from "../../../semconv/types.ts";
import { readUpstream } from "../../../semconv/upstream.ts";

export const FILE = "test-metrics.yaml";

const METRIC = {
  id: "metric.flowspan.test",
  type: "metric",
  metric_name: "flowspan.test",
  brief: "Test of tests.",
  stability: "development",
  instrument: "counter",
  unit: "{test}",
};

/** A group of type metric; a field set to undefined is left out. */
export function metric(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { ...METRIC, ...fields };
}

/** An attribute of our own, inside a group. */
export function ownAttribute(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const attribute = { id: "flowspan.color", type: "string", brief: "A color.", stability: "development" };
  return {
    id: "registry.test",
    type: "attribute_group",
    brief: "Test attributes.",
    attributes: [{ ...attribute, examples: ["red"], ...fields }],
  };
}

/** YAML is a superset of JSON. */
export function load(...groups: readonly unknown[]): ReturnType<typeof loadRegistry> {
  return loadFile({ groups, imports: { entities: ["process"] } });
}

export function loadFile(content: object): ReturnType<typeof loadRegistry> {
  return loadRegistry(new Map([[FILE, JSON.stringify(content)]]), readUpstream());
}

export function problemsOf(...groups: readonly unknown[]): readonly Omit<Problem, "file">[] {
  const loaded = load(...groups);
  return "problems" in loaded ? loaded.problems.map(({ file: _, ...problem }) => problem) : [];
}

export function registryOf(...groups: readonly unknown[]): Registry {
  const loaded = load(...groups);
  if ("problems" in loaded) throw new Error(JSON.stringify(loaded.problems));
  return loaded.registry;
}
