/**
 * Findings as JSON lines, for people and scripts that replay a recording. Names are those of OTLP's JSON encoding, with the
 * Resource on every line. Keys stand in a fixed order, so that two runs can be compared as text.
 */
import type { LogRecord } from "../../model/log-record.ts";
import { sorted } from "./sorted.ts";

export function logLine({ eventName, timeUnixNs, severity, body, attributes, resource }: LogRecord): string {
  return JSON.stringify({
    eventName,
    severityText: severity.toUpperCase(),
    timeUnixNano: String(timeUnixNs),
    resource: sorted(resource.attributes),
    attributes: sorted(attributes),
    body,
  });
}
