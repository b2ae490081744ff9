/**
 * Events → whole exchanges. Used by the live source and by replay, so that both hand out the same.
 *
 * Bounded by the edge table that HELLO reports and by what this agent allows: it keeps one exchange at most, and the cgroups
 * that were not handed out of yet. Before HELLO it keeps nothing.
 */

import type { EdgeGrowth } from "../model/edge.ts";
import type { EvidenceRow, EvidenceTotal, NeighbourTable } from "../model/kernel-evidence.ts";
import type {
  Cgroup,
  Exchange,
  Hello,
  NamespaceCounters,
  ProbeEvent,
  ProbeStatus,
  ProgramStats,
} from "../model/probe-event.ts";
import { RowPages } from "./rows.ts";
import type { ExchangeData } from "./source.ts";

/** The probe says an exchange's frames in another order than the contract's. */
export const OUT_OF_ORDER = "exchange_out_of_order";

/** More of one kind came than a probe with such an edge table sends. */
export const BEYOND_HELLO = "beyond_hello";

/** The edges that take what finds no room in the table, one for each role. */
const OVERFLOW_EDGES = 3;
/** What `flowspan-probe --edges` takes at most. */
const EDGES_MAX = 1_000_000;
/** What Linux can be built for (NR_CPUS). */
const CPUS_MAX = 8_192;
/** Twice what the kernel's table of cgroup names holds; each may take 4 KiB of names here. */
const CGROUPS_MAX = 8_192;
/** More net namespaces than a node has; coverage takes 4 KiB for each. */
const NAMESPACES_MAX = 16_384;
/** More BPF programs and rows of evidence than a probe has. HELLO does not report them. */
const OTHERS_MAX = 65_536;

type PartOfExchange = ProbeEvent & {
  kind: "edge" | "evidence" | "evidence-total" | "neighbour-table" | "namespace" | "program" | "status";
};

interface Unfinished {
  readonly begin: Exchange;
  readonly rows: EdgeGrowth[];
  readonly namespaces: NamespaceCounters[];
  readonly programs: ProgramStats[];
  readonly evidence: {
    readonly rows: EvidenceRow[];
    readonly totals: EvidenceTotal[];
    readonly neighbourTables: NeighbourTable[];
  };
  status: ProbeStatus | undefined;
}

/** One connection's exchanges, one after the other. */
export class ExchangeCollector {
  /** Kept until an exchange is complete: a connection says each cgroup once. */
  #cgroups: Cgroup[] = [];
  #unfinished: Unfinished | undefined;
  readonly #edgesMax: number;
  /** Rows of an exchange. A cgroup comes before its first row, so there are no more of those. */
  #rowsMax = 0;
  #pages = new RowPages();

  /** @param edgesMax edges of an exchange, whatever HELLO has room for */
  constructor(edgesMax = EDGES_MAX) {
    this.#edgesMax = Math.min(edgesMax, EDGES_MAX);
  }

  /** Where the rows of the exchange under way lie. */
  get pages(): RowPages {
    return this.#pages;
  }

  /** Takes one event; other kinds than those of an exchange are none of its business. */
  take(event: ProbeEvent): ExchangeData | typeof OUT_OF_ORDER | typeof BEYOND_HELLO | undefined {
    switch (event.kind) {
      case "hello":
        this.#rowsMax = rowsMax(event, this.#edgesMax);
        return undefined;
      case "cgroup":
        return pushUpTo(Math.min(this.#rowsMax, CGROUPS_MAX), this.#cgroups, event);
      case "exchange-begin":
        return this.#begin(event);
      case "exchange-end":
        return this.#end(event);
      case "edge":
      case "evidence":
      case "evidence-total":
      case "neighbour-table":
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
    const evidence = { rows: [], totals: [], neighbourTables: [] };
    this.#unfinished = { begin, rows: [], namespaces: [], programs: [], evidence, status: undefined };
    return undefined;
  }

  #add(event: PartOfExchange): typeof OUT_OF_ORDER | typeof BEYOND_HELLO | undefined {
    const unfinished = this.#unfinished;
    if (unfinished === undefined) {
      // A row that belongs to no exchange.
      this.#pages.free();
      return OUT_OF_ORDER;
    }
    switch (event.kind) {
      case "edge":
        return pushUpTo(this.#rowsMax, unfinished.rows, event);
      case "namespace":
        return pushUpTo(NAMESPACES_MAX, unfinished.namespaces, event);
      case "program":
        return pushUpTo(OTHERS_MAX, unfinished.programs, event);
      case "evidence":
        return pushUpTo(OTHERS_MAX, unfinished.evidence.rows, event);
      case "evidence-total":
        return pushUpTo(OTHERS_MAX, unfinished.evidence.totals, event);
      case "neighbour-table":
        return pushUpTo(OTHERS_MAX, unfinished.evidence.neighbourTables, event);
      case "status":
        unfinished.status = event;
        return undefined;
    }
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

/** Each CPU may add an edge to a table that has just become full. */
function rowsMax({ edgeCapacity, cpus }: Hello, edgesMax: number): number {
  return Math.min(edgeCapacity, edgesMax) + OVERFLOW_EDGES + Math.min(cpus, CPUS_MAX);
}

function pushUpTo<Item>(max: number, list: Item[], item: Item): typeof BEYOND_HELLO | undefined {
  if (list.length >= max) return BEYOND_HELLO;
  list.push(item);
  return undefined;
}
