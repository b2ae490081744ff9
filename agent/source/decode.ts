/**
 * One frame → one event, by the offsets of generated/layout.ts.
 *
 * Never throws: a bad frame is a fact to count, not a reason to stop the agent. A number that a double
 * cannot hold fails its frame by name instead of being rounded. Keys stay bytes; decodeEdgeKey() makes
 * text of one when an edge is seen for the first time.
 */
import {
  EDGE_COUNTERS,
  EdgeRole,
  edgeKey,
  FLOWSPAN_MAGIC,
  FLOWSPAN_PROTOCOL,
  FrameKind,
  frameCgroup,
  frameConnection,
  frameEdge,
  frameExchange,
  frameHello,
  frameNamespace,
  frameProgram,
  frameSettled,
  frameStatus,
  HistogramSlot,
  LOSS_NAMES,
  slotGrowth,
} from "../generated/layout.ts";
import type { Cgroup, Connection, EdgeKey, Exchange, Hello, NamespaceCounters, ProbeEvent, Role } from "../model.ts";
import { formatAddress } from "./address.ts";

export type DecodeFailure =
  | "unknown_kind"
  | "wrong_length"
  | "wrong_magic"
  | "unknown_role"
  | "slot_out_of_range"
  | "number_too_large";

/** Past this high half a u64 is 2^53 or more. */
const HIGH_LIMIT = 0x200000;
const HIGH_UNIT = 2 ** 32;
const COUNTERS = EDGE_COUNTERS.length;
const ROLE_NAMES: readonly (Role | undefined)[] = roleNames();

function roleNames(): (Role | undefined)[] {
  const names: (Role | undefined)[] = [];
  names[EdgeRole.ROLE_CLIENT] = "client";
  names[EdgeRole.ROLE_SERVER] = "server";
  names[EdgeRole.ROLE_LISTENER] = "listener";
  return names;
}

interface At {
  readonly offset: number;
}
interface BytesAt extends At {
  readonly length: number;
}

/** Reads the fields of one payload, and remembers whether a number did not fit. */
class Fields {
  readonly #bytes: Buffer;
  tooLarge = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u16({ offset }: At): number {
    return this.#bytes.readUInt16LE(offset);
  }

  u32({ offset }: At): number {
    return this.#bytes.readUInt32LE(offset);
  }

  /** For identifiers and times: any value. */
  u64({ offset }: At): bigint {
    return this.#bytes.readBigUInt64LE(offset);
  }

  /** For counts: below 2^53, else the frame fails. */
  count({ offset }: At): number {
    const high = this.#bytes.readUInt32LE(offset + 4);
    if (high >= HIGH_LIMIT) this.tooLarge = true;
    return high * HIGH_UNIT + this.#bytes.readUInt32LE(offset);
  }

  latin1({ offset }: At, length: number): string {
    return this.#bytes.toString("latin1", offset, offset + length);
  }

  /** A char array up to its NUL. Bytes that are no UTF-8 become U+FFFD. */
  text({ offset, length }: BytesAt): string {
    const nul = this.#bytes.indexOf(0, offset);
    return this.#bytes.toString("utf8", offset, nul < 0 || nul > offset + length ? offset + length : nul);
  }
}

interface Decoder {
  readonly size: number;
  readonly read: (fields: Fields) => ProbeEvent | DecodeFailure;
}

/** Frames of a fixed length. FRAME_EDGE is not among them. */
const DECODERS: readonly (Decoder | undefined)[] = decoders();

function decoders(): (Decoder | undefined)[] {
  const table: (Decoder | undefined)[] = [];
  table[FrameKind.FRAME_HELLO] = { size: frameHello.size, read: hello };
  table[FrameKind.FRAME_EXCHANGE_BEGIN] = {
    size: frameExchange.size,
    read: (fields) => ({ kind: "exchange-begin", ...exchange(fields) }),
  };
  table[FrameKind.FRAME_EXCHANGE_END] = {
    size: frameExchange.size,
    read: (fields) => ({ kind: "exchange-end", ...exchange(fields) }),
  };
  table[FrameKind.FRAME_CGROUP] = { size: frameCgroup.size, read: (fields) => ({ kind: "cgroup", ...cgroup(fields) }) };
  table[FrameKind.FRAME_NAMESPACE] = {
    size: frameNamespace.size,
    read: (fields) => ({ kind: "namespace", ...namespaceCounters(fields) }),
  };
  table[FrameKind.FRAME_PROGRAM] = { size: frameProgram.size, read: program };
  table[FrameKind.FRAME_STATUS] = { size: frameStatus.size, read: status };
  table[FrameKind.FRAME_CONNECTION] = { size: frameConnection.size, read: connection };
  table[FrameKind.FRAME_SETTLED] = { size: frameSettled.size, read: settled };
  return table;
}

/**
 * Decodes the frame with this payload.
 *
 * @param payload kept by an edge event as its `row`, else not kept: it must not be overwritten later
 * @returns the event, or the name of the failure for the caller to count
 */
export function decodeFrame(kind: number, payload: Buffer): ProbeEvent | DecodeFailure {
  if (kind === FrameKind.FRAME_EDGE) return decodeEdge(payload);
  const decoder = DECODERS[kind];
  if (decoder === undefined) return "unknown_kind";
  const sized = kind === FrameKind.FRAME_HELLO ? foreignHello(payload) : payload;
  if (sized.length !== decoder.size) return "wrong_length";
  const fields = new Fields(sized);
  const event = decoder.read(fields);
  return fields.tooLarge ? "number_too_large" : event;
}

/**
 * A HELLO of another protocol may have another length. Only its magic and protocol lie where ours do, and
 * they must be told: so it is cut or filled up to our length.
 */
function foreignHello(payload: Buffer): Buffer {
  const { magic, protocol } = frameHello.fields;
  const told = payload.length >= protocol.offset + 4 && payload.readBigUInt64LE(magic.offset) === FLOWSPAN_MAGIC;
  if (!told || payload.readUInt32LE(protocol.offset) === FLOWSPAN_PROTOCOL) return payload;
  const filled = Buffer.alloc(frameHello.size);
  payload.copy(filled);
  return filled;
}

const ROLE_AT = frameEdge.fields.key.offset + edgeKey.fields.role.offset;
const GROWTH_AT = frameEdge.fields.growth.offset;

/**
 * Rows share one allocation for their numbers: a typed array of its own costs 0.45 us, half of what
 * decoding a row costs in all, a part of a larger one 0.1 us (measured, Node 24).
 */
const SLAB_ROWS = 256;
let slab = new Float64Array(0);
let slabUsed = 0;
const SLOT_SLAB = 4 * HistogramSlot.SLOT_COUNT * 2;
let slotSlab = new Uint32Array(0);
let slotSlabUsed = 0;

function takeCounters(): Float64Array {
  if (slabUsed === slab.length) {
    slab = new Float64Array(SLAB_ROWS * COUNTERS);
    slabUsed = 0;
  }
  slabUsed += COUNTERS;
  return slab.subarray(slabUsed - COUNTERS, slabUsed);
}

function takeSlots(length: number): Uint32Array {
  if (length > SLOT_SLAB) return new Uint32Array(length);
  if (slotSlabUsed + length > slotSlab.length) {
    slotSlab = new Uint32Array(SLOT_SLAB);
    slotSlabUsed = 0;
  }
  slotSlabUsed += length;
  return slotSlab.subarray(slotSlabUsed - length, slotSlabUsed);
}

/** Numbers that all rows of an exchange have in common, as one `bigint` for all of them. */
class RepeatedNumber {
  #low = 0;
  #high = 0;
  #value = 0n;

  at(payload: Buffer, offset: number): bigint {
    const low = payload.readUInt32LE(offset);
    const high = payload.readUInt32LE(offset + 4);
    if (low !== this.#low || high !== this.#high) {
      this.#low = low;
      this.#high = high;
      this.#value = payload.readBigUInt64LE(offset);
    }
    return this.#value;
  }
}

const exchangeNumbers = new RepeatedNumber();
const settleTimes = new RepeatedNumber();

/** Decodes the payload of a FRAME_EDGE; a node has thousands of them in every exchange. */
export function decodeEdge(payload: Buffer): (ProbeEvent & { readonly kind: "edge" }) | DecodeFailure {
  if (payload.length < frameEdge.size) return "wrong_length";
  const slotCount = payload.readUInt32LE(frameEdge.fields.slotCount.offset);
  if (payload.length !== frameEdge.size + slotCount * slotGrowth.size) return "wrong_length";
  if (ROLE_NAMES[payload[ROLE_AT] as number] === undefined) return "unknown_role";

  const counters = takeCounters();
  for (let i = 0; i < COUNTERS; i++) {
    const at = GROWTH_AT + i * 8;
    const high = payload.readUInt32LE(at + 4);
    if (high >= HIGH_LIMIT) return "number_too_large";
    counters[i] = high * HIGH_UNIT + payload.readUInt32LE(at);
  }
  const slots = takeSlots(slotCount * 2);
  for (let i = 0; i < slotCount; i++) {
    const at = frameEdge.size + i * slotGrowth.size;
    const slot = payload.readUInt32LE(at + slotGrowth.fields.slot.offset);
    if (slot >= HistogramSlot.SLOT_COUNT) return "slot_out_of_range";
    slots[2 * i] = slot;
    slots[2 * i + 1] = payload.readUInt32LE(at + slotGrowth.fields.count.offset);
  }
  return {
    kind: "edge",
    id: payload.toString("latin1", frameEdge.fields.key.offset, frameEdge.fields.key.offset + edgeKey.size),
    exchange: exchangeNumbers.at(payload, frameEdge.fields.exchange.offset),
    sinceNs: settleTimes.at(payload, frameEdge.fields.sinceNs.offset),
    counters,
    slots,
    open: payload.readUInt32LE(frameEdge.fields.open.offset),
    limit: payload.readUInt32LE(frameEdge.fields.limit.offset),
    row: payload,
  };
}

/**
 * Decodes `EdgeGrowth.id`. Slower than a map look-up by far: call it once for each edge.
 *
 * @param id 48 bytes as latin1 text, with one of the known roles; decodeEdge() lets no other pass
 */
export function decodeEdgeKey(id: string): EdgeKey {
  const bytes = Buffer.from(id, "latin1");
  const role = ROLE_NAMES[bytes[edgeKey.fields.role.offset] ?? 0];
  if (bytes.length !== edgeKey.size || role === undefined) throw new RangeError("not the id of an edge");
  const address = ({ offset, length }: BytesAt) => id.slice(offset, offset + length);
  const local = address(edgeKey.fields.localAddr);
  const serverPort = bytes.readUInt16LE(edgeKey.fields.serverPort.offset);
  return {
    cgroup: bytes.readBigUInt64LE(edgeKey.fields.cgroup.offset),
    localAddress: formatAddress(local),
    remoteAddress: formatAddress(address(edgeKey.fields.remoteAddr)),
    netns: bytes.readUInt32LE(edgeKey.fields.netns.offset),
    serverPort,
    role,
    // A listener bound to [::] has no local address either, but it has a port.
    overflow: local === UNSPECIFIED && !(role === "listener" && serverPort !== 0),
  };
}

const UNSPECIFIED = "\0".repeat(16);

function hello(fields: Fields): ProbeEvent | DecodeFailure {
  const at = frameHello.fields;
  if (fields.u64(at.magic) !== FLOWSPAN_MAGIC) return "wrong_magic";
  const value: Hello = {
    protocol: fields.u32(at.protocol),
    probePid: fields.u32(at.probePid),
    features: fields.u64(at.features),
    bootNs: fields.u64(at.bootNs),
    realtimeNs: fields.u64(at.realtimeNs),
    exchange: fields.u64(at.exchange),
    startedNs: fields.u64(at.startedNs),
    edgeCapacity: fields.u32(at.edgeCapacity),
    cpus: fields.u32(at.cpus),
    kernel: fields.text(at.kernel),
  };
  return { kind: "hello", ...value };
}

function exchange(fields: Fields): Exchange {
  const at = frameExchange.fields;
  return {
    exchange: fields.u64(at.exchange),
    bootNs: fields.u64(at.bootNs),
    realtimeNs: fields.u64(at.realtimeNs),
    walkNs: fields.u64(at.walkNs),
    sockets: fields.count(at.sockets),
    edges: fields.count(at.edges),
  };
}

function cgroup(fields: Fields): Cgroup {
  const { id, seenNs, names } = frameCgroup.fields;
  const texts: string[] = [];
  for (let level = 0; level < names.count; level++) {
    const name = fields.text({ offset: names.offset + level * names.of.length, length: names.of.length });
    if (name === "") break;
    texts.push(name);
  }
  return { id: fields.u64(id), seenNs: fields.u64(seenNs), names: texts };
}

function namespaceCounters(fields: Fields): NamespaceCounters {
  const at = frameNamespace.fields;
  return {
    netns: fields.u32(at.netns),
    pid: fields.u32(at.pid),
    activeOpens: fields.count(at.activeOpens),
    passiveOpens: fields.count(at.passiveOpens),
    attemptFails: fields.count(at.attemptFails),
    estabResets: fields.count(at.estabResets),
    inSegs: fields.count(at.inSegs),
    outSegs: fields.count(at.outSegs),
    retransSegs: fields.count(at.retransSegs),
    outRsts: fields.count(at.outRsts),
    listenOverflows: fields.count(at.listenOverflows),
    listenDrops: fields.count(at.listenDrops),
    outNoRoutes: fields.count(at.outNoRoutes),
  };
}

function program(fields: Fields): ProbeEvent {
  const at = frameProgram.fields;
  return {
    kind: "program",
    name: fields.text(at.name),
    runs: fields.count(at.runs),
    runTimeNs: fields.count(at.runTimeNs),
    recursionMisses: fields.count(at.recursionMisses),
  };
}

function status(fields: Fields): ProbeEvent {
  const at = frameStatus.fields;
  const losses: Record<string, number> = {};
  for (const [loss, name] of LOSS_NAMES.entries()) losses[name] = fields.count({ offset: at.losses.offset + loss * 8 });
  return {
    kind: "status",
    losses,
    edges: fields.count(at.edges),
    edgeCapacity: fields.count(at.edgeCapacity),
    evicted: fields.count(at.evicted),
    cgroups: fields.count(at.cgroups),
    records: fields.count(at.records),
    probeCpuUs: fields.count(at.probeCpuUs),
    probeRssBytes: fields.count(at.probeRssBytes),
    adopted: fields.count(at.adopted),
  };
}

function connection(fields: Fields): ProbeEvent | DecodeFailure {
  const at = frameConnection.fields;
  const id = fields.latin1(at.key, edgeKey.size);
  if (ROLE_NAMES[id.charCodeAt(edgeKey.fields.role.offset)] === undefined) return "unknown_role";
  const value: Connection = {
    key: decodeEdgeKey(id),
    startNs: fields.u64(at.startNs),
    establishedNs: fields.u64(at.establishedNs),
    endNs: fields.u64(at.endNs),
    bytesSent: fields.count(at.bytesSent),
    bytesReceived: fields.count(at.bytesReceived),
    segsOut: fields.u32(at.segsOut),
    segsIn: fields.u32(at.segsIn),
    retransmits: fields.u32(at.retransmits),
    srttUs: fields.u32(at.srttUs),
    minRttUs: fields.u32(at.minRttUs),
    pid: fields.u32(at.pid),
    localPort: fields.u16(at.localPort),
    remotePort: fields.u16(at.remotePort),
    error: fields.u16(at.error),
    flags: fields.u16(at.flags),
    comm: fields.text(at.comm),
  };
  return { kind: "connection", ...value };
}

function settled(fields: Fields): ProbeEvent {
  const at = frameSettled.fields;
  return { kind: "settled", rows: fields.count(at.rows), unknown: fields.count(at.unknown) };
}
