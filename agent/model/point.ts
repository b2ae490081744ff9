/** One number of one metric under one Resource, as OTLP has it. Only types live here. */
import type { MetricDescriptor } from "../generated/semconv.ts";
import type { Attributes } from "./attribute.ts";
import type { Resource } from "./flow.ts";

export interface NumberPoint {
  readonly metric: MetricDescriptor;
  readonly resource: Resource;
  readonly attributes: Attributes;
  /** Unix nanoseconds: of a counter, since when it counts. */
  readonly startUnixNs: bigint;
  readonly timeUnixNs: bigint;
  readonly value: number;
}
