/**
 * Edges → the snapshot that `flowspan top` prints.
 */
import { AT } from "./counters.ts";
import { type Edge, LATEST } from "./edge-state.ts";
import type { SlotRange } from "./slots.ts";
import { HANDSHAKE, RTT } from "./slots.ts";
import type { EdgeSnapshot, LocalSnapshot, QuantilesSnapshot, RemoteSnapshot, Snapshot } from "./snapshot.ts";

export interface Moment {
  readonly timeUnixNs: bigint;
  /** Between the last two exchanges. */
  readonly intervalNs: bigint;
}

/** @param moment undefined before the first exchange */
export function snapshotOf(edges: Iterable<Edge>, moment: Moment | undefined): Snapshot {
  const intervalMs = moment === undefined ? 0 : Number(moment.intervalNs) / 1e6;
  return {
    timeUnixMs: moment === undefined ? 0 : Number(moment.timeUnixNs / 1_000_000n),
    intervalMs,
    edges: Array.from(edges, (edge) => edgeSnapshot(edge, intervalMs)),
  };
}

function edgeSnapshot(edge: Edge, intervalMs: number): EdgeSnapshot {
  const { key } = edge;
  const total = (index: number) => edge.totals.get(index);
  const perSecond = (index: number) => (intervalMs > 0 ? (total(index) / intervalMs) * 1000 : 0);
  return {
    role: key.role,
    overflow: key.overflow,
    local: localSnapshot(edge),
    remote: remoteSnapshot(edge),
    serverPort: key.serverPort,
    netns: key.netns,
    pending: edge.names === undefined ? edge.pendingWhy : null,
    bytesSent: total(AT.bytesSent),
    bytesReceived: total(AT.bytesReceived),
    segmentsSent: total(AT.segsOut),
    segmentsReceived: total(AT.segsIn),
    retransmits: {
      syn: total(AT.retransmitsSyn),
      fast: total(AT.retransmitsFast),
      timeout: total(AT.retransmitsTimeout),
      tailLossProbe: total(AT.retransmitsTlp),
      nonCongestion: total(AT.retransmitsNonCongestion),
      other: total(AT.retransmitsOther),
      spurious: total(AT.spurious),
    },
    outOfOrder: total(AT.outOfOrder),
    opened: total(AT.opened),
    closed: total(AT.closed),
    failed: {
      refused: total(AT.failedRefused),
      timed_out: total(AT.failedTimedOut),
      reset: total(AT.failedReset),
      host_unreachable: total(AT.failedHostUnreachable),
      net_unreachable: total(AT.failedNetUnreachable),
      cancelled: total(AT.failedCancelled),
      no_local_port: total(AT.failedNoLocalPort),
      not_sent: total(AT.failedNotSent),
      _OTHER: total(AT.failedOther),
    },
    resets: { sent: total(AT.resetSent), received: total(AT.resetReceived) },
    open: edge.open,
    limit: edge.limit,
    drops: total(AT.listenerDrops),
    rates: {
      bytesSentPerSecond: perSecond(LATEST.bytesSent),
      bytesReceivedPerSecond: perSecond(LATEST.bytesReceived),
      openedPerSecond: perSecond(LATEST.opened),
    },
    rtt: quantiles(edge, RTT),
    handshake: quantiles(edge, HANDSHAKE),
  };
}

function localSnapshot({ key, names }: Edge): LocalSnapshot {
  return {
    label: names?.local.label ?? key.localAddress,
    address: key.localAddress,
    cgroup: String(key.cgroup),
  };
}

function remoteSnapshot({ key, names }: Edge): RemoteSnapshot {
  const remote = names?.remote;
  return {
    label: remote?.label ?? key.remoteAddress,
    address: key.remoteAddress,
    kind: remote?.kind ?? "unknown",
    name: remote?.name ?? null,
    namespace: remote?.namespace ?? null,
    pod: remote?.podName ?? null,
  };
}

function quantiles(edge: Edge, range: SlotRange): QuantilesSnapshot {
  return {
    p50Us: edge.totals.quantile(range, 0.5) ?? null,
    p99Us: edge.totals.quantile(range, 0.99) ?? null,
  };
}
