/**
 * A FRAME_CONNECTION → one connection, with what happened to it.
 *
 *   page ─ record ─ record ─ …      a ConnectionRow is a place in a page: its numbers are read where they lie
 *
 * Records may wait for a Collector by the thousand, and most of what they say is read once. Like all decoders it never throws
 * and never rounds: a frame that cannot be used fails by name. The kernel's numbers for states and kinds become names
 * here, once; a number that no enum knows is kept as undefined where it only describes, and fails the frame where the
 * meaning hangs on it.
 */
import { connectionEvent, EdgeRole, edgeKey, FrameKind, frameConnection } from "../generated/layout.ts";
import type { NetworkConnectionState } from "../generated/semconv.ts";
import type { Connection, ConnectionEvent, ConnectionEventKind } from "../model/connection-record.ts";
import type { EdgeKey } from "../model/edge.ts";
import { decodeEdgeKey } from "./edge-key.ts";
import { EdgeKeys } from "./edge-keys.ts";
import type { DecodeFailure, FrameDecoder } from "./frame-decoder.ts";
import { type At, HIGH_LIMIT } from "./frame-fields.ts";
import { EVENT_KINDS, RECOVERIES, STATES } from "./tcp-names.ts";

const AT = frameConnection.fields;

/**
 * Some records lie in one page, which lives as long as one of them: small, so that one that waits for its names holds
 * little more than itself.
 */
const PAGE_BYTES = 4 * 1024;
const TWO_32 = 2 ** 32;

interface Page {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly view: DataView;
}

/** Where records lie that came one after the other. */
export class RecordPages {
  readonly #keys: EdgeKeys;
  #page = pageOf(PAGE_BYTES);
  #used = 0;

  /** @param keys decodes the keys of edges */
  constructor(keys: EdgeKeys) {
    this.#keys = keys;
  }

  /** @param payload of a FRAME_CONNECTION, whole; copied */
  add(payload: Buffer): ConnectionRow | DecodeFailure {
    const failure = failureOf(payload);
    if (failure !== undefined) return failure;
    if (this.#used + payload.length > this.#page.bytes.length) {
      this.#page = pageOf(Math.max(PAGE_BYTES, payload.length));
      this.#used = 0;
    }
    this.#page.bytes.set(payload, this.#used);
    const row = new ConnectionRow(this.#page, this.#used, this.#keys);
    this.#used += payload.length;
    return row;
  }
}

/** Connection records live for themselves, whatever connection to the probe they came on. */
const records = new RecordPages(new EdgeKeys(decodeEdgeKey));

export const CONNECTION_FRAME: FrameDecoder = {
  kind: FrameKind.FRAME_CONNECTION,
  isRecord: true,
  decode: (payload) => records.add(payload),
};

function pageOf(size: number): Page {
  const buffer = new ArrayBuffer(size);
  return { bytes: Buffer.from(buffer), view: new DataView(buffer) };
}

function failureOf(payload: Buffer): DecodeFailure | undefined {
  if (payload.length < frameConnection.size) return "wrong_length";
  const eventCount = payload.readUInt16LE(AT.eventCount.offset);
  if (payload.length !== frameConnection.size + eventCount * connectionEvent.size) return "wrong_length";
  const role = payload[AT.key.offset + edgeKey.fields.role.offset];
  if (role !== EdgeRole.ROLE_CLIENT && role !== EdgeRole.ROLE_SERVER) return "unknown_role";
  const high = Math.max(highWord(payload, AT.bytesSent), highWord(payload, AT.bytesReceived));
  if (high >= HIGH_LIMIT) return "number_too_large";
  for (let at = frameConnection.size; at < payload.length; at += connectionEvent.size) {
    if (!EVENT_KINDS.has(payload[at + connectionEvent.fields.kind.offset] as number)) return "unknown_event";
  }
  return undefined;
}

function highWord(payload: Buffer, { offset }: At): number {
  return payload.readUInt32LE(offset + 4);
}

const NO_EVENTS: readonly ConnectionEvent[] = [];

/** One record in a page. */
export class ConnectionRow implements Connection {
  readonly #page: Page;
  /** Its first byte. */
  readonly #at: number;
  readonly #keys: EdgeKeys;
  #key: EdgeKey | undefined;

  constructor(page: Page, at: number, keys: EdgeKeys) {
    this.#page = page;
    this.#at = at;
    this.#keys = keys;
  }

  get kind(): "connection" {
    return "connection";
  }

  get key(): EdgeKey {
    const at = this.#at + AT.key.offset;
    this.#key ??= this.#keys.of(this.#page.bytes.toString("latin1", at, at + edgeKey.size));
    return this.#key;
  }

  get traceId(): string {
    const at = this.#at + AT.traceId.offset;
    return this.#page.bytes.toString("hex", at, at + AT.traceId.length);
  }

  get startNs(): bigint {
    return this.#long(AT.startNs);
  }

  get establishedNs(): bigint {
    return this.#long(AT.establishedNs);
  }

  get endNs(): bigint {
    return this.#long(AT.endNs);
  }

  get sampleThreshold(): bigint {
    return this.#long(AT.sampleThreshold);
  }

  get bytesSent(): number {
    return this.#count(AT.bytesSent);
  }

  get bytesReceived(): number {
    return this.#count(AT.bytesReceived);
  }

  get segsOut(): number {
    return this.#word(AT.segsOut);
  }

  get segsIn(): number {
    return this.#word(AT.segsIn);
  }

  get retransmits(): number {
    return this.#word(AT.retransmits);
  }

  get retransmitsSyn(): number {
    return this.#word(AT.retransmitsSyn);
  }

  get retransmitsFast(): number {
    return this.#word(AT.retransmitsFast);
  }

  get retransmitsTimeout(): number {
    return this.#word(AT.retransmitsTimeout);
  }

  get retransmitsTlp(): number {
    return this.#word(AT.retransmitsTlp);
  }

  get retransmitsNonCongestion(): number {
    return this.#word(AT.retransmitsNonCongestion);
  }

  get spurious(): number {
    return this.#word(AT.spurious);
  }

  get outOfOrder(): number {
    return this.#word(AT.outOfOrder);
  }

  get handshakeUs(): number {
    return this.#word(AT.handshakeUs);
  }

  get srttUs(): number {
    return this.#word(AT.srttUs);
  }

  get minRttUs(): number {
    return this.#word(AT.minRttUs);
  }

  get lastRttUs(): number {
    return this.#word(AT.lastRttUs);
  }

  get busyUs(): number {
    return this.#word(AT.busyUs);
  }

  get rwndLimitedUs(): number {
    return this.#word(AT.rwndLimitedUs);
  }

  get sndbufLimitedUs(): number {
    return this.#word(AT.sndbufLimitedUs);
  }

  get pid(): number {
    return this.#word(AT.pid);
  }

  get interims(): number {
    return this.#word(AT.interims);
  }

  get localPort(): number {
    return this.#half(AT.localPort);
  }

  get remotePort(): number {
    return this.#half(AT.remotePort);
  }

  get error(): number {
    return this.#half(AT.error);
  }

  get flags(): number {
    return this.#half(AT.flags);
  }

  get kept(): number {
    return this.#half(AT.kept);
  }

  get state(): NetworkConnectionState | undefined {
    return STATES[this.#byte(AT.state)];
  }

  get comm(): string {
    return textAt(this.#page.bytes, this.#at + AT.comm.offset, AT.comm.length);
  }

  /** Made anew at each call. */
  get events(): readonly ConnectionEvent[] {
    const count = this.#half(AT.eventCount);
    return count === 0 ? NO_EVENTS : Array.from({ length: count }, (_, i) => this.#event(i));
  }

  #event(index: number): ConnectionEvent {
    const { timeNs, segments, kind, state, recovery } = connectionEvent.fields;
    const base = frameConnection.size + index * connectionEvent.size;
    const byte = ({ offset }: At) => this.#page.bytes[this.#at + base + offset] as number;
    return {
      timeNs: this.#long({ offset: base + timeNs.offset }),
      // One of an unknown kind fails the frame.
      kind: EVENT_KINDS.get(byte(kind)) as ConnectionEventKind,
      segments: this.#word({ offset: base + segments.offset }),
      state: STATES[byte(state)],
      recovery: RECOVERIES[byte(recovery)],
    };
  }

  #byte({ offset }: At): number {
    return this.#page.bytes[this.#at + offset] as number;
  }

  #half({ offset }: At): number {
    return this.#page.view.getUint16(this.#at + offset, true);
  }

  #word({ offset }: At): number {
    return this.#page.view.getUint32(this.#at + offset, true);
  }

  #long({ offset }: At): bigint {
    return this.#page.view.getBigUint64(this.#at + offset, true);
  }

  /** Below 2^53, else the frame fails. */
  #count({ offset }: At): number {
    const { view } = this.#page;
    return view.getUint32(this.#at + offset + 4, true) * TWO_32 + view.getUint32(this.#at + offset, true);
  }
}

/** A char array up to its NUL. Bytes that are no UTF-8 become U+FFFD. */
function textAt(bytes: Buffer, at: number, length: number): string {
  let end = at;
  let all = 0;
  for (; end < at + length && bytes[end] !== 0; end++) all |= bytes[end] as number;
  // ASCII is both, and Latin-1 is read in a fraction of the time.
  return bytes.toString(all < 0x80 ? "latin1" : "utf8", at, end);
}
