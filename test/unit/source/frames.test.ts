import fc from "fast-check";
import { expect, test } from "vitest";
import { FRAME_LENGTH_MAX } from "../../../agent/generated/layout.ts";
import { type Frame, FrameSplitter, packFrames } from "../../../agent/source/frames.ts";

const frames = fc.array(fc.record({ kind: fc.nat(0xffff), payload: fc.uint8Array({ maxLength: 50 }) }), {
  maxLength: 12,
});

/** Cuts `bytes` into chunks of the given sizes, over and over; a size of 0 is an empty chunk. */
function chunked(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    chunks.push(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

function split(chunks: readonly Buffer[]) {
  const splitter = new FrameSplitter();
  const found: Frame[] = [];
  const failures = chunks.map((chunk) =>
    splitter.push(chunk, (kind, payload) => found.push({ kind, payload: new Uint8Array(payload) })),
  );
  return { found, failure: failures.at(-1), pendingBytes: splitter.pendingBytes };
}

test("any way to cut a stream into chunks gives the same frames", () => {
  const sizes = fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }).filter((list) => list.some((size) => size > 0));
  fc.assert(
    fc.property(frames, sizes, (sent, cuts) => {
      const { found, failure, pendingBytes } = split(chunked(packFrames(sent), cuts));

      expect({ found, failure, pendingBytes }).toEqual({ found: sent, failure: undefined, pendingBytes: 0 });
    }),
  );
});

test("frames kept from one chunk are not changed by the next", () => {
  const sent = [
    { kind: 3, payload: Uint8Array.of(1, 2, 3, 4, 5, 6, 7) },
    { kind: 3, payload: Uint8Array.of(8, 9, 10, 11) },
  ];
  const splitter = new FrameSplitter();
  const kept: Buffer[] = [];

  for (const chunk of chunked(packFrames(sent), [3])) splitter.push(chunk, (_, payload) => kept.push(payload));

  expect(kept.map((payload) => [...payload])).toEqual([
    [1, 2, 3, 4, 5, 6, 7],
    [8, 9, 10, 11],
  ]);
});

test("a payload within one chunk is a view of it, not a copy", () => {
  const chunk = packFrames([{ kind: 3, payload: new Uint8Array(300) }]);
  const payloads: Buffer[] = [];

  new FrameSplitter().push(chunk, (_, payload) => payloads.push(payload));

  expect(payloads.map((payload) => payload.buffer === chunk.buffer)).toEqual([true]);
});

test("arbitrary bytes never throw, and end in frames, a named failure or bytes that wait", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (chunks) => {
      const { failure } = split(chunks.map((chunk) => Buffer.from(chunk)));

      expect([undefined, "frame_too_long", "header_not_zero"]).toContain(failure);
    }),
  );
});

test("a stream fails for good at a frame that is too long, and gives what came before", () => {
  const good = packFrames([{ kind: 7, payload: Uint8Array.of(23) }]);
  const tooLong = Buffer.alloc(8);
  tooLong.writeUInt32LE(FRAME_LENGTH_MAX + 1);

  const { found, failure } = split([good, tooLong, good]);

  expect({ found, failure }).toEqual({ found: [{ kind: 7, payload: Uint8Array.of(23) }], failure: "frame_too_long" });
});

test("the longest frame passes", () => {
  const longest = { kind: 3, payload: new Uint8Array(FRAME_LENGTH_MAX).fill(23) };

  const { found } = split(chunked(packFrames([longest]), [65536]));

  expect(found).toEqual([longest]);
});

test("a header whose zero is not zero fails the stream", () => {
  expect(split([Buffer.from([0, 0, 0, 0, 3, 0, 1, 0])]).failure).toBe("header_not_zero");
});

test("a frame that is too long cannot be packed", () => {
  expect(() => packFrames([{ kind: 65, payload: new Uint8Array(FRAME_LENGTH_MAX + 1) }])).toThrow(RangeError);
});
