/** The steps from rows to flows, taken as the pipeline takes them, for tests that look at what comes out. */
import type { ExchangeRows } from "../../../agent/edges/edge-table.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { Identity } from "../../../agent/model/names.ts";
import { type FlowSteps, makeFlowSteps } from "../../../agent/runtime/flow-steps.ts";
import type { AggregateOptions } from "../../../agent/series/aggregate-options.ts";
import type { Batch, ExemplarSource } from "../../../agent/series/series-table.ts";

/** A batch, and what came into it. */
export interface Stepped extends Batch {
  readonly rows: number;
  readonly pendingRows: number;
}

export class Stepping {
  readonly #steps: FlowSteps;

  constructor(
    options: AggregateOptions,
    identity: Identity,
    decodeKey: (id: string) => EdgeKey,
    exemplars?: ExemplarSource,
  ) {
    this.#steps = makeFlowSteps(options, identity, exemplars, decodeKey);
  }

  take(exchange: ExchangeRows): Stepped {
    const { edges, naming, series } = this.#steps;
    const growth = edges.observe(exchange);
    series.takeBack(growth);
    const batch = series.add(naming.name(growth));
    return { ...batch, rows: exchange.rows.length, pendingRows: naming.pendingRows };
  }

  coverage = () => this.#steps.edges.coverage();
  blindness = () => this.#steps.edges.blindness;
  snapshot = () => this.#steps.edges.snapshot();

  stats() {
    const { edges, naming, series } = this.#steps;
    return { edges: edges.size, ...series.stats(), pendingRows: naming.pendingRows };
  }
}
