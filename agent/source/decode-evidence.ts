/**
 * FRAME_EVIDENCE, FRAME_EVIDENCE_TOTAL and FRAME_NEIGHBOUR_TABLE → what the kernel says of trouble.
 *
 * There are few of them, and none on a healthy node, so that they are decoded at once. A kind, direction or family that no enum
 * knows fails its frame by name: its meaning hangs on it.
 */
import {
  PacketDirection as Direction,
  EdgeRole,
  evidenceKey,
  FrameKind,
  frameEvidence,
  frameEvidenceTotal,
  frameNeighbourTable,
  EvidenceKind as Kind,
} from "../generated/layout.ts";
import type {
  EvidenceKey,
  EvidenceKind,
  EvidenceRow,
  NeighbourTable,
  PacketDirection,
} from "../model/kernel-evidence.ts";
import type { ProbeEvent } from "../model/probe-event.ts";
import { formatAddress } from "../shared/address.ts";
import { ROLE_NAMES } from "./edge-key.ts";
import type { DecodeFailure, FrameDecoder } from "./frame-decoder.ts";
import { Fields } from "./frame-fields.ts";

const KINDS: ReadonlyMap<number, EvidenceKind> = new Map([
  [Kind.EVIDENCE_DROP, "drop"],
  [Kind.EVIDENCE_NEIGHBOUR_UNRESOLVED, "neighbour-unresolved"],
  [Kind.EVIDENCE_NEIGHBOUR_OVERFLOW, "neighbour-overflow"],
]);

const DIRECTIONS: ReadonlyMap<number, PacketDirection | undefined> = new Map([
  [0, undefined],
  [Direction.PACKET_RECEIVE, "receive"],
  [Direction.PACKET_TRANSMIT, "transmit"],
  [Direction.PACKET_FORWARD, "forward"],
]);

const FAMILIES: ReadonlyMap<number, NeighbourTable["family"]> = new Map([
  [2, "ipv4"],
  [10, "ipv6"],
]);

export const EVIDENCE_FRAMES: readonly FrameDecoder[] = [
  { kind: FrameKind.FRAME_EVIDENCE, decode: decodeEvidence },
  { kind: FrameKind.FRAME_EVIDENCE_TOTAL, decode: decodeTotal },
  { kind: FrameKind.FRAME_NEIGHBOUR_TABLE, decode: decodeTable },
];

export function decodeEvidence(payload: Buffer): ({ kind: "evidence" } & EvidenceRow) | DecodeFailure {
  if (payload.length !== frameEvidence.size) return "wrong_length";
  const fields = new Fields(payload);
  const at = frameEvidence.fields;
  const key = keyOf(payload);
  if (typeof key === "string") return key;
  const row: EvidenceRow = {
    id: fields.latin1(at.key, evidenceKey.size),
    key,
    exchange: fields.u64(at.exchange),
    sinceNs: fields.u64(at.sinceNs),
    count: fields.count(at.count),
    device: fields.text(at.device),
    row: Buffer.from(payload),
  };
  return fields.tooLarge ? "number_too_large" : { kind: "evidence", ...row };
}

/** @param payload of a FRAME_EVIDENCE, which begins with its key */
function keyOf(payload: Buffer): EvidenceKey | DecodeFailure {
  const at = evidenceKey.fields;
  const kind = KINDS.get(payload[at.kind.offset] as number);
  const directionNumber = payload[at.direction.offset] as number;
  const roleNumber = payload[at.role.offset] as number;
  if (kind === undefined || !DIRECTIONS.has(directionNumber)) return "unknown_event";
  if (roleNumber > EdgeRole.ROLE_SERVER) return "unknown_role";
  const address = ({ offset, length }: { offset: number; length: number }) => {
    const bytes = payload.toString("latin1", offset, offset + length);
    return bytes === NO_ADDRESS ? undefined : formatAddress(bytes);
  };
  return {
    kind,
    reason: payload.readUInt32LE(at.reason.offset),
    cgroup: payload.readBigUInt64LE(at.cgroup.offset),
    localAddress: address(at.localAddr),
    remoteAddress: address(at.remoteAddr),
    netns: payload.readUInt32LE(at.netns.offset),
    ifindex: payload.readUInt32LE(at.ifindex.offset),
    serverPort: payload.readUInt16LE(at.serverPort.offset),
    etherType: payload.readUInt16LE(at.etherType.offset),
    direction: DIRECTIONS.get(directionNumber),
    transport: payload[at.transport.offset] as number,
    role: ROLE_NAMES[roleNumber],
    syn: payload[at.syn.offset] !== 0,
  };
}

const NO_ADDRESS = "\0".repeat(16);

function decodeTotal(payload: Buffer): ProbeEvent | DecodeFailure {
  if (payload.length !== frameEvidenceTotal.size) return "wrong_length";
  const fields = new Fields(payload);
  const at = frameEvidenceTotal.fields;
  const kindOf = KINDS.get(fields.u32(at.kind));
  if (kindOf === undefined) return "unknown_event";
  const reason = fields.u32(at.reason);
  const total = {
    kindOf,
    reason,
    name: kindOf === "drop" ? fields.text(at.name) || String(reason) : "",
    startedNs: fields.u64(at.startedNs),
    count: fields.count(at.count),
    leftOut: fields.count(at.leftOut),
  };
  return fields.tooLarge ? "number_too_large" : { kind: "evidence-total", ...total };
}

function decodeTable(payload: Buffer): ProbeEvent | DecodeFailure {
  if (payload.length !== frameNeighbourTable.size) return "wrong_length";
  const fields = new Fields(payload);
  const at = frameNeighbourTable.fields;
  const family = FAMILIES.get(fields.u32(at.family));
  if (family === undefined) return "unknown_event";
  const table: NeighbourTable = {
    family,
    thresholds: [fields.u32(at.gcThresh1), fields.u32(at.gcThresh2), fields.u32(at.gcThresh3)],
    entries: fields.count(at.entries),
    overflows: fields.count(at.tableFulls),
    unresolved: fields.count(at.unresolved),
  };
  return fields.tooLarge ? "number_too_large" : { kind: "neighbour-table", ...table };
}
