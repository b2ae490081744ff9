/**
 * What a Collector holds of a batch, sorted by program: spans, points and coverage. Pure.
 *
 *   spans ┐            ┌ Resource of a puppet ──► its program
 *         ├── sorted ──┤ netns ─────────────────► coverage of a program
 *  points ┘            └ another Resource ──────► a stranger, or flowspan's own
 */

import type { ReceivedPoint } from "../otlp/metric-points.ts";
import { type SeriesTotal, seriesTotals } from "../otlp/oracle.ts";
import type { ReceivedSpan } from "../otlp/spans.ts";
import { ownerOf } from "./agent-cgroups.ts";

/** What was told of one program. */
export interface Told {
  /** In the order in which they came. */
  readonly spans: readonly ReceivedSpan[];
  readonly points: readonly ReceivedPoint[];
  readonly totals: readonly SeriesTotal[];
  /** The last ratios of its net namespace, by metric; undefined: none was told. */
  readonly coverage: Readonly<Record<Coverage, number | undefined>>;
}

export const COVERAGES = ["flowspan.coverage.segments", "flowspan.coverage.connections"] as const;
export type Coverage = (typeof COVERAGES)[number];

export interface Sorted {
  /** By the number of the program. */
  readonly programs: readonly Told[];
  /** Sentences on what belongs to no program of the batch, though it is a flow or a span. */
  readonly strangers: readonly string[];
}

/** @param namespaces inode numbers, by the number of the program */
export function sortTold(
  spans: readonly ReceivedSpan[],
  points: readonly ReceivedPoint[],
  { batch, namespaces }: { readonly batch: number; readonly namespaces: readonly number[] },
): Sorted {
  const programOf = ({ resource }: Pick<ReceivedSpan, "resource">) => {
    const owner = ownerOf(resource);
    return owner?.batch === batch && owner.program < namespaces.length ? owner.program : undefined;
  };
  const flows = points.filter(({ metric }) => metric.startsWith("flowspan.tcp."));
  const spansBy = Map.groupBy(spans, programOf);
  const pointsBy = Map.groupBy(flows, programOf);
  // What a batch before could not end goes when its namespace does.
  const isOfBefore = ({ resource }: Pick<ReceivedSpan, "resource">) => (ownerOf(resource)?.batch ?? batch) < batch;
  const strange = <T extends Pick<ReceivedSpan, "resource">>(list: readonly T[] = []) =>
    list.filter((each) => !isOfBefore(each));
  const strangers = [
    ...strange(spansBy.get(undefined)).map(({ name, resource }) => `a span ${name} of ${JSON.stringify(resource)}`),
    ...strange(pointsBy.get(undefined)).map(
      ({ metric, resource }) => `a point of ${metric} of ${JSON.stringify(resource)}`,
    ),
  ];
  const programs = namespaces.map((netns, program) => {
    const own = pointsBy.get(program) ?? [];
    const last = (name: Coverage) =>
      points.findLast(({ metric, attributes }) => metric === name && attributes["flowspan.netns"] === netns)?.value;
    return {
      spans: spansBy.get(program) ?? [],
      points: own,
      totals: seriesTotals(own),
      coverage: { [COVERAGES[0]]: last(COVERAGES[0]), [COVERAGES[1]]: last(COVERAGES[1]) } as Told["coverage"],
    };
  });
  return { programs, strangers };
}
