/**
 * Two books of the same connections side by side: what OTLP points add up to, and what the workload counted
 * itself. Equal objects mean that nothing was lost, nothing counted twice and no series went backwards.
 */
import {
  ATTR_FLOWSPAN_LOSS_REASON,
  ATTR_FLOWSPAN_ROLE,
  METRIC_FLOWSPAN_LOSSES,
} from "../../../agent/generated/semconv.ts";
import { backwardPoints, type Point, seriesTotals } from "../../otlp/oracle.ts";
import type { Counts } from "../programs/workload.ts";
import { type EndSum, endSum } from "./observed.ts";
import type { TrafficCounts } from "./traffic.ts";

export interface Books {
  readonly client: EndSum;
  readonly server: EndSum;
  readonly backward: readonly Point[];
  /** By reason. */
  readonly losses: Readonly<Record<string, number>>;
}

/** @param points in the order in which the Collector got them */
export function booksOfPoints(points: readonly Point[]): Books {
  const totals = seriesTotals(points);
  const losses = points.filter(({ metric, value }) => metric === METRIC_FLOWSPAN_LOSSES.name && value > 0);
  return {
    client: endSum(totals, { [ATTR_FLOWSPAN_ROLE]: "client" }),
    server: endSum(totals, { [ATTR_FLOWSPAN_ROLE]: "server" }),
    backward: backwardPoints(points),
    losses: Object.fromEntries(losses.map(({ attributes, value }) => [attributes[ATTR_FLOWSPAN_LOSS_REASON], value])),
  };
}

/** What points must say of connections that have all ended without an error. */
export function booksOfTraffic({ client, server }: TrafficCounts): Books {
  return { client: endOf(client), server: endOf(server), backward: [], losses: {} };
}

function endOf({ opened, closed, bytesSent, bytesReceived }: Counts): EndSum {
  return { opened, failed: 0, closed, open: 0, bytesSent, bytesReceived, handshakes: opened, durations: closed };
}

/** Whether every number is the same. */
export function areEqual(a: Books, b: Books): boolean {
  return JSON.stringify([a.client, a.server, a.losses]) === JSON.stringify([b.client, b.server, b.losses]);
}
