/**
 * One frame → one event: a table of what decodes each kind.
 *
 * Never throws: a frame that cannot be used is a fact to count, not a reason to stop the agent. The frames before and
 * behind it are whole, since each has its length in its header. So a new kind is a decoder in a file of its own
 * and its line here; an older agent counts it as `unknown_kind` and goes on.
 */
import type { ProbeEvent } from "../model/probe-event.ts";
import { CONNECTION_FRAME } from "./decode-connection.ts";
import { EDGE_FRAME } from "./decode-edge.ts";
import { EVIDENCE_FRAMES } from "./decode-evidence.ts";
import { PROBE_FRAMES } from "./decode-probe.ts";
import type { DecodeFailure, FrameDecoder } from "./frame-decoder.ts";
import type { RowPages } from "./rows.ts";

export class FrameTable {
  readonly #decoders: readonly (FrameDecoder | undefined)[];

  /** @throws Error where two decoders are for one kind */
  constructor(decoders: readonly FrameDecoder[]) {
    const table: (FrameDecoder | undefined)[] = [];
    for (const decoder of decoders) {
      if (table[decoder.kind] !== undefined) throw new Error(`two decoders for frames of kind ${decoder.kind}`);
      table[decoder.kind] = decoder;
    }
    this.#decoders = table;
  }

  /** Decodes a frame's payload: see FrameDecoder. */
  decode(kind: number, payload: Buffer, pages: RowPages): ProbeEvent | DecodeFailure {
    return this.#decoders[kind]?.decode(payload, pages) ?? "unknown_kind";
  }

  isRecord(kind: number): boolean {
    return this.#decoders[kind]?.isRecord === true;
  }
}

export const FRAME_DECODERS: readonly FrameDecoder[] = [
  ...PROBE_FRAMES,
  EDGE_FRAME,
  CONNECTION_FRAME,
  ...EVIDENCE_FRAMES,
];

export const FRAMES = new FrameTable(FRAME_DECODERS);
