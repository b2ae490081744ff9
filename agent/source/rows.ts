/**
 * An edge's growth → the payload of a FRAME_EDGE: the inverse of decodeEdge().
 *
 * The live source never needs it (a settle is the row as it came); replay does, where what it hands out
 * is not what was recorded.
 */
import { EDGE_COUNTERS, frameEdge, slotGrowth } from "../generated/layout.ts";
import type { EdgeGrowth } from "../model.ts";

export function encodeEdge(growth: Omit<EdgeGrowth, "row">): Buffer {
  const at = frameEdge.fields;
  const slotCount = growth.slots.length / 2;
  const row = Buffer.alloc(frameEdge.size + slotCount * slotGrowth.size);
  row.write(growth.id, at.key.offset, "latin1");
  row.writeBigUInt64LE(growth.exchange, at.exchange.offset);
  row.writeBigUInt64LE(growth.sinceNs, at.sinceNs.offset);
  for (let i = 0; i < EDGE_COUNTERS.length; i++) {
    row.writeBigUInt64LE(BigInt(growth.counters[i] as number), at.growth.offset + i * 8);
  }
  row.writeUInt32LE(growth.open, at.open.offset);
  row.writeUInt32LE(growth.limit, at.limit.offset);
  row.writeUInt32LE(slotCount, at.slotCount.offset);
  for (let i = 0; i < slotCount; i++) {
    const slotAt = frameEdge.size + i * slotGrowth.size;
    row.writeUInt32LE(growth.slots[2 * i] as number, slotAt + slotGrowth.fields.slot.offset);
    row.writeUInt32LE(growth.slots[2 * i + 1] as number, slotAt + slotGrowth.fields.count.offset);
  }
  return row;
}
