/**
 * Payload bytes of OTLP points, grouped by any attributes of theirs or of their Resource: whose traffic it was
 * said to be.
 */
import {
  ATTR_FLOWSPAN_ROLE,
  ATTR_NETWORK_IO_DIRECTION,
  ATTR_SERVER_PORT,
  METRIC_FLOWSPAN_TCP_IO,
} from "../../agent/generated/semconv.ts";
import type { Attributes, AttributeValue } from "../../agent/model/attribute.ts";
import { type Point, seriesTotals } from "./oracle.ts";

export interface Which {
  readonly role: "client" | "server";
  readonly port: number;
  readonly direction: "transmit" | "receive";
}

/** @returns rows of the attributes' values ("" where there is none) and a sum of bytes, sorted */
export function bytesBy(points: readonly Point[], names: readonly string[], which: Which): AttributeValue[][] {
  const sums = new Map<string, number>();
  for (const { metric, resource, attributes, value } of seriesTotals(points)) {
    const all: Attributes = { ...resource, ...attributes };
    if (metric !== METRIC_FLOWSPAN_TCP_IO.name || all[ATTR_FLOWSPAN_ROLE] !== which.role) continue;
    if (all[ATTR_SERVER_PORT] !== which.port || all[ATTR_NETWORK_IO_DIRECTION] !== which.direction) continue;
    const key = JSON.stringify(names.map((name) => all[name] ?? ""));
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return [...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, sum]) => [...JSON.parse(key), sum]);
}
