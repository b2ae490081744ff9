/**
 * Log records → the bytes of one OTLP request, by the stock serializer: they are rare. Pure.
 */
import { ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { LogRecord } from "../model/log-record.ts";
import type { InstrumentationScope } from "./plan.ts";

/** Numbers by OTLP's Logs Data Model. */
const SEVERITY = { info: 9, warn: 13, error: 17 } as const;
const NS_PER_S = 1_000_000_000n;

type StockRecord = Parameters<typeof ProtobufLogsSerializer.serializeRequest>[0] extends readonly (infer R)[]
  ? R
  : never;

export function encodeLogs(records: readonly LogRecord[], scope: InstrumentationScope): Uint8Array {
  // One object for each Resource and for the scope: the serializer groups by them.
  const resources = new Map<string, StockRecord["resource"]>();
  const resourceOf = ({ id, attributes }: LogRecord["resource"]) => {
    const known = resources.get(id);
    if (known !== undefined) return known;
    const resource = resourceFromAttributes({ ...attributes } as Mutable, { schemaUrl: scope.schemaUrl });
    resources.set(id, resource);
    return resource;
  };
  const stock = records.map((record): StockRecord => {
    const time = hrTime(record.timeUnixNs);
    return {
      hrTime: time,
      hrTimeObserved: time,
      severityNumber: SEVERITY[record.severity],
      severityText: record.severity.toUpperCase(),
      body: record.body,
      eventName: record.eventName,
      resource: resourceOf(record.resource),
      instrumentationScope: scope,
      attributes: { ...record.attributes } as Mutable,
      droppedAttributesCount: 0,
    };
  });
  return ProtobufLogsSerializer.serializeRequest(stock) ?? new Uint8Array(0);
}

/** What the SDK's types ask for. */
type Mutable = Parameters<typeof resourceFromAttributes>[0] & StockRecord["attributes"];

function hrTime(unixNs: bigint): [seconds: number, nanoseconds: number] {
  return [Number(unixNs / NS_PER_S), Number(unixNs % NS_PER_S)];
}
