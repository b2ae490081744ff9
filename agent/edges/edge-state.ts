/**
 * One edge as the agent knows it: what it has been named, what it has counted since the agent started, and which
 * of its growth the kernel still holds.
 *
 * A row repeats growth until it is settled. Where what is new in it belongs to another owner than what it
 * repeats, the row before is sent and settled by itself (`split`).
 */
import type { EdgeGrowth, EdgeKey } from "../model/edge.ts";
import type { Names } from "../model/names.ts";
import { KeptRow } from "./kept-row.ts";
import { OWN_FROM, type SumPages, Sums } from "./sums.ts";

/** Growth up to the time of one exchange that the kernel still holds. */
export interface UnsettledSlice {
  readonly row: EdgeGrowth;
  /** The last exchange in which it grew. */
  readonly untilNs: bigint;
  /** The last exchange that reported it: later growth is missing in it. */
  readonly reportedNs: bigint;
}

/** Behind an edge's totals: what was new in its last row, for rates. */
export const LATEST = { bytesSent: OWN_FROM, bytesReceived: OWN_FROM + 1, opened: OWN_FROM + 2 } as const;

/** What the series keep with an edge; nobody else looks into it. */
export interface Keyed {
  readonly key: string;
}

export class Edge {
  readonly id: string;
  readonly key: EdgeKey;
  /** Since the agent started, and LATEST. */
  readonly totals: Sums;
  /** Version of the identity that `names` came from; -1 before the first answer. */
  version = -1;
  /** Undefined while the identity is pending. */
  names: Names | undefined;
  /** Why there are no names yet. */
  pendingWhy = "";
  /** Names the attribute set that its names make; undefined before the first names. */
  attributeSetKey: string | undefined;
  /** The attribute set that it was put into last. */
  attributeSet: Keyed | undefined;
  /** The series that growth was sent in which is not confirmed: the same growth must go there again. */
  sentIn: Keyed | undefined;
  /** The next edge whose row is in the sums of the same series and not accepted. */
  nextMember: Edge | undefined;
  /** The row that is in the sums of a series and not accepted. */
  sent: EdgeGrowth | undefined;
  /** The row of the last exchange, until it is accepted; a KeptRow is what a split has left of it. */
  row: EdgeGrowth | undefined;
  /** Whether `row` has growth. */
  grown = false;
  /** What `row` repeats, if it has grown further since and can be settled by itself. */
  repeated: UnsettledSlice | undefined;
  /** The part of `row` that is sent and settled before the rest is. */
  split: UnsettledSlice | undefined;
  /** Whether `row` has less than the unsettled row before it: the kernel's maps were made anew. */
  shrunk = false;
  /** Weight of what was new in `row`: see weight.ts. */
  weight = 0;
  /** Growth in `row` happened after this, and up to `untilNs`. */
  sinceNs = 0n;
  untilNs = 0n;
  /** What was new in `row`, by EDGE_COUNTERS, where it speaks of trouble and nobody has judged it. */
  trouble: Float64Array | undefined;
  /** Segments sent that were new in `row`, and in those before that nobody has judged, since the edge had no names. */
  segments = 0;
  /** Of what was new in `row`: segments that came, and whether the peer got what this end sent. */
  segmentsIn = 0;
  isAnswered = false;
  /** Of the last exchange that had a row, on CLOCK_BOOTTIME. */
  seenNs = 0n;
  open = 0;
  limit = 0;

  constructor(id: string, key: EdgeKey, pages: SumPages) {
    this.id = id;
    this.key = key;
    this.totals = new Sums(pages);
  }

  /** The row that is to be sent now, and accepted or not as a whole. */
  get due(): EdgeGrowth | undefined {
    return this.split?.row ?? this.row;
  }

  /** The row that was due is settled: the kernel subtracts it; after a split, the rest of it is still there. */
  settle(): void {
    this.sentIn = undefined;
    const { row, split } = this;
    if (row === undefined || split === undefined) {
      this.forgetRow();
      return;
    }
    this.row = KeptRow.rest(row, split.row);
    this.sinceNs = split.reportedNs;
    this.split = undefined;
    this.version = -1;
  }

  /** From now on, and until that is settled, only what `row` repeats is due. */
  splitOff(slice: UnsettledSlice): void {
    this.split = { ...slice, row: KeptRow.copy(slice.row) };
  }

  forgetRow(): void {
    this.row = undefined;
    this.grown = false;
    this.repeated = undefined;
    this.split = undefined;
  }
}
