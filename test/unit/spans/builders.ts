/**
 * Records and names with defaults, so that a test shows only what matters to it.
 */
import type { Connection, ConnectionEvent } from "../../../agent/model/connection-record.ts";
import type { EdgeKey } from "../../../agent/model/edge.ts";
import type { LocalEnd, Names, RemoteEnd } from "../../../agent/model/names.ts";

export const SECOND_NS = 1_000_000_000n;
/** Unix time at boot. */
export const OFFSET_NS = 1_700_000_000n * SECOND_NS;
export const TRACE_ID = "0123456789abcdef0fedcba987654321";

const KEY: EdgeKey = {
  cgroup: 4242n,
  localAddress: "10.0.0.1",
  remoteAddress: "10.0.0.2",
  netns: 4026531840,
  serverPort: 8080,
  role: "client",
  overflow: false,
};

/** By default: a client's connection of one second, opened and closed in order, without any sampling. */
export function connectionOf({ key, ...values }: Partial<Omit<Connection, "key">> & { key?: Partial<EdgeKey> } = {}) {
  const connection: Connection = {
    key: { ...KEY, ...key },
    traceId: TRACE_ID,
    startNs: 100n * SECOND_NS,
    establishedNs: 100n * SECOND_NS + 2_000_000n,
    endNs: 101n * SECOND_NS,
    bytesSent: 23,
    bytesReceived: 29,
    sampleThreshold: 0n,
    segsOut: 7,
    segsIn: 5,
    retransmits: 0,
    retransmitsSyn: 0,
    retransmitsFast: 0,
    retransmitsTimeout: 0,
    retransmitsTlp: 0,
    retransmitsNonCongestion: 0,
    spurious: 0,
    outOfOrder: 0,
    handshakeUs: 2_000,
    srttUs: 1_500,
    minRttUs: 1_250,
    lastRttUs: 1_750,
    busyUs: 0,
    rwndLimitedUs: 0,
    sndbufLimitedUs: 0,
    pid: 4711,
    interims: 0,
    localPort: 40_000,
    remotePort: 8080,
    error: 0,
    flags: 0,
    kept: 0,
    state: "fin_wait_2",
    comm: "curl",
    events: [],
    ...values,
  };
  return connection;
}

export function eventOf(values: Partial<ConnectionEvent> = {}): ConnectionEvent {
  return {
    timeNs: 100n * SECOND_NS,
    kind: "retransmit_timeout",
    segments: 1,
    state: "established",
    recovery: "loss",
    ...values,
  };
}

const LOCAL: LocalEnd = { id: "local", resource: { "service.name": "front" }, label: "shop/front" };

export function remoteOf(values: Partial<RemoteEnd> = {}): RemoteEnd {
  return { kind: "pod", name: "cart", namespace: "shop", podName: "cart-7d9f", label: "shop/cart", ...values };
}

export function namesOf(remote: Partial<RemoteEnd> = {}): Names {
  return { local: LOCAL, remote: remoteOf(remote) };
}
