/** How metrics are read from flows. */
import type { MetricDescriptor } from "../generated/semconv.ts";
import type { Attributes } from "./attribute.ts";
import type { EdgeCounterName, Role } from "./edge.ts";

/** How one metric is read from a flow: agent/series/instruments.ts holds the one table of these. */
export interface FlowMetric {
  readonly metric: MetricDescriptor;
  readonly roles: readonly Role[];
  readonly points: readonly FlowPoint[];
}

export interface FlowPoint {
  /** Added to the flow's own attributes: `{ "network.io.direction": "transmit" }`. */
  readonly attributes: Attributes;
  readonly from:
    | { readonly counter: EdgeCounterName; readonly scale?: number }
    | { readonly gauge: "open" | "limit" }
    | { readonly histogram: "handshake" | "rtt" | "duration" };
  /** `always`, or only once the value has been other than zero. */
  readonly emit: "always" | "nonzero";
}
