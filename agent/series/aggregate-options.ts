/**
 * What can be chosen about aggregation. agent/config/ fills it; the defaults suit a production node.
 */
import type { Temporality } from "../model/flow.ts";

export interface AggregateOptions {
  readonly temporality: Temporality;
  /** Most flows that have series of their own; the others share overflow series. */
  readonly flowLimit: number;
  /** Edges and flows that were silent for this long are forgotten. */
  readonly idleMs: number;
  /** The peer's zone on every point. */
  readonly peerZone: boolean;
  /** Opt-in: the peer's pod name on every point. */
  readonly peerPod: boolean;
  /** Opt-in: the peer's address on every point. */
  readonly peerAddress: boolean;
}

export const DEFAULT_AGGREGATE_OPTIONS: AggregateOptions = {
  temporality: "cumulative",
  flowLimit: 10_000,
  idleMs: 15 * 60_000,
  peerZone: true,
  peerPod: false,
  peerAddress: false,
};
