/** Where the three histograms lie among a row's slots. */
import { DURATION_SLOTS, HANDSHAKE_SLOTS, HistogramSlot, RTT_SLOTS } from "../generated/layout.ts";

/** `from` inclusive, `to` exclusive. */
export interface SlotRange {
  readonly from: number;
  readonly to: number;
}

export const HANDSHAKE: SlotRange = slotRange(HistogramSlot.SLOT_HANDSHAKE, HANDSHAKE_SLOTS);
export const RTT: SlotRange = slotRange(HistogramSlot.SLOT_RTT, RTT_SLOTS);
export const DURATION: SlotRange = slotRange(HistogramSlot.SLOT_DURATION, DURATION_SLOTS);

function slotRange(from: number, length: number): SlotRange {
  return { from, to: from + length };
}
