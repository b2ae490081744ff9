/**
 * FRAME_EDGE ⇄ a row: its key here, the value behind the key by the shape of its protocol.
 *
 * A node has thousands of them in every exchange. Keys stay bytes; decodeEdgeKey() makes text of one when an edge is
 * seen for the first time. A protocol that has no shape here fails the frame by name.
 */
import { edgeKey, FrameKind, frameEdge } from "../generated/layout.ts";
import { ROLE_NAMES } from "./edge-key.ts";
import type { EdgeRow, EdgeShape, EdgeValues } from "./edge-shape.ts";
import type { DecodeFailure, FrameDecoder } from "./frame-decoder.ts";
import { RowPages } from "./rows.ts";
import { TCP_EDGE } from "./tcp-edge.ts";

const SHAPES: readonly (EdgeShape | undefined)[] = byProtocol(TCP_EDGE);

function byProtocol(...shapes: readonly EdgeShape[]): (EdgeShape | undefined)[] {
  const table: (EdgeShape | undefined)[] = [];
  for (const shape of shapes) table[shape.protocol] = shape;
  return table;
}

const KEY_AT = frameEdge.fields.key.offset;
const ROLE_AT = KEY_AT + edgeKey.fields.role.offset;
const PROTOCOL_AT = KEY_AT + edgeKey.fields.protocol.offset;

export const EDGE_FRAME: FrameDecoder = { kind: FrameKind.FRAME_EDGE, decode: decodeEdge };

/** @param pages where the row is kept */
export function decodeEdge(payload: Buffer, pages: RowPages): EdgeRow | DecodeFailure {
  if (payload.length < KEY_AT + edgeKey.size) return "wrong_length";
  if (ROLE_NAMES[payload[ROLE_AT] as number] === undefined) return "unknown_role";
  return SHAPES[payload[PROTOCOL_AT] as number]?.decode(payload, pages) ?? "unknown_protocol";
}

/**
 * A row with these values, as if it had come in a frame.
 *
 * @throws RangeError for a key that decodeEdge() refuses
 */
export function edgeRowOf(values: EdgeValues): EdgeRow {
  const shape = SHAPES[values.id.charCodeAt(edgeKey.fields.protocol.offset)];
  if (shape === undefined) throw new RangeError("the key of an edge without a known protocol");
  return shape.row(shape.encode(values), new RowPages(0));
}
