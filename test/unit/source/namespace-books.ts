/** Counters of a net namespace, all 0 but for those that a test is about. */
import { frameNamespace } from "../../../agent/generated/layout.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";

export function namespaceBooks(counters: Partial<NamespaceCounters> = {}): NamespaceCounters {
  const zero = Object.fromEntries(Object.keys(frameNamespace.fields).map((name) => [name, 0]));
  return { ...(zero as unknown as NamespaceCounters), netns: 4026531840, pid: 1, cookie: 1n, ...counters };
}
