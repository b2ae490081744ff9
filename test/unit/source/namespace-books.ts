/** Counters of a net namespace, all 0 but for those that a test is about. */
import { frameNamespace } from "../../../agent/generated/layout.ts";
import type { NamespaceCounters } from "../../../agent/model/probe-event.ts";

export function namespaceBooks(counters: Partial<NamespaceCounters> = {}): NamespaceCounters {
  const zero = Object.fromEntries(Object.keys(frameNamespace.fields).map((name) => [name, 0]));
  const conntrack = { entries: 0, limit: 0, insertFailed: 0, drop: 0, earlyDrop: 0 };
  const ours = { netns: 4026531840, pid: 1, cookie: 1n, cgroup: 0n, conntrack };
  return { ...(zero as unknown as NamespaceCounters), ...ours, ...counters };
}
