/**
 * What the probe sends of itself and of the node: HELLO, the frames around the rows of an exchange, and the answer to
 * a flush.
 *
 * Each has a fixed length, by generated/layout.ts. A number that a double cannot hold fails its frame by name instead
 * of being rounded.
 */
import {
  conntrackCounters,
  FLOWSPAN_MAGIC,
  FLOWSPAN_PROTOCOL,
  FrameKind,
  frameCgroup,
  frameExchange,
  frameHello,
  frameNamespace,
  frameProgram,
  frameSettled,
  frameStatus,
  frameTrouble,
  LOSS_NAMES,
  ProbeTrouble as TroubleBit,
} from "../generated/layout.ts";
import type { ConntrackCounters } from "../model/kernel-evidence.ts";
import type { Cgroup, Exchange, Hello, NamespaceCounters, ProbeEvent, ProbeTrouble } from "../model/probe-event.ts";
import type { DecodeFailure, FrameDecoder } from "./frame-decoder.ts";
import { type At, Fields } from "./frame-fields.ts";

export const PROBE_FRAMES: readonly FrameDecoder[] = [
  {
    kind: FrameKind.FRAME_HELLO,
    decode: (payload) => readFixed(foreignHello(payload), frameHello.size, hello),
  },
  fixed(FrameKind.FRAME_EXCHANGE_BEGIN, frameExchange, (fields) => ({ kind: "exchange-begin", ...exchange(fields) })),
  fixed(FrameKind.FRAME_EXCHANGE_END, frameExchange, (fields) => ({ kind: "exchange-end", ...exchange(fields) })),
  fixed(FrameKind.FRAME_CGROUP, frameCgroup, (fields) => ({ kind: "cgroup", ...cgroup(fields) })),
  fixed(FrameKind.FRAME_NAMESPACE, frameNamespace, (fields) => ({ kind: "namespace", ...namespaceCounters(fields) })),
  fixed(FrameKind.FRAME_PROGRAM, frameProgram, program),
  fixed(FrameKind.FRAME_STATUS, frameStatus, status),
  fixed(FrameKind.FRAME_SETTLED, frameSettled, settled),
  fixed(FrameKind.FRAME_TROUBLE, frameTrouble, trouble),
];

type Read = (fields: Fields) => ProbeEvent | DecodeFailure;

function fixed(kind: number, { size }: { readonly size: number }, read: Read): FrameDecoder {
  return { kind, decode: (payload) => readFixed(payload, size, read) };
}

function readFixed(payload: Buffer, size: number, read: Read): ProbeEvent | DecodeFailure {
  if (payload.length !== size) return "wrong_length";
  const fields = new Fields(payload);
  const event = read(fields);
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
    syncookiesSent: fields.count(at.syncookiesSent),
    syncookiesReceived: fields.count(at.syncookiesReceived),
    syncookiesFailed: fields.count(at.syncookiesFailed),
    pruneCalled: fields.count(at.pruneCalled),
    rcvPruned: fields.count(at.rcvPruned),
    tcpRcvQDrop: fields.count(at.tcpRcvQDrop),
    tcpAbortOnMemory: fields.count(at.tcpAbortOnMemory),
    tcpMemoryPressures: fields.count(at.tcpMemoryPressures),
    cgroup: fields.u64(at.cgroup),
    conntrack: conntrack(fields, at.conntrack.offset),
  };
}

/** @param base where it lies in the frame */
function conntrack(fields: Fields, base: number): ConntrackCounters {
  const at = conntrackCounters.fields;
  const count = ({ offset }: At) => fields.count({ offset: base + offset });
  return {
    entries: count(at.entries),
    limit: count(at.limit),
    insertFailed: count(at.insertFailed),
    drop: count(at.drop),
    earlyDrop: count(at.earlyDrop),
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
    tenantEdges: fields.count(at.tenantEdges),
    tenantLimit: fields.count(at.tenantLimit),
    memoryCharged: fields.count(at.memoryCharged),
    memoryLimit: fields.count(at.memoryLimit),
  };
}

const TROUBLES: readonly (readonly [ProbeTrouble, number])[] = [
  ["pins", TroubleBit.TROUBLE_PINS],
  ["hooks", TroubleBit.TROUBLE_HOOKS],
  ["filter", TroubleBit.TROUBLE_FILTER],
];

function trouble(fields: Fields): ProbeEvent {
  const bits = fields.u64(frameTrouble.fields.troubles);
  const troubles = TROUBLES.filter(([, bit]) => (bits & (1n << BigInt(bit))) !== 0n).map(([name]) => name);
  return { kind: "trouble", troubles };
}

function settled(fields: Fields): ProbeEvent {
  const at = frameSettled.fields;
  const [rows, unknown, refused] = [fields.count(at.rows), fields.count(at.unknown), fields.count(at.refused)];
  return { kind: "settled", rows, unknown, refused };
}
