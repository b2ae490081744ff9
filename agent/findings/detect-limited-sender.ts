/**
 * Senders that wait for something other than the path, by the kernel's chronograph: for the peer's window → slow_reader, for
 * room in their own buffer → small_send_buffer. Pure.
 *
 * Both times are part of the time with unacknowledged data. A connection that has nothing to send waits for nothing.
 */
import {
  ATTR_FLOWSPAN_TCP_BYTES_SENT,
  ATTR_FLOWSPAN_TCP_SEND_BUSY_TIME,
  ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME,
  ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME,
} from "../generated/semconv.ts";
import { connectionFacts, edgeKey, grown, US_PER_S } from "./edge-places.ts";
import type { Candidate, Detector, Evidence } from "./evidence.ts";
import { edgePlaces } from "./places.ts";

const US_PER_MS = 1000;

export const detectSlowReader: Detector<"slow_reader"> = (evidence, limits) =>
  limitedSenders(evidence, limits, "rwndLimitedUs", ATTR_FLOWSPAN_TCP_SEND_RECEIVE_WINDOW_LIMITED_TIME);

export const detectSmallSendBuffer: Detector<"small_send_buffer"> = (evidence, limits) =>
  limitedSenders(evidence, limits, "sndbufLimitedUs", ATTR_FLOWSPAN_TCP_SEND_SEND_BUFFER_LIMITED_TIME);

function limitedSenders(
  { edges, intervalMs }: Evidence,
  { threshold, least }: { readonly threshold: number; readonly least: number },
  counter: "rwndLimitedUs" | "sndbufLimitedUs",
  attribute: string,
): Candidate[] {
  return edges
    .filter((edge) => grown(edge, counter) > 0)
    .map((edge) => {
      const limitedUs = grown(edge, counter);
      // The walk leaves time of a locked socket to the next one: a part may come without its whole.
      const share = limitedUs / Math.max(grown(edge, "busyUs"), limitedUs);
      return {
        key: edgeKey(edge),
        subject: edge.names.local,
        value: share,
        holds: share >= threshold && limitedUs >= least * intervalMs * US_PER_MS,
        counts: {
          [attribute]: limitedUs / US_PER_S,
          [ATTR_FLOWSPAN_TCP_SEND_BUSY_TIME]: grown(edge, "busyUs") / US_PER_S,
          [ATTR_FLOWSPAN_TCP_BYTES_SENT]: grown(edge, "bytesSent"),
        },
        facts: connectionFacts(edge),
        shows: [{ places: edgePlaces(edge), count: share }],
      };
    });
}
