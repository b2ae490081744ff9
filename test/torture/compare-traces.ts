/** Trace ids: both ends of a connection give themselves the same one, and no other connection has it. */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Seen } from "./compare.ts";
import { type Differences, describeRecord } from "./differences.ts";
import type { ExpectedEnd } from "./oracle.ts";
import { RESTORED } from "./record-flags.ts";

/** Both ends of a connection are in one trace; no two connections are. */
export function compareTraceIds(seen: Seen, ends: readonly ExpectedEnd[], said: Differences): void {
  const traces = new Map<string, Connection[]>();
  const restored = new Set(ends.filter(({ use }) => (use?.restored ?? 0) > 0).map(portsOfEnd));
  for (const record of seen.records)
    if (record.establishedNs > 0n) traces.set(record.traceId, [...(traces.get(record.traceId) ?? []), record]);
  for (const [id, records] of traces) {
    const roles = records.map(({ key }) => key.role).sort();
    if (records.length > 2 || (records.length === 2 && roles.join() !== "client,server"))
      if (!records.every((record) => restored.has(portsOf(record.localPort, record.remotePort))))
        said.add("trace", `${records.length} records are in trace ${id}: ${records.map(describeRecord).join("; ")}`);
  }
  for (const client of seen.records) {
    // A restored one is in a trace of its own.
    if (client.key.role !== "client" || client.establishedNs === 0n || client.flags & RESTORED) continue;
    const server = seen.records.find(
      ({ key, localPort, remotePort, establishedNs, flags }) =>
        key.role === "server" &&
        establishedNs > 0n &&
        !(flags & RESTORED) &&
        localPort === client.remotePort &&
        remotePort === client.localPort,
    );
    if (server && traces.get(client.traceId)?.length === 1 && traces.get(server.traceId)?.length === 1)
      said.add("trace", `two traces for one connection: ${describeRecord(client)}`);
  }
}

function portsOfEnd({ conversation, use }: ExpectedEnd): string {
  return conversation
    ? portsOf(conversation.client.port, conversation.server.port)
    : portsOf(use?.local?.port ?? 0, use?.remote.port ?? 0);
}

/** The same for both ends: what is restored may be told as the other one. */
function portsOf(one: number, other: number): string {
  return `${Math.min(one, other)} ${Math.max(one, other)}`;
}
