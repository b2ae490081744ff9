/**
 * Frames as the probe writes them, for tests: every builder has defaults for all fields, so that a test
 * names only what matters to it.
 *
 * Writes by the offsets of generated/layout.ts; decode.test.ts pins the bytes by hand, so that a mistake
 * shared by writer and reader is found there.
 */
import {
  connectionEvent,
  type EdgeCountersField,
  EdgeRole,
  EvidenceKind,
  edgeKey,
  evidenceKey,
  FLOWSPAN_MAGIC,
  FLOWSPAN_PROTOCOL,
  FrameKind,
  frameCgroup,
  frameConnection,
  frameEdge,
  frameEvidence,
  frameExchange,
  frameHello,
  frameNamespace,
  frameProgram,
  frameSettled,
  frameStatus,
  frameTrouble,
  LOSS_NAMES,
  PacketDirection,
  slotGrowth,
} from "../../../agent/generated/layout.ts";
import type { Connection } from "../../../agent/model/connection-record.ts";
import type { EdgeGrowth, EdgeKey } from "../../../agent/model/edge.ts";
import type { EvidenceKey, EvidenceRow } from "../../../agent/model/kernel-evidence.ts";
import type {
  Cgroup,
  Exchange,
  Hello,
  NamespaceCounters,
  ProbeStatus,
  ProgramStats,
} from "../../../agent/model/probe-event.ts";
import { parseAddress } from "../../../agent/shared/address.ts";
import type { EdgeRow } from "../../../agent/source/edge-shape.ts";
import type { Frame } from "../../../agent/source/frames.ts";
import { RowPages } from "../../../agent/source/rows.ts";
import type { Settled } from "../../../agent/source/source.ts";
import { TCP_EDGE } from "../../../agent/source/tcp-edge.ts";

type Field =
  | { readonly offset: number; readonly type: "u8" | "u16" | "u32" | "u64" }
  | { readonly offset: number; readonly type: "bytes"; readonly length: number }
  | { readonly offset: number; readonly type: "struct"; readonly of: Struct }
  | { readonly offset: number; readonly type: "array" };

interface Struct {
  readonly size: number;
  readonly fields: Readonly<Record<string, Field>>;
}

type Value = number | bigint | string | Uint8Array | Readonly<Record<string, unknown>>;

/** Writes `values` by the fields of the same names; fields without a value stay zero. */
function write(
  struct: Struct,
  values: Readonly<Record<string, unknown>>,
  into: Buffer = Buffer.alloc(struct.size),
  base = 0,
): Buffer {
  for (const [name, field] of Object.entries(struct.fields)) {
    const value = values[name] as Value | undefined;
    if (value !== undefined) writeField(into, base + field.offset, field, value);
  }
  return into;
}

function writeField(into: Buffer, at: number, field: Field, value: Value): void {
  if (field.type === "u8") into.writeUInt8(Number(value), at);
  else if (field.type === "u16") into.writeUInt16LE(Number(value), at);
  else if (field.type === "u32") into.writeUInt32LE(Number(value), at);
  else if (field.type === "u64") into.writeBigUInt64LE(BigInt(value as number | bigint), at);
  else if (field.type === "struct") write(field.of, value as Readonly<Record<string, unknown>>, into, at);
  else if (field.type === "bytes") into.set(Buffer.from(value as string).subarray(0, field.length), at);
}

const SECOND_NS = 1_000_000_000n;

export function helloFrame(values: Partial<Hello> & { readonly magic?: bigint } = {}): Frame {
  const payload = write(frameHello, {
    magic: FLOWSPAN_MAGIC,
    protocol: FLOWSPAN_PROTOCOL,
    probePid: 4711,
    features: 0x7fn,
    bootNs: 100n * SECOND_NS,
    realtimeNs: 1_700_000_000n * SECOND_NS,
    exchange: 0n,
    startedNs: 90n * SECOND_NS,
    edgeCapacity: 65536,
    cpus: 2,
    kernel: "6.12.0",
    ...values,
  });
  return { kind: FrameKind.FRAME_HELLO, payload };
}

const EXCHANGE: Exchange = {
  exchange: 1n,
  bootNs: 115n * SECOND_NS,
  realtimeNs: 1_700_000_015n * SECOND_NS,
  walkNs: 60_000n,
  sockets: 2,
  edges: 0,
};

export function beginFrame(values: Partial<Exchange> = {}): Frame {
  return { kind: FrameKind.FRAME_EXCHANGE_BEGIN, payload: write(frameExchange, { ...EXCHANGE, ...values }) };
}

export function endFrame(values: Partial<Exchange> = {}): Frame {
  return { kind: FrameKind.FRAME_EXCHANGE_END, payload: write(frameExchange, { ...EXCHANGE, ...values }) };
}

const ROLES = { client: EdgeRole.ROLE_CLIENT, server: EdgeRole.ROLE_SERVER, listener: EdgeRole.ROLE_LISTENER };

/** The 48 bytes of a key: by default a client at 10.0.0.1 of 10.0.0.2:8080. */
export function keyBytes(key: Partial<EdgeKey> = {}): Buffer {
  return write(edgeKey, {
    cgroup: key.cgroup ?? 4242n,
    netns: key.netns ?? 4026531840,
    serverPort: key.serverPort ?? (key.overflow ? 0 : 8080),
    role: ROLES[key.role ?? "client"],
    protocol: 6,
    localAddr: key.overflow ? new Uint8Array(16) : addressBytes(key.localAddress ?? "10.0.0.1"),
    remoteAddr: addressBytes(key.remoteAddress ?? (key.overflow || key.role === "listener" ? "::" : "10.0.0.2")),
  });
}

function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new Error(`${text} is no address`);
  return bytes;
}

export interface EdgeValues {
  readonly key?: Partial<EdgeKey>;
  readonly exchange?: bigint;
  readonly sinceNs?: bigint;
  readonly counters?: Partial<Record<EdgeCountersField, number | bigint>>;
  /** [slot, count] */
  readonly slots?: readonly (readonly [number, number])[];
  readonly open?: number;
  readonly limit?: number;
}

/** The payload of a FRAME_EDGE: by default no growth and nothing open. */
export function edgeRow(values: EdgeValues = {}): Buffer {
  const slots = values.slots ?? [];
  const row = Buffer.alloc(frameEdge.size + slots.length * slotGrowth.size);
  row.set(keyBytes(values.key), frameEdge.fields.key.offset);
  write(frameEdge.fields.growth.of, values.counters ?? {}, row, frameEdge.fields.growth.offset);
  write(
    frameEdge,
    {
      exchange: values.exchange ?? 1n,
      sinceNs: values.sinceNs ?? 100n * SECOND_NS,
      open: values.open ?? 0,
      limit: values.limit ?? 0,
      slotCount: slots.length,
    },
    row,
  );
  for (const [index, [slot, count]] of slots.entries()) {
    write(slotGrowth, { slot, count }, row, frameEdge.size + index * slotGrowth.size);
  }
  return row;
}

/** The same as a row of an exchange. */
export function edgeGrowth(values: EdgeValues = {}): EdgeRow {
  return TCP_EDGE.row(edgeRow(values), new RowPages(0));
}

/** All that a row says, as a value to compare. */
export function said({ id, exchange, sinceNs, counters, slots, open, limit, row }: EdgeGrowth) {
  return { id, exchange, sinceNs, counters, slots, open, limit, row };
}

export function edgeFrame(values: EdgeValues = {}): Frame {
  return { kind: FrameKind.FRAME_EDGE, payload: edgeRow(values) };
}

export function cgroupFrame(values: Partial<Cgroup> = {}): Frame {
  const payload = write(frameCgroup, { id: values.id ?? 4242n, seenNs: values.seenNs ?? 100n * SECOND_NS });
  const { names } = frameCgroup.fields;
  for (const [level, name] of (values.names ?? ["nginx.service", "system.slice"]).entries()) {
    payload.write(name, names.offset + level * names.of.length, names.of.length);
  }
  return { kind: FrameKind.FRAME_CGROUP, payload };
}

export function namespaceFrame(values: Partial<NamespaceCounters> = {}): Frame {
  return {
    kind: FrameKind.FRAME_NAMESPACE,
    payload: write(frameNamespace, { netns: 4026531840, pid: 1, cookie: 1n, ...values }),
  };
}

const KINDS = {
  drop: EvidenceKind.EVIDENCE_DROP,
  "neighbour-unresolved": EvidenceKind.EVIDENCE_NEIGHBOUR_UNRESOLVED,
  "neighbour-overflow": EvidenceKind.EVIDENCE_NEIGHBOUR_OVERFLOW,
};
const DIRECTIONS = {
  receive: PacketDirection.PACKET_RECEIVE,
  transmit: PacketDirection.PACKET_TRANSMIT,
  forward: PacketDirection.PACKET_FORWARD,
};

export type EvidenceValues = Partial<EvidenceKey> &
  Partial<Pick<EvidenceRow, "exchange" | "sinceNs" | "count" | "device">>;

/** By default one SYN of 10.1.0.1 to 10.1.0.2:8080 that a rule dropped on its way out. */
export function evidenceFrame(values: EvidenceValues = {}): Frame {
  const { kind = "drop", direction = "transmit", role = "client", localAddress = "10.1.0.1" } = values;
  const { exchange = 1n, sinceNs = 100n * SECOND_NS, count = 1, device = "eth0", remoteAddress = "10.1.0.2" } = values;
  const payload = write(frameEvidence, { exchange, sinceNs, count, device });
  write(
    evidenceKey,
    {
      ...{ cgroup: 0n, netns: 4026531840, ifindex: 2, reason: 76, serverPort: 8080, etherType: 0x0800, transport: 6 },
      ...values,
      ...{ kind: KINDS[kind], direction: DIRECTIONS[direction], role: ROLES[role], syn: (values.syn ?? true) ? 1 : 0 },
      ...{ localAddr: addressBytes(localAddress), remoteAddr: addressBytes(remoteAddress) },
    },
    payload,
  );
  return { kind: FrameKind.FRAME_EVIDENCE, payload };
}

export function programFrame(values: Partial<ProgramStats> = {}): Frame {
  const payload = write(frameProgram, {
    name: "tcp_reset",
    runs: 23,
    runTimeNs: 23_000,
    recursionMisses: 0,
    ...values,
  });
  return { kind: FrameKind.FRAME_PROGRAM, payload };
}

export function statusFrame(values: Partial<ProbeStatus> = {}): Frame {
  const payload = write(frameStatus, { edges: 1, edgeCapacity: 65536, cgroups: 1, ...values });
  for (const [loss, name] of LOSS_NAMES.entries()) {
    payload.writeBigUInt64LE(BigInt(values.losses?.[name] ?? 0), frameStatus.fields.losses.offset + loss * 8);
  }
  return { kind: FrameKind.FRAME_STATUS, payload };
}

/** Numbers as the kernel has them, where the model has names. */
export interface ConnectionValues
  extends Partial<Omit<Connection, "key" | "traceId" | "state" | "events" | "sampleThreshold">> {
  readonly key?: Partial<EdgeKey>;
  readonly traceId?: Uint8Array;
  readonly sampleThreshold?: bigint;
  readonly state?: number;
  readonly events?: readonly Readonly<
    Partial<Record<"kind" | "segments" | "state" | "recovery", number>> & { timeNs?: bigint }
  >[];
}

export function connectionFrame({ key, events = [], ...rest }: ConnectionValues = {}): Frame {
  const payload = Buffer.alloc(frameConnection.size + events.length * connectionEvent.size);
  const defaults = { startNs: 101n * SECOND_NS, endNs: 102n * SECOND_NS, comm: "curl", eventCount: events.length };
  write(frameConnection, { ...defaults, ...rest }, payload);
  payload.set(keyBytes(key), frameConnection.fields.key.offset);
  for (const [index, event] of events.entries()) {
    write(connectionEvent, event, payload, frameConnection.size + index * connectionEvent.size);
  }
  return { kind: FrameKind.FRAME_CONNECTION, payload };
}

/** @param troubles enum probe_trouble, a bit each */
export function troubleFrame(troubles: bigint): Frame {
  return { kind: FrameKind.FRAME_TROUBLE, payload: write(frameTrouble, { troubles }) };
}

export function settledFrame(values: Partial<Settled> = {}): Frame {
  return {
    kind: FrameKind.FRAME_SETTLED,
    payload: write(frameSettled, { rows: 0, unknown: 0, refused: 0, ...values }),
  };
}

export interface ExchangeValues {
  readonly exchange?: bigint;
  readonly cgroups?: readonly Partial<Cgroup>[];
  readonly edges?: readonly EdgeValues[];
  readonly namespaces?: readonly Partial<NamespaceCounters>[];
  readonly programs?: readonly Partial<ProgramStats>[];
  readonly status?: Partial<ProbeStatus>;
}

/** All frames of one exchange, in the probe's order; its times move 15 s for each number. */
export function exchangeFrames(values: ExchangeValues = {}): Frame[] {
  const exchange = values.exchange ?? 1n;
  const passed = 15n * SECOND_NS * (exchange - 1n);
  const edges = values.edges ?? [];
  const head = { exchange, bootNs: EXCHANGE.bootNs + passed, realtimeNs: EXCHANGE.realtimeNs + passed };
  return [
    beginFrame(head),
    ...(values.cgroups ?? []).map(cgroupFrame),
    ...edges.map((edge) => edgeFrame({ exchange, ...edge })),
    ...(values.namespaces ?? []).map(namespaceFrame),
    ...(values.programs ?? []).map(programFrame),
    statusFrame(values.status),
    endFrame({ ...head, edges: edges.length }),
  ];
}
