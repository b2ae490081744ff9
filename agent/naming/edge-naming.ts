/**
 * The step of names: edges that have grown → those of them whose ends are known, each with the part of its growth
 * that these names are for.
 *
 *   growth ─► is its former part another owner's? split it off ─► local and remote end ─► named
 *                                                                       │ not known yet
 *                                                                       └─► stays in the kernel
 *
 * Growth that was sent once stays with the names it was sent under until it is confirmed, because the request may
 * have arrived although its answer did not. What stands behind this step sees names: filters, policies, series.
 */
import type { Edge, UnsettledSlice } from "../edges/edge-state.ts";
import type { Growth } from "../edges/edge-table.ts";
import type { ExchangeClock } from "../edges/exchange-clock.ts";
import type { EdgeKey } from "../model/edge.ts";
import type { Identity, Names } from "../model/names.ts";

export class EdgeNaming {
  readonly #identity: Pick<Identity, "version" | "identify">;
  readonly #attributeSetKeyOf: (key: EdgeKey, names: Names) => string;
  /** Of the last exchange: rows left out because their names are awaited. They stay in the kernel. */
  pendingRows = 0;

  /** @param attributeSetKeyOf names the attribute set that an edge has under these names */
  constructor(
    identity: Pick<Identity, "version" | "identify">,
    attributeSetKeyOf: (key: EdgeKey, names: Names) => string,
  ) {
    this.#identity = identity;
    this.#attributeSetKeyOf = attributeSetKeyOf;
  }

  /** @returns the edges that have names and a `attributeSetKey` */
  name({ clock, edges, gone }: Growth): Growth {
    const named: Edge[] = [];
    for (const edge of edges) {
      if (edge.repeated !== undefined && this.#mustSplit(edge, edge.repeated, clock)) edge.splitOff(edge.repeated);
      edge.repeated = undefined;
      if (edge.sentIn !== undefined || this.#name(edge, clock)) named.push(edge);
    }
    this.pendingRows = edges.length - named.length;
    return { clock, edges: named, gone };
  }

  /**
   * Whether what is new in a row must be kept apart from what it repeats: that was sent under another name,
   * or its name is still awaited, and by then what is new may be another owner's.
   */
  #mustSplit(edge: Edge, repeated: UnsettledSlice, { bootNs }: ExchangeClock): boolean {
    if (edge.split !== undefined) return false;
    if (edge.sentIn === undefined || edge.attributeSetKey === undefined) return true;
    const { version } = this.#identity;
    if (edge.version === version) return false;
    const later = this.#identity.identify(edge.key, repeated.reportedNs, edge.untilNs, bootNs);
    if (later.state !== "named" || this.#attributeSetKeyOf(edge.key, later) !== edge.attributeSetKey) return true;
    edge.version = later.passing ? -1 : version;
    return false;
  }

  /** @returns whether the edge has names */
  #name(edge: Edge, { bootNs }: ExchangeClock): boolean {
    const { version } = this.#identity;
    if (edge.version === version && edge.attributeSetKey !== undefined) return true;
    const untilNs = edge.split?.untilNs ?? edge.untilNs;
    const answer = this.#identity.identify(edge.key, edge.sinceNs, untilNs, bootNs);
    edge.version = answer.state === "named" && !answer.passing ? version : -1;
    if (answer.state === "pending") {
      // Without growth there is nothing to wait for: what is open stays with whom it was.
      if (!edge.grown && edge.attributeSetKey !== undefined) return true;
      edge.names = undefined;
      edge.pendingWhy = answer.why;
      return false;
    }
    edge.names = answer;
    edge.pendingWhy = "";
    const attributeSetKey = this.#attributeSetKeyOf(edge.key, answer);
    if (edge.attributeSetKey !== attributeSetKey) edge.attributeSetKey = attributeSetKey;
    return true;
  }
}
