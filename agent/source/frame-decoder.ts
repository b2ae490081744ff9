/** What decodes one kind of frame, and the names of all that can be wrong with one. */
import type { ProbeEvent } from "../model/probe-event.ts";
import type { RowPages } from "./rows.ts";

/** Why a frame cannot be used. The source counts each by its name. */
export const DECODE_FAILURES = [
  "unknown_kind",
  "unknown_protocol",
  "wrong_length",
  "wrong_magic",
  "unknown_role",
  "slot_out_of_range",
  "number_too_large",
  "unknown_event",
] as const;

export type DecodeFailure = (typeof DECODE_FAILURES)[number];

export interface FrameDecoder {
  /** A number of enum frame_kind. */
  readonly kind: number;
  /** A frame that is no part of an exchange, and of which agent and probe keep account (record-account.ts). */
  readonly isRecord?: boolean;
  /**
   * Never throws.
   *
   * @param payload not kept: it may be overwritten later
   * @param pages where an edge's row is copied to
   * @returns the event, or the name of the failure for the caller to count
   */
  readonly decode: (payload: Buffer, pages: RowPages) => ProbeEvent | DecodeFailure;
}
