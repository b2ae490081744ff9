/**
 * One connection to the probe: a socket on one side, events and commands on the other.
 *
 * Splits and decodes what comes, and writes commands no faster than the probe takes them; one buffer for
 * each direction serves the whole life of a connection. Counts what it cannot use and goes on; only a
 * stream that can no longer be split ends it.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FrameKind } from "../generated/layout.ts";
import type { ProbeEvent } from "../model/probe-event.ts";
import { decodeFrame } from "./decode.ts";
import { type Frame, FrameSplitter, frameSize, writeFrame } from "./frames.ts";
import type { RowPages } from "./rows.ts";

const READ_BYTES = 64 * 1024;
/** More than the longest frame takes. Commands are packed into writes of at most this; the rest waits. */
const WRITE_BYTES = 128 * 1024;

/** The raw bytes of both directions, connection by connection, for a recording. Chunks are overwritten after a call. */
export interface Tap {
  connected(): void;
  fromProbe(chunk: Buffer): void;
  toProbe(chunk: Buffer): void;
  disconnected(): void;
}

export interface ConnectionEvents {
  event(event: ProbeEvent): void;
  /** Something came that cannot be used; counted by this name. */
  failure(name: string): void;
  /** Once: nothing comes after it. */
  end(why: string): void;
  /** Where rows are kept that come now. */
  pages(): RowPages;
}

/** A connected socket that reads into one buffer. */
export interface ProbeSocket {
  readonly socket: Socket;
  /** Set in the turn of the event loop in which the socket was connected: nothing comes before. */
  onChunk: (chunk: Buffer) => void;
}

/** @throws the system's error when nobody listens at `path`, or AbortError */
export async function openSocket(path: string, signal: AbortSignal): Promise<ProbeSocket> {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const callback = (length: number): boolean => {
    opened.onChunk(buffer.subarray(0, length));
    return true;
  };
  const opened = { socket: connect({ path, signal, onread: { buffer, callback } }), onChunk: (_: Buffer) => {} };
  await once(opened.socket, "connect");
  return opened;
}

export class ProbeConnection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #tap: Tap | undefined;
  readonly #splitter = new FrameSplitter();
  /** Commands that wait, in order. */
  #outbox: Iterator<Frame>[] = [];
  /** Taken from the outbox, without room in the last write. */
  #next: Frame | undefined;
  readonly #packed = Buffer.allocUnsafeSlow(WRITE_BYTES);
  #writing = false;
  #why = "the probe closed the connection";
  bytes = 0;
  frames = 0;
  /** Frames of connection records, also of those that could not be decoded. */
  records = 0;

  constructor(opened: ProbeSocket, events: ConnectionEvents, tap?: Tap) {
    const { socket } = opened;
    this.#socket = socket;
    this.#events = events;
    this.#tap = tap;
    tap?.connected();
    opened.onChunk = (chunk) => this.#receive(chunk);
    socket.on("error", (error) => {
      this.#why = error.message;
    });
    socket.on("close", () => {
      tap?.disconnected();
      if (this.#splitter.pendingBytes > 0) events.failure("frame_cut");
      events.end(this.#why);
    });
  }

  /** Queues commands. They leave in order, as fast as the probe reads them, and are made only then. */
  send(frames: Iterable<Frame>): void {
    this.#outbox.push(frames[Symbol.iterator]());
    this.#pump();
  }

  destroy(why: string): void {
    this.#why = why;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#tap?.fromProbe(chunk);
    const failure = this.#splitter.push(chunk, (kind, payload) => {
      this.frames++;
      if (kind === FrameKind.FRAME_CONNECTION) this.records++;
      const event = decodeFrame(kind, payload, this.#events.pages());
      if (typeof event === "string") this.#events.failure(event);
      else if (!this.#socket.destroyed) this.#events.event(event);
    });
    if (failure === undefined || this.#socket.destroyed) return;
    this.#events.failure(failure);
    this.destroy(`the probe's stream cannot be split: ${failure}`);
  }

  /** One write at a time: the buffer belongs to the socket until the write is done. */
  #pump(): void {
    if (this.#writing || !this.#socket.writable) return;
    const length = this.#pack();
    if (length === 0) return;
    const packed = this.#packed.subarray(0, length);
    this.#tap?.toProbe(packed);
    this.#writing = true;
    this.#socket.write(packed, () => {
      this.#writing = false;
      this.#pump();
    });
  }

  /** @returns how many bytes of commands are ready to be written */
  #pack(): number {
    let length = 0;
    for (;;) {
      const frame = this.#next ?? this.#takeFrame();
      if (frame === undefined) return length;
      this.#next = frame;
      if (length + frameSize(frame) > WRITE_BYTES) return length;
      length = writeFrame(this.#packed, length, frame);
      this.#next = undefined;
    }
  }

  #takeFrame(): Frame | undefined {
    for (let first = this.#outbox[0]; first !== undefined; first = this.#outbox[0]) {
      const next = first.next();
      if (next.done !== true) return next.value;
      this.#outbox.shift();
    }
    return undefined;
  }
}
