import { expect, test } from "vitest";
import { EventKind, frameConnection } from "../../../agent/generated/layout.ts";
import { FRAMES } from "../../../agent/source/decode.ts";
import { decodeEdgeKey } from "../../../agent/source/edge-key.ts";
import type { Frame } from "../../../agent/source/frames.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import { connectionFrame, keyBytes } from "./frames-builder.ts";

function decoded(frame: Frame) {
  return FRAMES.decode(frame.kind, Buffer.from(frame.payload), new RowPages(0));
}

/** The frame without its last bytes. */
function cut({ kind, payload }: Frame, bytes: number): Frame {
  return { kind, payload: payload.subarray(0, payload.length - bytes) };
}

function id(key: Parameters<typeof keyBytes>[0]): string {
  return keyBytes(key).toString("latin1");
}

/** All that can be read of a row, which reads it where it lies. */
function allRead(row: unknown): object {
  if (typeof row !== "object" || row === null) throw new Error(`not decoded: ${String(row)}`);
  const fields = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(row)));
  const read = fields.filter(([, { get }]) => get !== undefined).map(([name]) => [name, Reflect.get(row, name)]);
  return Object.fromEntries(read);
}

test("CONNECTION, with its events", () => {
  const values = {
    startNs: 1n,
    establishedNs: 2n,
    endNs: 3n,
    bytesSent: 23,
    bytesReceived: 29,
    sampleThreshold: 0xc0_0000_0000_0000n,
    segsOut: 31,
    segsIn: 37,
    retransmits: 41,
    retransmitsSyn: 2,
    retransmitsFast: 3,
    retransmitsTimeout: 5,
    retransmitsTlp: 7,
    retransmitsNonCongestion: 19,
    spurious: 11,
    outOfOrder: 13,
    handshakeUs: 17,
    srttUs: 43,
    minRttUs: 47,
    lastRttUs: 67,
    busyUs: 71,
    rwndLimitedUs: 73,
    sndbufLimitedUs: 79,
    pid: 53,
    interims: 83,
    localPort: 59,
    remotePort: 61,
    error: 111,
    flags: 5,
    kept: 6,
    comm: "curl",
  };
  const events = [
    { timeNs: 97n, kind: EventKind.EVENT_RETRANSMIT_TIMEOUT, segments: 2, state: 1, recovery: 4 },
    { timeNs: 101n, kind: EventKind.EVENT_RESET_RECEIVED, state: 8 },
  ];
  const traceId = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");

  const record = decoded(connectionFrame({ key: { serverPort: 443 }, ...values, traceId, state: 9, events }));

  expect(allRead(record)).toEqual({
    kind: "connection",
    key: decodeEdgeKey(id({ serverPort: 443 })),
    ...values,
    traceId: "000102030405060708090a0b0c0d0e0f",
    state: "last_ack",
    events: [
      { timeNs: 97n, kind: "retransmit_timeout", segments: 2, state: "established", recovery: "loss" },
      { timeNs: 101n, kind: "reset_received", segments: 0, state: "close_wait", recovery: "open" },
    ],
  });
});

test.each([
  ["ASCII", "a task with 16 B", "a task with 16 B"],
  ["UTF-8", "größe", "größe"],
  ["neither", Buffer.from([0x61, 0xff]), "a\ufffd"],
])("a task's name in %s", (_, comm, read) => {
  expect(decoded(connectionFrame({ comm: comm as string }))).toMatchObject({ comm: read });
});

test("a state that has no name is left open", () => {
  expect(decoded(connectionFrame({ state: 77 }))).toMatchObject({ kind: "connection", state: undefined });
});

test.each<[string, Frame, string]>([
  [
    "CONNECTION without a role",
    { ...connectionFrame(), payload: new Uint8Array(frameConnection.size) },
    "unknown_role",
  ],
  ["CONNECTION of a listener", connectionFrame({ key: { role: "listener" } }), "unknown_role"],
  ["CONNECTION with fewer events than it says", cut(connectionFrame({ events: [{ kind: 1 }] }), 8), "wrong_length"],
  ["CONNECTION with an event of an unknown kind", connectionFrame({ events: [{ kind: 99 }] }), "unknown_event"],
  ["CONNECTION with 2^53 bytes", connectionFrame({ bytesSent: 2 ** 53 }), "number_too_large"],
])("%s fails by name", (_, frame, failure) => {
  expect(decoded(frame)).toBe(failure);
});
