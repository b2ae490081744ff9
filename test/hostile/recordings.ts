/**
 * Damage to a real recording, at random, and the judge of what `flowspan replay` makes of it.
 *
 * A mutation says where by a fraction of the bytes, or by one of the entries and frames in them: so it shrinks, and fits
 * any recording. The judge gives a mutant to the command itself, in a process of its own. Every mutant ends in time and in
 * bounded memory: in points, or in one error that says what is wrong and at which byte.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { FRAME_LENGTH_MAX } from "../../agent/generated/layout.ts";
import { Replayer } from "./replayer.ts";

/** What flowspan may take under any input, with all of Node. */
export const ALLOWED_MIB = 256;

const HEAD = 16;
const ENTRY_HEADER = 16;
const FRAME_HEADER = 8;

type Place =
  | { readonly at: number }
  /** `byte` bytes behind the beginning of one of the entries, or of the frames in them. */
  | { readonly part: "entry" | "frame"; readonly at: number; readonly byte: number };

type Change =
  | { readonly do: "flip"; readonly bit: number }
  | { readonly do: "cut" }
  | { readonly do: "drop"; readonly length: number }
  | { readonly do: "repeat"; readonly length: number; readonly times: number }
  /** Whole parts, as a hostile writer has them. */
  | { readonly do: "drop parts" | "repeat parts"; readonly count: number; readonly times: number }
  | { readonly do: "fill"; readonly length: number; readonly value: number }
  | { readonly do: "u32"; readonly value: number }
  | { readonly do: "insert"; readonly bytes: Uint8Array };

export interface Mutation {
  /** `file`: the compressed bytes. `packed`: the bytes within, compressed again. `plain`: those without gzip. */
  readonly layer: "file" | "packed" | "plain";
  readonly changes: readonly { readonly place: Place; readonly change: Change }[];
}

const fraction = fc.integer({ min: 0, max: 999_999 }).map((millionths) => millionths / 1e6);
const length = fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 8_192 }));
const HUGE = [0, 1, 0x7f, 0xff, 0xffff, 0x10000, 0x100000, 0x100001, 0x1fffff, 0x200000, 0x7fffffff, 0xffffffff];

const place: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ at: fraction }),
  // The ends of a file: gzip's header and trailer.
  fc.record({ at: fc.constantFrom(0, 0.0001, 0.0005, 0.999, 0.9999, 0.99999) }),
  fc.record({
    part: fc.constantFrom("entry" as const, "frame" as const),
    at: fraction,
    byte: fc.oneof(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 400 })),
  }),
);

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ do: fc.constant("flip" as const), bit: fc.integer({ min: 0, max: 7 }) }),
  fc.record({ do: fc.constant("cut" as const) }),
  fc.record({ do: fc.constant("drop" as const), length }),
  fc.record({ do: fc.constant("repeat" as const), length, times: fc.integer({ min: 1, max: 50 }) }),
  fc.record({
    do: fc.constantFrom("drop parts" as const, "repeat parts" as const),
    count: fc.integer({ min: 1, max: 20 }),
    times: fc.integer({ min: 1, max: 200 }),
  }),
  fc.record({ do: fc.constant("fill" as const), length, value: fc.constantFrom(0, 0xff, 0x41) }),
  fc.record({ do: fc.constant("u32" as const), value: fc.constantFrom(...HUGE) }),
  fc.record({ do: fc.constant("insert" as const), bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }) }),
);

export const mutations: fc.Arbitrary<Mutation> = fc.record({
  layer: fc.constantFrom("file" as const, "packed" as const, "plain" as const),
  changes: fc.array(fc.record({ place, change }), { minLength: 1, maxLength: 3 }),
});

/** @param recording a compressed recording without damage */
function mutant(recording: Buffer, { layer, changes }: Mutation): Buffer {
  const whole = layer === "file" ? recording : gunzipSync(recording);
  const parts = partsOf(gunzipSync(recording));
  const bytes = changes.reduce((now, { place, change }) => changed(now, parts, place, change), whole);
  return layer === "packed" ? gzipSync(bytes) : bytes;
}

interface Parts {
  readonly entry: readonly number[];
  readonly frame: readonly number[];
}

/** Where entries and frames begin. Frames that do not begin in an entry of their own are left out. */
function partsOf(bytes: Buffer): Parts {
  const entry: number[] = [];
  const frame: number[] = [];
  for (let at = HEAD; at + ENTRY_HEADER <= bytes.length; ) {
    entry.push(at);
    const end = at + ENTRY_HEADER + bytes.readUInt32LE(at);
    for (at += ENTRY_HEADER; at + FRAME_HEADER <= end; at += FRAME_HEADER + bytes.readUInt32LE(at)) {
      if (bytes.readUInt32LE(at) > FRAME_LENGTH_MAX || bytes.readUInt16LE(at + 6) !== 0) break;
      frame.push(at);
    }
    at = end;
  }
  return { entry, frame };
}

function changed(bytes: Buffer, parts: Parts, place: Place, change: Change): Buffer {
  const list = "part" in place ? parts[place.part] : parts.frame;
  const index = Math.floor(place.at * list.length);
  const at = "part" in place ? (list[index] ?? 0) + place.byte : Math.floor(place.at * bytes.length);
  const splice = (from: number, to: number, ...put: readonly Uint8Array[]) =>
    Buffer.concat([bytes.subarray(0, from), ...put, bytes.subarray(to)]);
  switch (change.do) {
    case "flip":
      return splice(at, at + 1, Buffer.of((bytes[at] ?? 0) ^ (1 << change.bit)));
    case "cut":
      return bytes.subarray(0, at);
    case "drop":
      return splice(at, at + change.length);
    case "repeat":
      return splice(at, at, ...Array(change.times).fill(bytes.subarray(at, at + change.length)));
    case "drop parts":
      return splice(list[index] ?? 0, list[index + change.count] ?? bytes.length);
    case "repeat parts": {
      const from = list[index] ?? 0;
      return splice(from, from, ...Array(change.times).fill(bytes.subarray(from, list[index + change.count])));
    }
    case "fill":
      return splice(at, at + change.length, Buffer.alloc(change.length, change.value));
    case "u32": {
      const value = Buffer.alloc(4);
      value.writeUInt32LE(change.value);
      return splice(at, at + 4, value);
    }
    case "insert":
      return splice(at, at, change.bytes);
  }
}

export interface Mutants extends Disposable {
  /** @returns what is wrong with how `flowspan replay` ended; undefined: nothing */
  judge(mutation: Mutation): Promise<string | undefined>;
  /** The most that replays have had resident so far. */
  readonly peakMib: number;
}

/** The golden recording, and a directory for what is made of it. */
export function makeMutants(): Mutants {
  const recording = readFileSync(fileURLToPath(new URL("../golden/two-services.gz", import.meta.url)));
  const directory = mkdtempSync(join(tmpdir(), "flowspan-mutants-"));
  const path = join(directory, "mutant");
  const replayer = new Replayer();
  let peakMib = 0;
  return {
    get peakMib() {
      return peakMib;
    },
    async judge(mutation) {
      writeFileSync(path, mutant(recording, mutation));
      const replayed = await replayer.replay(path);
      if (replayed === "late") return "it waits for ever";
      peakMib = Math.max(peakMib, replayed.peakMib);
      if (replayed.peakMib > ALLOWED_MIB) return `it takes ${replayed.peakMib} MiB, ${ALLOWED_MIB} are allowed`;
      if (replayed.error === undefined || /^\w+: the recording .* at byte \d+/s.test(replayed.error)) return undefined;
      return `it ends in an error that does not say where: ${replayed.error}`;
    },
    [Symbol.dispose]() {
      replayer[Symbol.dispose]();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
