/**
 * One frame → one event, by the offsets of generated/layout.ts.
 *
 * Never throws: a bad frame is a fact to count, not a reason to stop the agent. A number that a double
 * cannot hold fails its frame by name instead of being rounded. Keys stay bytes; decodeEdgeKey() makes
 * text of one when an edge is seen for the first time.
 */
import {
  EdgeRole,
  edgeKey,
  FLOWSPAN_MAGIC,
  FLOWSPAN_PROTOCOL,
  FrameKind,
  frameCgroup,
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
import type { EdgeKey, Role } from "../model/edge.ts";
import type { Cgroup, Exchange, Hello, NamespaceCounters, ProbeEvent } from "../model/probe-event.ts";
import { formatAddress } from "../shared/address.ts";
import { type ConnectionFailure, RecordPages } from "./decode-connection.ts";
import { EdgeKeys } from "./edge-keys.ts";
import type { EdgeRow, RowPages } from "./rows.ts";

export type DecodeFailure =
  | ConnectionFailure
  | "unknown_kind"
  | "wrong_length"
  | "wrong_magic"
  | "unknown_role"
  | "slot_out_of_range"
  | "number_too_large";

/** Past this high half a u64 is 2^53 or more. */
const HIGH_LIMIT = 0x200000;
const HIGH_UNIT = 2 ** 32;
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

/** Connection records live for themselves, whatever connection they came on. */
const records = new RecordPages(new EdgeKeys(decodeEdgeKey));

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
  table[FrameKind.FRAME_SETTLED] = { size: frameSettled.size, read: settled };
  return table;
}

/**
 * Decodes the frame with this payload.
 *
 * @param payload not kept: it may be overwritten later
 * @param pages where an edge's row is copied to
 * @returns the event, or the name of the failure for the caller to count
 */
export function decodeFrame(kind: number, payload: Buffer, pages: RowPages): ProbeEvent | DecodeFailure {
  if (kind === FrameKind.FRAME_EDGE) return decodeEdge(payload, pages);
  if (kind === FrameKind.FRAME_CONNECTION) return records.add(payload);
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
 * they must be reported: so it is cut or filled up to our length.
 */
function foreignHello(payload: Buffer): Buffer {
  const { magic, protocol } = frameHello.fields;
  const isOurs = payload.length >= protocol.offset + 4 && payload.readBigUInt64LE(magic.offset) === FLOWSPAN_MAGIC;
  if (!isOurs || payload.readUInt32LE(protocol.offset) === FLOWSPAN_PROTOCOL) return payload;
  const filled = Buffer.alloc(frameHello.size);
  payload.copy(filled);
  return filled;
}

const ROLE_AT = frameEdge.fields.key.offset + edgeKey.fields.role.offset;

/**
 * Decodes the payload of a FRAME_EDGE; a node has thousands of them in every exchange.
 *
 * @param pages where the row is kept
 */
export function decodeEdge(payload: Buffer, pages: RowPages): EdgeRow | DecodeFailure {
  if (payload.length < frameEdge.size) return "wrong_length";
  const slotCount = payload.readUInt32LE(frameEdge.fields.slotCount.offset);
  if (payload.length !== frameEdge.size + slotCount * slotGrowth.size) return "wrong_length";
  if (ROLE_NAMES[payload[ROLE_AT] as number] === undefined) return "unknown_role";
  const row = pages.add(payload);
  if (row.largestHigh >= HIGH_LIMIT) return "number_too_large";
  for (let i = 0; i < slotCount; i++) if (row.slot(i) >= HistogramSlot.SLOT_COUNT) return "slot_out_of_range";
  return row;
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
    cookie: fields.u64(at.cookie),
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

function settled(fields: Fields): ProbeEvent {
  const at = frameSettled.fields;
  return { kind: "settled", rows: fields.count(at.rows), unknown: fields.count(at.unknown) };
}
