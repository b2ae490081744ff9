/** How the value behind an edge's key is laid out, by protocol. */
import type { EdgeGrowth } from "../model/edge.ts";
import type { DecodeFailure } from "./frame-decoder.ts";
import type { RowPages } from "./rows.ts";

/** One FRAME_EDGE's payload, kept in a page. */
export type EdgeRow = EdgeGrowth & { readonly kind: "edge" };

/** What a row is made of. */
export type EdgeValues = Pick<EdgeGrowth, "id" | "exchange" | "sinceNs" | "counters" | "slots" | "open" | "limit">;

export interface EdgeShape {
  /** The number in edge_key.protocol. */
  readonly protocol: number;
  /**
   * Checks what follows the key.
   *
   * @param payload of a FRAME_EDGE, with a key that is in order
   * @param pages where the row is copied to
   */
  decode(payload: Buffer, pages: RowPages): EdgeRow | DecodeFailure;
  /** @param payload as decode() takes it, known to be in order */
  row(payload: Uint8Array, pages: RowPages): EdgeRow;
  /** @returns the payload of a FRAME_EDGE with these values */
  encode(values: EdgeValues): Buffer;
}
