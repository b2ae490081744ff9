/**
 * Events → whole exchanges. Used by the live source and by replay, so that both hand out the same.
 *
 * Bounded by the probe's edge table: it keeps one exchange at most, and the cgroups that were not handed out
 * of yet.
 */

import type { EdgeGrowth } from "../model/edge.ts";
import type {
  Cgroup,
  Exchange,
  NamespaceCounters,
  ProbeEvent,
  ProbeStatus,
  ProgramStats,
} from "../model/probe-event.ts";
import { RowPages } from "./rows.ts";
import type { ExchangeData } from "./source.ts";

/** The probe says an exchange's frames in another order than the contract's. */
export const OUT_OF_ORDER = "exchange_out_of_order";

interface Unfinished {
  readonly begin: Exchange;
  readonly rows: EdgeGrowth[];
  readonly namespaces: NamespaceCounters[];
  readonly programs: ProgramStats[];
  status: ProbeStatus | undefined;
}

/** One connection's exchanges, one after the other. */
export class ExchangeCollector {
  /** Kept until an exchange is complete: a connection says each cgroup once. */
  #cgroups: Cgroup[] = [];
  #unfinished: Unfinished | undefined;
  #pages = new RowPages();

  /** Where the rows of the exchange under way lie. */
  get pages(): RowPages {
    return this.#pages;
  }

  /** Takes one event; other kinds than those of an exchange are none of its business. */
  take(event: ProbeEvent): ExchangeData | typeof OUT_OF_ORDER | undefined {
    switch (event.kind) {
      case "cgroup":
        this.#cgroups.push(event);
        return undefined;
      case "exchange-begin":
        return this.#begin(event);
      case "exchange-end":
        return this.#end(event);
      case "edge":
      case "namespace":
      case "program":
      case "status":
        return this.#add(event);
      default:
        return undefined;
    }
  }

  #begin(begin: Exchange): typeof OUT_OF_ORDER | undefined {
    if (this.#unfinished !== undefined) return OUT_OF_ORDER;
    this.#unfinished = { begin, rows: [], namespaces: [], programs: [], status: undefined };
    return undefined;
  }

  #add(event: ProbeEvent & { kind: "edge" | "namespace" | "program" | "status" }): typeof OUT_OF_ORDER | undefined {
    const unfinished = this.#unfinished;
    if (unfinished === undefined) return OUT_OF_ORDER;
    if (event.kind === "edge") unfinished.rows.push(event);
    else if (event.kind === "namespace") unfinished.namespaces.push(event);
    else if (event.kind === "program") unfinished.programs.push(event);
    else unfinished.status = event;
    return undefined;
  }

  #end(end: Exchange): ExchangeData | typeof OUT_OF_ORDER {
    const unfinished = this.#unfinished;
    if (unfinished?.status === undefined || unfinished.begin.exchange !== end.exchange) return OUT_OF_ORDER;
    const cgroups = this.#cgroups;
    const pages = this.#pages;
    this.#unfinished = undefined;
    this.#cgroups = [];
    this.#pages = new RowPages();
    return { ...unfinished, status: unfinished.status, cgroups, end, free: () => pages.free() };
  }
}
