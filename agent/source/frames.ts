/**
 * Bytes ⇄ frames: splits what a socket delivers into frames, and packs commands for the other direction.
 *
 * Knows only struct frame_header. A chunk may end anywhere, also inside a header. A payload that lies
 * within one chunk is a view of it, not a copy; only frames across a chunk's end are copied together.
 */
import { FRAME_LENGTH_MAX, frameHeader } from "../generated/layout.ts";

const HEADER_SIZE = frameHeader.size;
const LENGTH = frameHeader.fields.length.offset;
const KIND = frameHeader.fields.kind.offset;
const ZERO = frameHeader.fields.zero.offset;

/** Why a stream cannot be split any further. There is no way to find the next frame: end the connection. */
export type SplitFailure = "frame_too_long" | "header_not_zero";

/** @param payload a view of the chunk where that holds all of it: it lasts as long as the chunk does */
export type OnFrame = (kind: number, payload: Buffer) => void;

/** One stream's splitter. After a failure it stays failed. */
export class FrameSplitter {
  readonly #header = Buffer.alloc(HEADER_SIZE);
  #headerFilled = 0;
  /** The frame whose end has not come yet, at its full length. */
  #payload: Buffer | undefined;
  #payloadFilled = 0;
  #failure: SplitFailure | undefined;

  /** Bytes of a frame that is not complete: not 0 at a stream's end means it was cut. */
  get pendingBytes(): number {
    return this.#headerFilled + this.#payloadFilled;
  }

  /** Calls `onFrame` for each frame that `chunk` completes, in order, then says whether the stream is lost. */
  push(chunk: Buffer, onFrame: OnFrame): SplitFailure | undefined {
    let at = 0;
    while (at < chunk.length && this.#failure === undefined) {
      at = this.#payload === undefined ? this.#takeFrame(chunk, at, onFrame) : this.#takeRest(chunk, at, onFrame);
    }
    return this.#failure;
  }

  /** Takes a header and, where it is all there, its payload as a view. */
  #takeFrame(chunk: Buffer, at: number, onFrame: OnFrame): number {
    let header = chunk;
    let headerAt = at;
    if (this.#headerFilled > 0 || chunk.length - at < HEADER_SIZE) {
      const taken = chunk.copy(this.#header, this.#headerFilled, at, at + HEADER_SIZE - this.#headerFilled);
      this.#headerFilled += taken;
      if (this.#headerFilled < HEADER_SIZE) return at + taken;
      at += taken;
      header = this.#header;
      headerAt = 0;
    } else {
      at += HEADER_SIZE;
    }

    const length = header.readUInt32LE(headerAt + LENGTH);
    this.#failure = headerFailure(header, headerAt, length);
    if (this.#failure !== undefined) return at;
    if (chunk.length - at < length) {
      this.#payload = Buffer.allocUnsafeSlow(length);
      if (header !== this.#header) header.copy(this.#header, 0, headerAt, headerAt + HEADER_SIZE);
      this.#headerFilled = HEADER_SIZE;
      return at;
    }
    this.#headerFilled = 0;
    onFrame(header.readUInt16LE(headerAt + KIND), chunk.subarray(at, at + length));
    return at + length;
  }

  #takeRest(chunk: Buffer, at: number, onFrame: OnFrame): number {
    const payload = this.#payload as Buffer;
    const taken = chunk.copy(payload, this.#payloadFilled, at);
    this.#payloadFilled += taken;
    if (this.#payloadFilled === payload.length) {
      this.#payload = undefined;
      this.#payloadFilled = 0;
      this.#headerFilled = 0;
      onFrame(this.#header.readUInt16LE(KIND), payload);
    }
    return at + taken;
  }
}

function headerFailure(header: Buffer, at: number, length: number): SplitFailure | undefined {
  if (length > FRAME_LENGTH_MAX) return "frame_too_long";
  if (header.readUInt16LE(at + ZERO) !== 0) return "header_not_zero";
  return undefined;
}

export interface Frame {
  readonly kind: number;
  readonly payload: Uint8Array;
}

export const NO_PAYLOAD = new Uint8Array(0);

/** Packs frames back to back into one buffer of its own. */
export function packFrames(frames: readonly Frame[]): Buffer {
  const packed = Buffer.allocUnsafeSlow(frames.reduce((size, frame) => size + frameSize(frame), 0));
  let at = 0;
  for (const frame of frames) at = writeFrame(packed, at, frame);
  return packed;
}

export function frameSize({ payload }: Frame): number {
  return HEADER_SIZE + payload.length;
}

/** @returns where the next frame begins */
export function writeFrame(target: Buffer, at: number, { kind, payload }: Frame): number {
  if (payload.length > FRAME_LENGTH_MAX) throw new RangeError(`a frame of ${payload.length} bytes is too long`);
  target.writeUInt32LE(payload.length, at + LENGTH);
  target.writeUInt16LE(kind, at + KIND);
  target.writeUInt16LE(0, at + ZERO);
  target.set(payload, at + HEADER_SIZE);
  return at + HEADER_SIZE + payload.length;
}
