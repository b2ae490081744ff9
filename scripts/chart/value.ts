/**
 * One row of the chart's values, and what its schema can be.
 *
 * Kubernetes' own shapes (tolerations, affinity, volumes) are not repeated here: the API server checks them.
 */

export interface Schema {
  readonly type?: "string" | "boolean" | "integer" | "object" | "array";
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

export interface Value {
  /** Names with dots between them, as `--set` takes them. */
  readonly path: string;
  readonly schema: Schema;
  readonly default: unknown;
  /** For values.yaml, the schema and the README: one or two sentences. */
  readonly description: string;
}

export const text: Schema = { type: "string" };
export const flag: Schema = { type: "boolean" };
export const count: Schema = { type: "integer", minimum: 1 };
/** Labels and annotations. */
export const texts: Schema = { type: "object", additionalProperties: text };
/** An object of Kubernetes, or of the agent's configuration. */
export const anyObject: Schema = { type: "object" };
export const objects: Schema = { type: "array", items: anyObject };
/** Entries that Kubernetes knows by their name. */
export const named: Schema = { type: "array", items: { type: "object", required: ["name"] } };
export const resources: Schema = {
  type: "object",
  properties: { requests: anyObject, limits: anyObject, claims: objects },
  additionalProperties: false,
};

export const choice = (...values: readonly string[]): Schema => ({ type: "string", enum: values });
