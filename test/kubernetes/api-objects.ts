/**
 * What a fake API server holds: objects, how each of them changed since history began, and what a client sees of both
 * through a field selector. Pure; fake-api-server.ts says it over HTTP.
 */
import { randomUUID } from "node:crypto";
import type { ApiObject } from "./kubernetes-objects.ts";

export type Selector = (object: ApiObject) => boolean;

/** Objects of one kind, made as they are asked for or held. */
export interface Listing {
  readonly length: number;
  at(index: number): ApiObject | undefined;
}

/** One change: created without `before`, deleted without `after`. */
export interface Change {
  readonly version: number;
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
}

export class ApiObjects {
  readonly #objects = new Map<string, ApiObject>();
  #history: Change[] = [];
  #version: number;
  #compactedTo: number;

  constructor(firstVersion: number) {
    this.#version = firstVersion;
    this.#compactedTo = firstVersion;
  }

  get version(): number {
    return this.#version;
  }

  /** History before it is gone. */
  get compactedTo(): number {
    return this.#compactedTo;
  }

  compact(): void {
    this.#history = [];
    this.#compactedTo = ++this.#version;
  }

  /** Creates the object or replaces it; a missing uid or creation time is filled in. */
  put(object: ApiObject): Change & { readonly after: ApiObject } {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    const after: ApiObject = {
      ...object,
      metadata: {
        uid: before?.metadata.uid ?? randomUUID(),
        creationTimestamp: before?.metadata.creationTimestamp ?? new Date().toISOString(),
        ...object.metadata,
        resourceVersion: String(++this.#version),
      },
    };
    this.#objects.set(key, after);
    return this.#keep({ version: this.#version, before, after });
  }

  /** @returns undefined when there was none */
  delete(kind: string, name: string, namespace = ""): Change | undefined {
    const key = [kind, namespace, name].join("/");
    const before = this.#objects.get(key);
    if (!before) return undefined;
    this.#objects.delete(key);
    const metadata = { ...before.metadata, resourceVersion: String(++this.#version) };
    return this.#keep({ version: this.#version, before: { ...before, metadata }, after: undefined });
  }

  /** Changes after a version, the oldest first. */
  since(version: number): readonly Change[] {
    return this.#history.filter((change) => change.version > version);
  }

  list(kind: string, selector: Selector): readonly ApiObject[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind && selector(object));
  }

  #keep<T extends Change>(change: T): T {
    this.#history.push(change);
    return change;
  }
}

function keyOf({ kind, metadata }: ApiObject): string {
  return [kind, metadata.namespace ?? "", metadata.name].join("/");
}

/** What a watch with a selector sees of a change: an object may move into its view or out of it. */
export function eventOf({ version, before, after }: Change, kind: string, selector: Selector): object | undefined {
  if ((after ?? before)?.kind !== kind) return undefined;
  const seenBefore = before !== undefined && selector(before);
  if (after !== undefined && selector(after)) return { type: seenBefore ? "MODIFIED" : "ADDED", object: after };
  if (!seenBefore) return undefined;
  return { type: "DELETED", object: { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } } };
}

export function bookmark(kind: string, version: number, initialEventsEnd: boolean): object {
  const annotations = initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
  return { type: "BOOKMARK", object: { kind, metadata: { resourceVersion: String(version), ...annotations } } };
}

/** @returns undefined for one that selects everything */
export function selectorOf(fieldSelector: string): Selector | undefined {
  const [field, value] = fieldSelector.split("=");
  if (field === "spec.nodeName")
    return (object) => (object.spec as { nodeName?: string } | undefined)?.nodeName === value;
  if (field === "metadata.name") return (object) => object.metadata.name === value;
  return undefined;
}
