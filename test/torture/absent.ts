/**
 * Ends without a record: what they must have counted, so that a batch that lost records is looked at as sharply as any
 * other. Edges know every connection, lost record or not.
 */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import type { ExpectedEnd } from "./oracle.ts";
import type { Range } from "./socket-life.ts";

export interface Absent {
  /** They must have one. */
  readonly missing: readonly ExpectedEnd[];
  /** Nobody can know whether they had one. */
  readonly doubtful: readonly ExpectedEnd[];
}

const ANY: Range = [0, Number.POSITIVE_INFINITY];

/** By how much more than the sum of its records a counter of the edges of one role and port may be. */
export function surplusOf(
  counter: EdgeCountersField,
  { missing, doubtful }: Absent,
  key: Pick<EdgeKey, "role" | "serverPort">,
): Range {
  const isOf = (end: ExpectedEnd) => end.role === key.role && portOf(end) === key.serverPort;
  const ranges = [
    ...missing.filter(isOf).map((end) => countedBy(end, counter)),
    ...doubtful.filter(isOf).map((end): Range => [0, countedBy(end, counter)[1]]),
  ];
  return [sum(ranges.map(([low]) => low)), sum(ranges.map(([, high]) => high))];
}

function portOf({ conversation, use }: ExpectedEnd): number | undefined {
  return conversation?.server.port ?? use?.remote.port;
}

/** What one end adds to a counter of its edge. */
function countedBy(end: ExpectedEnd, counter: EdgeCountersField): Range {
  const { established, bytesSent, bytesReceived, segments, use } = end;
  // Closed while TCP_REPAIR is on, it is no close (tcp_close()), and nobody knows whether it still was.
  if (counter === "closed" && use?.uncertain) return [0, established === false ? 0 : 1];
  if (counter === "opened" || counter === "closed")
    return [established === true ? 1 : 0, established === false ? 0 : 1];
  if (counter.startsWith("failed")) return [0, established === true ? 0 : 1];
  if (counter === "bytesSent" && bytesSent !== undefined) return [bytesSent, bytesSent];
  if (counter === "bytesReceived") return bytesReceived ?? ANY;
  if (counter === "segsOut") return segments?.out ?? ANY;
  if (counter === "segsIn") return segments?.in ?? ANY;
  return ANY;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
