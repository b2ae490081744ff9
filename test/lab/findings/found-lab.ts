/**
 * A lab whose nodes are watched for findings, an exchange a second: what the tests of this folder begin with, and what they ask of it.
 */
import { afterAll, beforeAll } from "vitest";
import { missing, type Need } from "../../machine/needs.ts";
import { ObservedLab } from "../agents/observed.ts";
import type { Description } from "../world/describe.ts";
import { booksGrowth } from "../world/kernel-books.ts";
import type { LabPlace } from "../world/lab.ts";

export const INTERVAL_MS = 1_000;
/** Of a whole test on a machine that others use, too. */
export const TIMEOUT_MS = 180_000;

export interface FoundLab<Key extends string> {
  /** Once the tests run. */
  readonly observed: ObservedLab;
  pod(key: Key): LabPlace;
  node(name: string): LabPlace;
  /** A pod's address and port, as a workload wants them. */
  to(key: Key, port: number): { readonly address: string; readonly port: number }[];
  /** `default/client-5d4f9c7b8-x2x7p` */
  nameOf(key: Key): string;
  /** How far a group of a pod's counters has moved. */
  moved<T>(key: Key, group: string, during: () => Promise<T>): Promise<{ result: T; growth: Record<string, number> }>;
}

/**
 * Builds it before the tests of a file and removes it after them.
 *
 * @param seen pods and nodes in whose namespaces a task lives: those of others are not seen until one does
 * @param prepare before probes and agents start
 */
export function foundLab<Key extends string>(
  needed: readonly Need[],
  description: Description,
  seen: readonly (Key | `node-${number}`)[],
  prepare: (lab: FoundLab<Key>) => Promise<unknown>,
): FoundLab<Key> {
  let observed: ObservedLab | undefined;
  const now = (): ObservedLab => {
    if (observed === undefined) throw new Error("the lab is not there yet");
    return observed;
  };
  const lab: FoundLab<Key> = {
    get observed() {
      return now();
    },
    pod: (key) => now().lab.pod(key),
    node: (name) => now().lab.host(name, "sleep.service"),
    to: (key, port) => [{ address: lab.pod(key).ips.v4, port }],
    nameOf(key) {
      const { namespace, name } = now().describedPod(key);
      return `${namespace}/${name}`;
    },
    async moved(key, group, during) {
      const before = await lab.pod(key).books();
      const result = await during();
      return { result, growth: booksGrowth(before, await lab.pod(key).books(), group) };
    },
  };
  beforeAll(async () => {
    if (missing(...needed) !== undefined) return;
    observed = await ObservedLab.start(description, { intervalMs: INTERVAL_MS });
    for (const place of seen)
      (place.startsWith("node-") ? lab.node(place) : lab.pod(place as Key)).spawn(["sleep", "infinity"]);
    await prepare(lab);
    await observed.watch();
    // The first exchange judges nothing, and of a namespace the second one.
    await observed.exchanges(3);
  }, TIMEOUT_MS);
  afterAll(() => observed?.close());
  return lab;
}
