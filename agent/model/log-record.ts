/** A log record, as OTLP means it: an event with a name, a severity and attributes. Only types live here. */
import type { Attributes } from "./attribute.ts";
import type { Resource } from "./flow.ts";

export interface LogRecord {
  readonly eventName: string;
  readonly timeUnixNs: bigint;
  readonly severity: "info" | "warn" | "error";
  /** For people; nothing has to be read out of it. */
  readonly body: string;
  readonly attributes: Attributes;
  readonly resource: Resource;
}

/** What became of all log records: observed = accepted + dropped + pending, at any moment. */
export interface LogStats {
  readonly observed: number;
  readonly accepted: number;
  /** By loss reason. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly pending: number;
  readonly limit: number;
}
