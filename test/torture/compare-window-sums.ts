/**
 * Sums over the edges of a window: growth is that of the records, less what was counted before the probe came, and what was
 * open when it went.
 */
import type { EdgeCountersField } from "../../agent/generated/layout.ts";
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../agent/model/edge.ts";
import { surplusOf } from "./absent.ts";
import type { Seen } from "./compare.ts";
import { compareRange } from "./compare-segments.ts";
import { count, SUMS } from "./compare-sums.ts";
import type { Differences } from "./differences.ts";
import type { SocketCounters } from "./looks.ts";
import type { ExpectedEnd } from "./oracle.ts";
import { ADOPTED } from "./record-flags.ts";
import type { Range } from "./socket-life.ts";
import { countedBy, isSurelyWalked, type Standing, type Told } from "./window.ts";

/** Whose records are whose, as far as anybody can know. */
export interface Assigned {
  /** Records of what is older than the probe, and their sockets when it came. */
  readonly adopted: ReadonlyMap<Connection, Standing>;
  /** Records of ends that came or went while the probe did. */
  readonly eitherWith: ReadonlySet<Connection>;
  /** Such ends without a record. */
  readonly eitherWithout: readonly ExpectedEnd[];
}

/** What of an adopted connection's growth is its record less what it had counted by then. */
const COUNTED: { readonly [K in EdgeCountersField]?: keyof SocketCounters } = {
  bytesSent: "bytesSent",
  bytesReceived: "bytesReceived",
  segsOut: "segsOut",
  segsIn: "segsIn",
  spurious: "spurious",
  outOfOrder: "outOfOrder",
  busyUs: "busyUs",
  rwndLimitedUs: "rwndLimitedUs",
  sndbufLimitedUs: "sndbufLimitedUs",
};

export function compareWindowSums(
  told: readonly Told[],
  { adopted, eitherWith, eitherWithout }: Assigned,
  seen: Seen,
  { mayCarry, mayRefuse }: { readonly mayCarry: boolean; readonly mayRefuse: boolean },
  said: Differences,
): void {
  const nameOf = ({ role, serverPort }: Pick<Connection["key"], "role" | "serverPort">) => `${role} ${serverPort}`;
  const open = told.filter(({ fate }) => fate === "open");
  const names = new Set([
    ...seen.edges.filter(({ key }) => key.role !== "listener").map(({ key }) => nameOf(key)),
    ...seen.records.map(({ key }) => nameOf(key)),
    ...open.map(({ end }) => groupOf(end)),
    ...eitherWithout.map(groupOf),
  ]);
  for (const name of names) {
    const edges = seen.edges.filter(({ key }) => nameOf(key) === name);
    const records = seen.records.filter(({ key }) => nameOf(key) === name);
    const stillOpen = open.filter(({ end }) => groupOf(end) === name);
    const before = records.flatMap((record) => adopted.get(record) ?? []);
    const either = records.filter((record) => eitherWith.has(record));
    const unrecorded = eitherWithout.filter((end) => groupOf(end) === name);
    for (const [counter, of] of SUMS) {
      if (counter === "bytesSent" && mayRefuse) continue;
      const sum = records.reduce((total, record) => total + of(record), 0);
      const [least, most] = add(
        ...before.map((standing) => negative(countedUntil(standing, counter))),
        ...stillOpen.map((each) => growthOf(each, counter, mayCarry)),
        ...either.map((record) => negative(countedEarlier(record, counter, of(record)))),
        ...unrecorded.map((end) => surplusOf(counter, { missing: [], doubtful: [end] }, keyOf(end))),
      );
      const range = [sum + least, sum + most] as const;
      compareRange("sums", `${name}: ${counter} of the edges`, count(edges, counter), range, said);
    }
    compareRange(
      "open",
      `${name}: open connections`,
      edges.reduce((sum, edge) => sum + edge.open, 0),
      [stillOpen.filter(isSurelyWalked).length, stillOpen.length + unrecorded.length],
      said,
    );
  }
}

function add(...ranges: readonly Range[]): Range {
  return ranges.reduce<Range>(([low, high], [least, most]) => [low + least, high + most], [0, 0]);
}

function negative([least, most]: Range): Range {
  return [-most, -least];
}

function countedUntil(standing: Standing, counter: EdgeCountersField): Range {
  // Records tell types from the moment on at which somebody asked for records, edges from adoption on.
  if (counter.startsWith("retransmits")) {
    const [least, most] = countedBy(standing, "retransmits");
    return [least - most, 0];
  }
  const field = COUNTED[counter];
  return field ? countedBy(standing, field) : [0, 0];
}

const BUSY: ReadonlySet<EdgeCountersField> = new Set(["busyUs", "rwndLimitedUs", "sndbufLimitedUs"]);

/** What a connection that stays open has added to its edge; where no walk may have come by, perhaps nothing. */
function growthOf(each: Told, counter: EdgeCountersField, mayCarry: boolean): Range {
  const [least, most] = wholeGrowthOf(each, counter);
  const isSure = isSurelyWalked(each) && !(mayCarry && BUSY.has(counter));
  return [isSure ? least : Math.min(0, least), most];
}

function wholeGrowthOf({ end, from, until }: Told, counter: EdgeCountersField): Range {
  if (!until) return [0, 0];
  // A restored socket opened nothing.
  if (counter === "opened") return from ? [0, 0] : [end.use?.restored ? 0 : 1, 1];
  if (counter === "handshakeUs") return from ? [0, 0] : [0, Number.POSITIVE_INFINITY];
  // Which type each was, only a record would say.
  if (counter.startsWith("retransmits")) return [0, until.second.counters.retransmits];
  return add(countedUntil(until, counter), ...(from ? [negative(countedUntil(from, counter))] : []));
}

/** Nobody knows when one was adopted that came while the probe did: what its record tells it may have counted before. */
function countedEarlier({ flags }: Connection, counter: EdgeCountersField, whole: number): Range {
  const isCounted = COUNTED[counter] !== undefined || counter.startsWith("retransmits");
  return [0, flags & ADOPTED && isCounted ? whole : 0];
}

function groupOf(end: ExpectedEnd): string {
  const { role, serverPort } = keyOf(end);
  return `${role} ${serverPort}`;
}

function keyOf({ role, conversation, use }: ExpectedEnd): Pick<EdgeKey, "role" | "serverPort"> {
  return { role, serverPort: conversation?.server.port ?? use?.remote.port ?? 0 };
}
