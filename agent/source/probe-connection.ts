/**
 * One connection to the probe: moves bytes, and knows nothing of what they say.
 *
 * Hands on what comes, and writes commands no faster than the probe takes them; one buffer for each direction serves
 * the whole life of a connection.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type Frame, frameSize, writeFrame } from "./frames.ts";

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
  /** @param chunk overwritten after the call */
  bytes(chunk: Buffer): void;
  /** Once: nothing comes after it. */
  end(why: string): void;
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
  readonly #tap: Tap | undefined;
  /** Commands that wait, in order. */
  #outbox: Iterator<Frame>[] = [];
  /** Taken from the outbox, without room in the last write. */
  #next: Frame | undefined;
  readonly #packed = Buffer.allocUnsafeSlow(WRITE_BYTES);
  #writing = false;
  #why = "the probe closed the connection";

  constructor(opened: ProbeSocket, events: ConnectionEvents, tap?: Tap) {
    const { socket } = opened;
    this.#socket = socket;
    this.#tap = tap;
    tap?.connected();
    opened.onChunk = (chunk) => {
      tap?.fromProbe(chunk);
      events.bytes(chunk);
    };
    socket.on("error", (error) => {
      this.#why = error.message;
    });
    socket.on("close", () => {
      tap?.disconnected();
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
