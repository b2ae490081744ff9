/**
 * Coverage: of the segments that a namespace's kernel says it sent, all but those that no connection's socket sends
 * are a flow's. How many those are, the wire says:
 *
 *     missing = (1 - ratio) x (OutSegs + RetransSegs - OutRsts) = what TIME_WAIT and requests answered
 *                                                               + first SYN-ACKs of connections that were never opened
 *
 * and nothing else. RSTs are in neither side: whether a socket or nobody sent one, OutRsts has it. But a socket that is
 * ended from outside (`ss -K`) or by a timer counts its own: then one too many is seen.
 */

import { Coverage } from "../../agent/edges/coverage.ts";
import { EDGE_COUNTERS } from "../../agent/generated/layout.ts";
import type { NamespaceCounters } from "../../agent/model/probe-event.ts";
import type { Seen } from "./compare.ts";
import { compareRange } from "./compare-segments.ts";
import type { Differences } from "./differences.ts";
import type { ExpectedEnd, Truth } from "./oracle.ts";
import type { Range } from "./socket-life.ts";

export function compareCoverage({ ends, rules, outside }: Truth, { edges, namespace }: Seen, said: Differences): void {
  // What an OUTPUT rule took is in the books and not on the wire.
  if (namespace === undefined || rules.has("OUTPUT")) return;
  const coverage = new Coverage();
  coverage.close([{ ...namespace, ...NOTHING }]);
  for (const { key, counters } of edges)
    coverage.count(
      key,
      Float64Array.from(EDGE_COUNTERS, (name) => counters[name]),
    );
  coverage.close([namespace]);
  const ratio = coverage.ratios()[0]?.segments ?? 1;
  const sent = namespace.outSegs + namespace.retransSegs - namespace.outRsts;
  const missing = Math.round((1 - ratio) * sent);
  const ranges = ends.map(missingOf);
  const range: Range = [outside + sum(ranges.map(([low]) => low)), outside + sum(ranges.map(([, high]) => high))];
  compareRange("coverage", `segments of no flow, of ${sent} sent: their count`, missing, range, said);
}

const NOTHING: Partial<NamespaceCounters> = {
  ...{ inSegs: 0, outSegs: 0, retransSegs: 0, outRsts: 0, activeOpens: 0, passiveOpens: 0 },
};

/** What one end has sent that no socket did. */
function missingOf({ role, conversation, established, segments }: ExpectedEnd): Range {
  if (!conversation) return [0, 0];
  const { packets } = conversation.sent[role];
  const own = packets.filter(({ rst, syn, forged }) => !rst && !forged && !(syn && role === "server"));
  const all = sum(own.map((packet) => packet.segments));
  const isAnswered = role === "server" && packets.some(({ syn }) => syn);
  // A SYN-ACK that was sent again is in both books twice, the first one where the connection is opened.
  const synAck: Range = !isAnswered || established === true ? [0, 0] : [established === false ? 1 : 0, 1];
  if (role === "server" && established === false) return [all + synAck[0], all + synAck[1]];
  if (!segments) return [synAck[0] - all - packets.filter(({ rst }) => rst).length, all + synAck[1]];
  return [all - segments.out[1] + synAck[0], all - segments.out[0] + synAck[1]];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
