/** A reader of own metrics whose Collector is in this process: what it takes, and when it is away. */
import type { Temporality } from "../../../agent/model/flow.ts";
import { sendingReader } from "../../../agent/telemetry/provider.ts";
import { decodeMetrics, type ReceivedPoint } from "../../otlp/metric-points.ts";

export interface Receiving {
  readonly reader: ReturnType<typeof sendingReader>;
  /** Of requests that were accepted, in order. */
  readonly points: ReceivedPoint[];
  isAway: boolean;
}

export function receivingReader(temporality: Temporality | "low_memory"): Receiving {
  const points: ReceivedPoint[] = [];
  const send = async (bytes: Uint8Array) => {
    if (receiving.isAway)
      return { state: "failed", reason: "UNAVAILABLE", retryable: true, retryAfterMs: undefined } as const;
    points.push(...decodeMetrics(bytes));
    return { state: "accepted", rejectedPoints: 0, message: "" } as const;
  };
  const transport = { target: "here", send, shutdown: async () => {} };
  const silent = { info: () => {}, warn: () => {} };
  const reader = sendingReader({ transport, intervalMs: 3_600_000, temporality }, silent);
  const receiving: Receiving = { reader, points, isAway: false };
  return receiving;
}
