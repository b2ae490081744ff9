/**
 * One record's own numbers → who held the connection up, and the number that says so. Pure.
 *
 *   client application │ client node │ path │ server node │ server application │ unknown
 *
 * An end knows what it waited for, and not why its peer was slow: there `unknown` is the answer. Nothing is said of a connection that
 * nothing held up. A record has no time of the first byte of an answer, so an application that thinks for long looks like one that has
 * nothing to say: no verdict stands on idle time.
 */
import {
  ERROR_TYPE_VALUE_CANCELLED,
  ERROR_TYPE_VALUE_HOST_UNREACHABLE,
  ERROR_TYPE_VALUE_NET_UNREACHABLE,
  ERROR_TYPE_VALUE_NO_LOCAL_PORT,
  ERROR_TYPE_VALUE_NOT_SENT,
  ERROR_TYPE_VALUE_REFUSED,
  ERROR_TYPE_VALUE_TIMED_OUT,
  FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_NO_ANSWER,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_NO_LOCAL_PORT,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_NOT_SENT,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_RECEIVE_WINDOW,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_REFUSED,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_RESET,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_RETRANSMITS,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_ROUND_TRIP,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_SEND_BUFFER,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_TOO_LARGE,
  FLOWSPAN_TCP_VERDICT_REASON_VALUE_UNREACHABLE,
  FLOWSPAN_TCP_VERDICT_VALUE_CLIENT_APPLICATION,
  FLOWSPAN_TCP_VERDICT_VALUE_CLIENT_NODE,
  FLOWSPAN_TCP_VERDICT_VALUE_PATH,
  FLOWSPAN_TCP_VERDICT_VALUE_SERVER_APPLICATION,
  FLOWSPAN_TCP_VERDICT_VALUE_UNKNOWN,
  type FlowspanTcpVerdict,
  type FlowspanTcpVerdictReason,
} from "../generated/semconv.ts";
import type { Connection } from "../model/connection-record.ts";

export interface ConnectionVerdict {
  readonly who: FlowspanTcpVerdict;
  readonly reason: FlowspanTcpVerdictReason;
  /** What the reason is a share or a count of: see `flowspan.tcp.verdict.value`. */
  readonly value: number;
}

/** A wait counts from a tenth of a second and a third of the time on. */
const LEAST_WAIT_US = 100_000;
const LEAST_WAIT_SHARE = 0.3;
/** A timer's resend is a wait by itself; of others a few of many segments are every network's. */
const LEAST_LOST = 3;
const LEAST_LOST_SHARE = 0.01;
/** More than an acknowledgement is held back for. */
const LEAST_RTT_GROWTH_US = 100_000;
const LEAST_RTT_RATIO = 5;
const NO_RTT = 0xffff_ffff;

/**
 * @param errorType `error.type` of its span, if it has one
 * @param resetBy `flowspan.tcp.reset.by` of its span, if it has one
 * @returns undefined where nothing held it up
 */
export function judgeConnection(
  connection: Connection,
  errorType: string | undefined,
  resetBy: string | undefined,
): ConnectionVerdict | undefined {
  if (resetBy === FLOWSPAN_TCP_RESET_BY_VALUE_LOCAL)
    return verdict(applicationOf(connection, "local"), FLOWSPAN_TCP_VERDICT_REASON_VALUE_RESET, 1);
  const failed = errorType === undefined ? undefined : failureVerdict(connection, errorType);
  const waited = failed ?? waitVerdict(connection);
  if (waited !== undefined) return waited;
  // It may be of the peer or of a device in between.
  if (resetBy !== undefined)
    return verdict(FLOWSPAN_TCP_VERDICT_VALUE_UNKNOWN, FLOWSPAN_TCP_VERDICT_REASON_VALUE_RESET, 1);
  return lossVerdict(connection) ?? roundTripVerdict(connection);
}

/** Of attempts, and of connections that the kernel gave up. */
function failureVerdict(connection: Connection, errorType: string): ConnectionVerdict | undefined {
  const syns = connection.retransmitsSyn;
  switch (errorType) {
    case ERROR_TYPE_VALUE_REFUSED:
      return verdict(FLOWSPAN_TCP_VERDICT_VALUE_SERVER_APPLICATION, FLOWSPAN_TCP_VERDICT_REASON_VALUE_REFUSED, 1);
    case ERROR_TYPE_VALUE_NO_LOCAL_PORT:
      return verdict(FLOWSPAN_TCP_VERDICT_VALUE_CLIENT_NODE, FLOWSPAN_TCP_VERDICT_REASON_VALUE_NO_LOCAL_PORT, 1);
    case ERROR_TYPE_VALUE_NOT_SENT:
      return verdict(FLOWSPAN_TCP_VERDICT_VALUE_CLIENT_NODE, FLOWSPAN_TCP_VERDICT_REASON_VALUE_NOT_SENT, 1);
    case ERROR_TYPE_VALUE_HOST_UNREACHABLE:
    case ERROR_TYPE_VALUE_NET_UNREACHABLE:
      return verdict(FLOWSPAN_TCP_VERDICT_VALUE_PATH, FLOWSPAN_TCP_VERDICT_REASON_VALUE_UNREACHABLE, 1);
    // A dead node, a path that drops and a full accept queue look the same from here.
    case ERROR_TYPE_VALUE_TIMED_OUT:
      return verdict(
        FLOWSPAN_TCP_VERDICT_VALUE_UNKNOWN,
        FLOWSPAN_TCP_VERDICT_REASON_VALUE_NO_ANSWER,
        connection.retransmits,
      );
    case ERROR_TYPE_VALUE_CANCELLED:
      if (syns === 0) return undefined;
      return verdict(FLOWSPAN_TCP_VERDICT_VALUE_UNKNOWN, FLOWSPAN_TCP_VERDICT_REASON_VALUE_NO_ANSWER, syns);
    default:
      return undefined;
  }
}

/** The kernel's chronograph: the peer's window, or this end's own buffer. */
function waitVerdict(connection: Connection): ConnectionVerdict | undefined {
  const { startNs, endNs, rwndLimitedUs, sndbufLimitedUs } = connection;
  const lastedUs = Math.max(1, Number(endNs - startNs) / 1000);
  const isLong = (us: number) => us >= LEAST_WAIT_US && us >= LEAST_WAIT_SHARE * lastedUs;
  if (rwndLimitedUs >= sndbufLimitedUs && isLong(rwndLimitedUs)) {
    const share = Math.min(1, rwndLimitedUs / lastedUs);
    return verdict(applicationOf(connection, "remote"), FLOWSPAN_TCP_VERDICT_REASON_VALUE_RECEIVE_WINDOW, share);
  }
  if (!isLong(sndbufLimitedUs)) return undefined;
  const share = Math.min(1, sndbufLimitedUs / lastedUs);
  return verdict(applicationOf(connection, "local"), FLOWSPAN_TCP_VERDICT_REASON_VALUE_SEND_BUFFER, share);
}

function lossVerdict(connection: Connection): ConnectionVerdict | undefined {
  const { retransmits, retransmitsSyn, retransmitsNonCongestion, retransmitsTimeout, spurious, segsOut } = connection;
  const lost = retransmits - retransmitsSyn - retransmitsNonCongestion - spurious;
  const share = lost / Math.max(1, segsOut);
  const isLossy = lost >= LEAST_LOST && share >= LEAST_LOST_SHARE;
  if (isLossy || (lost > 0 && retransmitsTimeout > 0))
    return verdict(FLOWSPAN_TCP_VERDICT_VALUE_PATH, FLOWSPAN_TCP_VERDICT_REASON_VALUE_RETRANSMITS, share);
  if (retransmitsNonCongestion > 0)
    return verdict(
      FLOWSPAN_TCP_VERDICT_VALUE_PATH,
      FLOWSPAN_TCP_VERDICT_REASON_VALUE_TOO_LARGE,
      retransmitsNonCongestion,
    );
  // The server's accept queue was full, or a segment of the handshake was lost.
  if (retransmitsSyn === 0) return undefined;
  return verdict(FLOWSPAN_TCP_VERDICT_VALUE_UNKNOWN, FLOWSPAN_TCP_VERDICT_REASON_VALUE_NO_ANSWER, retransmitsSyn);
}

/** A queue on the path has filled, or the peer's node acknowledges late. */
function roundTripVerdict({ minRttUs, lastRttUs }: Connection): ConnectionVerdict | undefined {
  if (lastRttUs === 0 || minRttUs === NO_RTT || minRttUs === 0) return undefined;
  const isGrown = lastRttUs - minRttUs >= LEAST_RTT_GROWTH_US && lastRttUs >= LEAST_RTT_RATIO * minRttUs;
  if (!isGrown) return undefined;
  return verdict(
    FLOWSPAN_TCP_VERDICT_VALUE_UNKNOWN,
    FLOWSPAN_TCP_VERDICT_REASON_VALUE_ROUND_TRIP,
    lastRttUs / minRttUs,
  );
}

function applicationOf({ key }: Connection, end: "local" | "remote"): FlowspanTcpVerdict {
  const isClient = (key.role === "client") === (end === "local");
  return isClient ? FLOWSPAN_TCP_VERDICT_VALUE_CLIENT_APPLICATION : FLOWSPAN_TCP_VERDICT_VALUE_SERVER_APPLICATION;
}

function verdict(who: FlowspanTcpVerdict, reason: FlowspanTcpVerdictReason, value: number): ConnectionVerdict {
  return { who, reason, value };
}
