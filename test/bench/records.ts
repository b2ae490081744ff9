/**
 * Connection records of a busy node, as the probe's frames: what its kernel says of connections that ended in order,
 * and of a few that did not.
 */
import { ConnectionFlag, EventKind, SampleReason } from "../../agent/generated/layout.ts";
import type { Frame } from "../../agent/source/frames.ts";
import { connectionFrame } from "../unit/source/frames-builder.ts";

/** One in so many connections was sent again, one in so many reset: prime to each other and to the pods. */
const RESENT_EVERY = 23;
const RESET_EVERY = 97;

export interface RecordPlace {
  readonly cgroup: bigint;
  readonly localAddress: string;
  readonly remoteAddress: string;
}

/** @param place of the record with this number: its pod and its peer */
export function recordFrames(count: number, endNs: bigint, place: (record: number) => RecordPlace): Frame[] {
  return Array.from({ length: count }, (_, record) => recordFrame(record, endNs, place(record)));
}

function recordFrame(record: number, endNs: bigint, place: RecordPlace): Frame {
  const isServer = record % 2 === 1;
  const lastedNs = 1_000_000n * BigInt(3 + (record % 211));
  const isReset = record % RESET_EVERY === 0;
  const events =
    record % RESENT_EVERY === 0
      ? [
          { timeNs: endNs - 900_000n, kind: EventKind.EVENT_RETRANSMIT_TLP, segments: 1, state: 1, recovery: 0 },
          { timeNs: endNs - 700_000n, kind: EventKind.EVENT_RETRANSMIT_FAST, segments: 2, state: 1, recovery: 3 },
        ]
      : [];
  const resent = events.reduce((sum, { segments }) => sum + segments, 0);
  const ephemeral = 32_768 + ((record * 7) % 28_000);
  return connectionFrame({
    key: { ...place, role: isServer ? "server" : "client", serverPort: 8080 },
    traceId: Buffer.from(
      (BigInt(record + 1) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835n).toString(16).slice(-32).padStart(32, "a"),
      "hex",
    ),
    startNs: endNs - lastedNs,
    establishedNs: endNs - lastedNs + 211_000n,
    endNs,
    bytesSent: 1_009 + record * 13,
    bytesReceived: 5_003 + record * 17,
    sampleThreshold: 0xfd70_a400_0000_00n,
    segsOut: 7 + (record % 90),
    segsIn: 9 + (record % 120),
    retransmits: resent,
    retransmitsTlp: resent === 0 ? 0 : 1,
    retransmitsFast: resent === 0 ? 0 : 2,
    handshakeUs: 211 + (record % 50),
    srttUs: 293 + (record % 70),
    minRttUs: 190 + (record % 20),
    lastRttUs: 280 + (record % 90),
    busyUs: 811 + (record % 400),
    pid: 1_000 + (record % 97),
    localPort: isServer ? 8080 : ephemeral,
    remotePort: isServer ? ephemeral : 8080,
    error: isReset ? 104 : 0,
    flags: isReset ? 1 << ConnectionFlag.CONNECTION_RESET_RECEIVED : 0,
    kept: 1 << SampleReason.SAMPLE_RANDOM,
    state: isServer ? 9 : 5,
    comm: isServer ? "api-server" : "worker",
    events,
  });
}
