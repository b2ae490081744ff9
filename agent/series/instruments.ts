/**
 * The one table from an edge's counters to metrics. Names and units come from semconv/.
 *
 * `always` is for what a reader divides by or draws as a line from zero; the rest appears once it has
 * happened, so that a quiet flow costs seven points, not twenty-seven.
 */

import type { MetricDescriptor } from "../generated/semconv.ts";
import {
  ATTR_ERROR_TYPE,
  ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE,
  ATTR_FLOWSPAN_TCP_SEND_STATE,
  ATTR_NETWORK_IO_DIRECTION,
  ERROR_TYPE_VALUE_CANCELLED,
  ERROR_TYPE_VALUE_HOST_UNREACHABLE,
  ERROR_TYPE_VALUE_NET_UNREACHABLE,
  ERROR_TYPE_VALUE_NO_LOCAL_PORT,
  ERROR_TYPE_VALUE_NOT_SENT,
  ERROR_TYPE_VALUE_OTHER,
  ERROR_TYPE_VALUE_REFUSED,
  ERROR_TYPE_VALUE_RESET,
  ERROR_TYPE_VALUE_TIMED_OUT,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_FAST,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_NON_CONGESTION,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_OTHER,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_SYN,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TAIL_LOSS_PROBE,
  FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TIMEOUT,
  FLOWSPAN_TCP_SEND_STATE_VALUE_BUSY,
  FLOWSPAN_TCP_SEND_STATE_VALUE_RECEIVE_WINDOW_LIMITED,
  FLOWSPAN_TCP_SEND_STATE_VALUE_SEND_BUFFER_LIMITED,
  METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_DEPTH,
  METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_LIMIT,
  METRIC_FLOWSPAN_TCP_CONNECTION_DURATION,
  METRIC_FLOWSPAN_TCP_CONNECTIONS,
  METRIC_FLOWSPAN_TCP_CONNECTIONS_CLOSED,
  METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN,
  METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION,
  METRIC_FLOWSPAN_TCP_IO,
  METRIC_FLOWSPAN_TCP_LISTENER_DROPS,
  METRIC_FLOWSPAN_TCP_OUT_OF_ORDER,
  METRIC_FLOWSPAN_TCP_RESETS,
  METRIC_FLOWSPAN_TCP_RETRANSMITS,
  METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS,
  METRIC_FLOWSPAN_TCP_RTT,
  METRIC_FLOWSPAN_TCP_SEGMENTS,
  METRIC_FLOWSPAN_TCP_SEND_TIME,
  NETWORK_IO_DIRECTION_VALUE_RECEIVE,
  NETWORK_IO_DIRECTION_VALUE_TRANSMIT,
} from "../generated/semconv.ts";
import type { Attributes } from "../model/attribute.ts";
import type { EdgeCounterName, Role } from "../model/edge.ts";
import type { FlowMetric, FlowPoint } from "../model/metric.ts";

const PEERS: readonly Role[] = ["client", "server"];
const LISTENERS: readonly Role[] = ["listener"];

const TRANSMIT = { [ATTR_NETWORK_IO_DIRECTION]: NETWORK_IO_DIRECTION_VALUE_TRANSMIT };
const RECEIVE = { [ATTR_NETWORK_IO_DIRECTION]: NETWORK_IO_DIRECTION_VALUE_RECEIVE };
const MICROSECOND = 1e-6;

export const FLOW_METRICS: readonly FlowMetric[] = [
  peers(METRIC_FLOWSPAN_TCP_IO, [always("bytesSent", TRANSMIT), always("bytesReceived", RECEIVE)]),
  peers(METRIC_FLOWSPAN_TCP_SEGMENTS, [always("segsOut", TRANSMIT), always("segsIn", RECEIVE)]),
  peers(METRIC_FLOWSPAN_TCP_RETRANSMITS, [
    retransmit("retransmitsSyn", FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_SYN),
    retransmit("retransmitsFast", FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_FAST),
    retransmit("retransmitsTimeout", FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TIMEOUT),
    retransmit("retransmitsTlp", FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_TAIL_LOSS_PROBE),
    retransmit("retransmitsNonCongestion", FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_NON_CONGESTION),
    retransmit("retransmitsOther", FLOWSPAN_TCP_RETRANSMIT_TYPE_VALUE_OTHER),
  ]),
  peers(METRIC_FLOWSPAN_TCP_RETRANSMITS_SPURIOUS, [nonzero("spurious")]),
  peers(METRIC_FLOWSPAN_TCP_OUT_OF_ORDER, [nonzero("outOfOrder")]),
  peers(METRIC_FLOWSPAN_TCP_CONNECTIONS, [
    always("opened"),
    failure("failedRefused", ERROR_TYPE_VALUE_REFUSED),
    failure("failedTimedOut", ERROR_TYPE_VALUE_TIMED_OUT),
    failure("failedReset", ERROR_TYPE_VALUE_RESET),
    failure("failedHostUnreachable", ERROR_TYPE_VALUE_HOST_UNREACHABLE),
    failure("failedNetUnreachable", ERROR_TYPE_VALUE_NET_UNREACHABLE),
    failure("failedCancelled", ERROR_TYPE_VALUE_CANCELLED),
    failure("failedNoLocalPort", ERROR_TYPE_VALUE_NO_LOCAL_PORT),
    failure("failedNotSent", ERROR_TYPE_VALUE_NOT_SENT),
    failure("failedOther", ERROR_TYPE_VALUE_OTHER),
  ]),
  peers(METRIC_FLOWSPAN_TCP_CONNECTIONS_CLOSED, [always("closed")]),
  peers(METRIC_FLOWSPAN_TCP_CONNECTIONS_OPEN, [gauge("open")]),
  peers(METRIC_FLOWSPAN_TCP_RESETS, [nonzero("resetSent", TRANSMIT), nonzero("resetReceived", RECEIVE)]),
  peers(METRIC_FLOWSPAN_TCP_HANDSHAKE_DURATION, [histogram("handshake")]),
  peers(METRIC_FLOWSPAN_TCP_RTT, [histogram("rtt")]),
  peers(METRIC_FLOWSPAN_TCP_CONNECTION_DURATION, [histogram("duration")]),
  peers(METRIC_FLOWSPAN_TCP_SEND_TIME, [
    sendTime("busyUs", FLOWSPAN_TCP_SEND_STATE_VALUE_BUSY),
    sendTime("rwndLimitedUs", FLOWSPAN_TCP_SEND_STATE_VALUE_RECEIVE_WINDOW_LIMITED),
    sendTime("sndbufLimitedUs", FLOWSPAN_TCP_SEND_STATE_VALUE_SEND_BUFFER_LIMITED),
  ]),
  listeners(METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_DEPTH, [gauge("open")]),
  listeners(METRIC_FLOWSPAN_TCP_ACCEPT_QUEUE_LIMIT, [gauge("limit")]),
  listeners(METRIC_FLOWSPAN_TCP_LISTENER_DROPS, [always("listenerDrops")]),
];

function peers(metric: MetricDescriptor, points: readonly FlowPoint[]): FlowMetric {
  return { metric, roles: PEERS, points };
}

function listeners(metric: MetricDescriptor, points: readonly FlowPoint[]): FlowMetric {
  return { metric, roles: LISTENERS, points };
}

function always(counter: EdgeCounterName, attributes: Attributes = {}): FlowPoint {
  return { attributes, from: { counter }, emit: "always" };
}

function nonzero(counter: EdgeCounterName, attributes: Attributes = {}): FlowPoint {
  return { attributes, from: { counter }, emit: "nonzero" };
}

function retransmit(counter: EdgeCounterName, type: string): FlowPoint {
  return nonzero(counter, { [ATTR_FLOWSPAN_TCP_RETRANSMIT_TYPE]: type });
}

function failure(counter: EdgeCounterName, errorType: string): FlowPoint {
  return nonzero(counter, { [ATTR_ERROR_TYPE]: errorType });
}

function sendTime(counter: EdgeCounterName, state: string): FlowPoint {
  const attributes = { [ATTR_FLOWSPAN_TCP_SEND_STATE]: state };
  return { attributes, from: { counter, scale: MICROSECOND }, emit: "nonzero" };
}

function gauge(name: "open" | "limit"): FlowPoint {
  return { attributes: {}, from: { gauge: name }, emit: "always" };
}

function histogram(name: "handshake" | "rtt" | "duration"): FlowPoint {
  return { attributes: {}, from: { histogram: name }, emit: "nonzero" };
}
