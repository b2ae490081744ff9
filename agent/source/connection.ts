/**
 * One connection to the probe: a socket on one side, events and commands on the other.
 *
 * Splits and decodes what comes, and writes commands no faster than the probe takes them. Counts what it
 * cannot use and goes on; only a stream that can no longer be split ends it.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { ProbeEvent } from "../model.ts";
import { decodeFrame } from "./decode.ts";
import { type Frame, FrameSplitter, packFrames } from "./frames.ts";

/** Commands are packed into writes of about this size; the rest waits for the probe. */
const WRITE_BYTES = 256 * 1024;

/** The raw bytes of both directions, connection by connection, for a recording. */
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
}

/** @throws the system's error when nobody listens at `path`, or AbortError */
export async function openSocket(path: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path, signal });
  await once(socket, "connect");
  return socket;
}

export class ProbeConnection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #tap: Tap | undefined;
  readonly #splitter = new FrameSplitter();
  #outbox: Frame[] = [];
  /** The first frame of the outbox that was not written. */
  #next = 0;
  #why = "the probe closed the connection";
  bytes = 0;
  frames = 0;

  /** @param socket connected */
  constructor(socket: Socket, events: ConnectionEvents, tap?: Tap) {
    this.#socket = socket;
    this.#events = events;
    this.#tap = tap;
    tap?.connected();
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => this.#pump());
    socket.on("error", (error) => {
      this.#why = error.message;
    });
    socket.on("close", () => {
      tap?.disconnected();
      if (this.#splitter.pendingBytes > 0) events.failure("frame_cut");
      events.end(this.#why);
    });
  }

  /** Queues commands. They leave in order, as fast as the probe reads them. */
  send(frames: readonly Frame[]): void {
    for (const frame of frames) this.#outbox.push(frame);
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
      const event = decodeFrame(kind, payload);
      if (typeof event === "string") this.#events.failure(event);
      else if (!this.#socket.destroyed) this.#events.event(event);
    });
    if (failure === undefined || this.#socket.destroyed) return;
    this.#events.failure(failure);
    this.destroy(`the probe's stream cannot be split: ${failure}`);
  }

  #pump(): void {
    while (this.#next < this.#outbox.length && this.#socket.writable && !this.#socket.writableNeedDrain) {
      const packed = packFrames(this.#takeBatch());
      this.#tap?.toProbe(packed);
      this.#socket.write(packed);
    }
    if (this.#next < this.#outbox.length) return;
    this.#outbox = [];
    this.#next = 0;
  }

  #takeBatch(): Frame[] {
    const batch: Frame[] = [];
    for (let size = 0; size < WRITE_BYTES && this.#next < this.#outbox.length; this.#next++) {
      const frame = this.#outbox[this.#next] as Frame;
      batch.push(frame);
      size += frame.payload.length;
    }
    return batch;
  }
}
