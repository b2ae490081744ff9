/** When a connection began and ended, how long its handshake took and for how long it was busy. */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { Precision } from "./compare.ts";
import type { Differences } from "./differences.ts";
import type { ExpectedEnd } from "./oracle.ts";
import { ADOPTED, RESTORED } from "./record-flags.ts";
import type { Role, Use } from "./uses.ts";
import type { Conversation } from "./wire.ts";

/** One tick of the kernel's clock, in which busy time is counted. */
const TICK_US = 4000;

export function compareTimes(
  name: string,
  { role, use, conversation, isTimed }: ExpectedEnd,
  record: Connection,
  said: Differences,
  precision?: Precision,
): void {
  const clockNs = precision?.clockNs ?? 0;
  const life = Number(record.endNs - record.startNs) / 1000;
  if (record.busyUs > life + 2 * TICK_US)
    said.add("busy", `${name}: busy for ${record.busyUs} µs of a life of ${life} µs`);
  if (use && role === "client" && !(record.flags & ADOPTED) && use.restored === 0) {
    const began = Number(record.startNs);
    if (
      began < use.call.from - clockNs ||
      (conversation && began > conversation.began + 1000 + clockNs && began > use.call.to)
    )
      said.add("times", `${name}: begins ${(began - use.call.from) / 1000} µs after its call`);
  }
  const since = earliest(role, conversation, use);
  if (Number(record.startNs) < since - CLOCK_US * 1000 && !(record.flags & ADOPTED))
    said.add("times", `${name}: begins before its SYN`);
  if (conversation && record.establishedNs > 0n) compareHandshake(name, since, conversation, record, said);
  const isOlder = (record.flags & (ADOPTED | RESTORED)) !== 0 || (use?.restored ?? 0) > 0;
  if (isTimed && record.handshakeUs === 0 && record.establishedNs > 0n && !isOlder)
    said.add("handshake", `${name}: how long its handshake took is not known`);
  if (conversation && record.endNs < record.startNs) said.add("times", `${name}: ends before it begins`);
}

/** Between two readings of a clock that belong together, on a busy machine. */
export const CLOCK_US = 2000;

/** An end cannot begin before its call; from there to its SYN it may have to wait for a CPU. */
function earliest(role: Role, conversation: Conversation | undefined, use: Use | undefined): number {
  if (role === "client" && use) return use.call.from;
  return conversation?.began ?? 0;
}

/**
 * From the call that sends the first SYN to the last ACK, or from a SYN-ACK to its answer, as the wire has them; not less
 * than from the first SYN to the first SYN-ACK, or from that to the first answer.
 */
function compareHandshake(
  name: string,
  since: number,
  { began, sent: { client, server } }: Conversation,
  record: Connection,
  said: Differences,
): void {
  if (record.handshakeUs === 0 || record.flags & ADOPTED) return;
  if (server.firstSyn === 0 || client.firstAck === 0) return;
  const isClient = record.key.role === "client";
  const [from, to] = isClient ? [began, server.firstSyn] : [server.firstSyn, client.firstAck];
  const most = (client.firstAck - (isClient ? since : server.firstSyn)) / 1000 + CLOCK_US;
  const least = (to - from) / 1000 - CLOCK_US;
  if (record.handshakeUs > most || record.handshakeUs < least)
    said.add(
      "handshake",
      `${name}: its handshake took ${record.handshakeUs} µs, on the wire ${Math.round(least)} to ${Math.round(most)}`,
    );
}
