/** The steps that rows take until they are flows, as the pipeline calls them: edges, names, series. */
import { EdgeTable } from "../edges/edge-table.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { Identity } from "../model/names.ts";
import { EdgeNaming } from "../naming/edge-naming.ts";
import type { AggregateOptions } from "../series/aggregate-options.ts";
import { attributeSetKey } from "../series/attribute-set.ts";
import { type ExemplarSource, SeriesTable } from "../series/series-table.ts";
import { decodeEdgeKey } from "../source/edge-key.ts";

export interface FlowSteps {
  readonly edges: EdgeTable;
  readonly naming: EdgeNaming;
  readonly series: SeriesTable;
}

/** @param decodeKey decodes EdgeGrowth.id */
export function makeFlowSteps(
  options: AggregateOptions,
  identity: Identity,
  exemplars?: ExemplarSource,
  decodeKey: (id: string) => EdgeKey = decodeEdgeKey,
): FlowSteps {
  return {
    edges: new EdgeTable(options.idleMs, decodeKey),
    naming: new EdgeNaming(identity, (key, names) => attributeSetKey(key, names, options)),
    series: new SeriesTable(options, exemplars),
  };
}
