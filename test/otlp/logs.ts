/**
 * Log requests, as bytes or as OTLP/JSON, as plain records: one reading for receivers of tests and the Collector's files.
 */
import type { Attributes } from "../../agent/model/attribute.ts";
import { attributesOf, type JsonLogRequest } from "./otlp-json.ts";
import { logRequestOf } from "./protobuf.ts";

export interface ReceivedLog {
  readonly eventName: string;
  readonly timeUnixNs: bigint;
  readonly severity: string;
  readonly severityNumber: number;
  readonly body: string;
  readonly attributes: Attributes;
  readonly resource: Attributes;
  readonly scope: string;
}

/** @param bytes an ExportLogsServiceRequest */
export function decodeLogs(bytes: Uint8Array): ReceivedLog[] {
  return logsOf(logRequestOf(bytes));
}

export function logsOf({ resourceLogs = [] }: JsonLogRequest): ReceivedLog[] {
  return resourceLogs.flatMap(({ resource, scopeLogs = [] }) =>
    scopeLogs.flatMap(({ scope, logRecords = [] }) =>
      logRecords.map((record) => ({
        eventName: record.eventName ?? "",
        timeUnixNs: BigInt(record.timeUnixNano ?? 0),
        severity: record.severityText ?? "",
        severityNumber: record.severityNumber ?? 0,
        body: record.body?.stringValue ?? "",
        attributes: attributesOf(record.attributes),
        resource: attributesOf(resource?.attributes),
        scope: scope?.name ?? "",
      })),
    ),
  );
}
