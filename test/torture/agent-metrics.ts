/**
 * Where points are not what the reference (docs/telemetry.md) says: temporality, attributes, histograms, exemplars, coverage.
 * What they add up to is compared as edges (compare-sums.ts, compare-books.ts).
 *
 * Pure, for one program.
 */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeSum } from "../lab/agents/tally.ts";
import type { ReceivedExemplar, ReceivedPoint } from "../otlp/metric-points.ts";
import { backwardPoints, type SeriesTotal } from "../otlp/oracle.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import { groupOf } from "./agent-edges.ts";
import type { Coverage, Told } from "./agent-told.ts";
import type { Differences } from "./differences.ts";
import { ADOPTED, CHECKPOINTED, RESTORED } from "./record-flags.ts";
import type { Trace } from "./trace.ts";

export type Temporality = "cumulative" | "delta";

export function comparePoints({ points, totals }: Told, temporality: Temporality, said: Differences): void {
  for (const { metric, kind } of points)
    if (kind !== "moment" && kind !== temporality) said.add("temporality", `a point of ${metric} is ${kind}`);
  for (const { metric, value } of backwardPoints(points)) said.add("temporality", `${metric} went back to ${value}`);
  // A series begins where nothing was counted yet.
  for (const { metric, startUnixNs, timeUnixNs, kind, value } of points)
    if (kind !== "moment" && (value === 0 ? startUnixNs > timeUnixNs : startUnixNs >= timeUnixNs))
      said.add("temporality", `${value} of ${metric} came to be in ${timeUnixNs - startUnixNs} ns`);
  for (const series of totals) {
    const { metric, attributes } = series;
    const isFlow = attributes["flowspan.role"] !== undefined;
    said.equal(
      "series",
      `${metric} of ${groupOf(series)}: kind`,
      attributes["flowspan.peer.kind"],
      isFlow ? "loopback" : undefined,
    );
    said.equal("series", `${metric} of ${groupOf(series)}: overflow`, attributes["otel.metric.overflow"], undefined);
  }
}

/** Values in seconds that a histogram must hold one of for each of its records, if any. */
type Values = (record: Connection) => number | undefined;

const wasSeen = ({ establishedNs, flags }: Connection) => establishedNs > 0n && !(flags & ADOPTED);
const HISTOGRAMS: Readonly<Record<string, Values>> = {
  "flowspan.tcp.handshake.duration": (record) =>
    wasSeen(record) && record.handshakeUs > 0 ? record.handshakeUs / 1e6 : undefined,
  "flowspan.tcp.connection.duration": (record) =>
    wasSeen(record) && !(record.flags & (RESTORED | CHECKPOINTED))
      ? Number((record.endNs - record.establishedNs) / 1000n) / 1e6
      : undefined,
};

/** Each record is one value, in the bucket that it belongs to. */
export function compareHistograms({ totals }: Told, records: readonly Connection[], said: Differences): void {
  for (const [metric, measured] of Object.entries(HISTOGRAMS)) {
    const series = Map.groupBy(
      totals.filter((each) => each.metric === metric),
      groupOf,
    );
    const told = Map.groupBy(records, groupOfRecord);
    for (const group of new Set([...series.keys(), ...told.keys()])) {
      const values = (told.get(group) ?? []).flatMap((record) => measured(record) ?? []).sort((a, b) => a - b);
      const middles = (series.get(group) ?? []).flatMap(middlesOf).sort((a, b) => a - b);
      said.equal("histogram", `${metric} of ${group}: values`, middles.length, values.length);
      for (const [i, middle] of middles.entries()) {
        const value = values[i] ?? middle;
        if (Math.abs(middle - value) > value * OFF + 1e-6)
          said.add("histogram", `${metric} of ${group}: ${value} s is in the bucket around ${middle} s`);
      }
    }
  }
  for (const { metric, count } of totals.filter((each) => each.metric === "flowspan.tcp.rtt"))
    if (count === 0) said.add("histogram", `${metric}: a point without values`);
}

const SCALE = 3;
/** A bucket's middle is at most that far off what was measured. */
const OFF = 0.091;

/** The middle of its bucket, for each value. */
function middlesOf({ buckets }: SeriesTotal): number[] {
  return [...buckets].flatMap(([index, count]) => Array<number>(count).fill(2 ** ((index + 0.5) / 2 ** SCALE)));
}

const PUPPET = ["a", "b", "c"];

function groupOfRecord({ key }: Connection): string {
  return `${key.role} ${key.serverPort} of ${PUPPET[Number(key.cgroup)]}`;
}

/** What an exemplar must be the span's. */
const MEASURED: Readonly<Record<string, string>> = {
  "flowspan.tcp.handshake.duration": "flowspan.tcp.handshake.time",
  "flowspan.tcp.rtt": "flowspan.tcp.rtt.last",
  "flowspan.tcp.retransmits": "flowspan.tcp.retransmit.count",
};

/** An exemplar is a span that came, of the same end and port, with that value. */
export function compareExemplars({ points, spans }: Told, said: Differences): void {
  const byId = Map.groupBy(spans, ({ traceId, spanId }) => `${traceId} ${spanId}`);
  for (const point of points) {
    const measured = MEASURED[point.metric];
    if (point.exemplars.length > (measured ? 2 : 0))
      said.add("exemplar", `a point of ${point.metric} has ${point.exemplars.length} exemplars`);
    for (const exemplar of point.exemplars) {
      const span = byId.get(`${exemplar.traceId} ${exemplar.spanId}`)?.[0];
      if (span && measured) compareExemplar(point, exemplar, span, measured, said);
      else said.add("exemplar", `an exemplar of ${point.metric} of ${groupOf(point)} is no span that came`);
    }
  }
}

function compareExemplar(
  point: ReceivedPoint,
  exemplar: ReceivedExemplar,
  span: ReceivedSpan,
  measured: string,
  said: Differences,
): void {
  const name = `an exemplar of ${point.metric} of ${groupOf(point)}`;
  said.equal("exemplar", `${name}: role`, span.kind, point.attributes["flowspan.role"]);
  said.equal("exemplar", `${name}: port`, span.attributes["server.port"], point.attributes["server.port"]);
  said.equal("exemplar", `${name}: value`, exemplar.value, span.attributes[measured]);
  said.equal("exemplar", `${name}: time`, exemplar.timeUnixNs, span.endUnixNs);
  if (exemplar.timeUnixNs < point.startUnixNs || exemplar.timeUnixNs > point.timeUnixNs)
    said.add("exemplar", `${name}: lies outside of its point`);
}

/** Flows over the namespace's books, where the agent saw the namespace before anything happened in it. */
export function compareCoverage(
  { coverage }: Told,
  edges: readonly EdgeSum[],
  { books }: Trace,
  said: Differences,
): void {
  const sum = (role: string, ...counters: readonly (keyof EdgeSum["counters"])[]) =>
    edges
      .filter(({ key }) => key.role === role)
      .reduce((total, edge) => total + counters.reduce((part, name) => part + edge.counters[name], 0), 0);
  const book = (name: string) => books[`Tcp.${name}`] ?? 0;
  const segments = sum("client", "segsOut") + sum("server", "segsOut", "opened", ...SYN_ACK_AGAIN);
  const opens = sum("client", "opened", ...SENT_FAILURES) + sum("server", "opened");
  const must: Readonly<Record<Coverage, number | undefined>> = {
    "flowspan.coverage.segments": ratio(segments, book("OutSegs") + book("RetransSegs") - book("OutRsts")),
    "flowspan.coverage.connections": ratio(opens, book("ActiveOpens") + book("PassiveOpens")),
  };
  for (const [name, value] of Object.entries(must)) said.equal("coverage", name, coverage[name as Coverage], value);
}

/** In OutSegs and in RetransSegs. */
const SYN_ACK_AGAIN = ["retransmitsSyn", "retransmitsSyn"] as const;

/** Attempts of which a SYN was sent. */
const SENT_FAILURES = [
  ...(["failedRefused", "failedTimedOut", "failedReset", "failedHostUnreachable"] as const),
  ...(["failedNetUnreachable", "failedCancelled", "failedOther"] as const),
];

function ratio(counted: number, kernel: number): number | undefined {
  return kernel > 0 ? counted / kernel : undefined;
}
