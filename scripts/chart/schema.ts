/** Rows → values.schema.json, by which Helm refuses what is wrong or unknown before it renders anything. */
import { type Group, isValue, treeOf } from "./tree.ts";
import type { Value } from "./value.ts";

/** Helm's own: what a parent chart passes to all of its charts. */
const GLOBAL = { type: "object", description: "What a parent chart gives to all of its charts. Not read." };

function schemaOf(group: Group): object {
  const properties = Object.entries(group).map(([name, entry]) => [
    name,
    isValue(entry) ? { description: entry.description, ...entry.schema, default: entry.default } : schemaOf(entry),
  ]);
  return { type: "object", properties: Object.fromEntries(properties), additionalProperties: false };
}

export function renderSchema(values: readonly Value[], origin: string): string {
  const { properties, ...rest } = schemaOf(treeOf(values)) as { properties: object };
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $comment: origin,
    title: "Values of the chart flowspan",
    ...rest,
    properties: { ...properties, global: GLOBAL },
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}
