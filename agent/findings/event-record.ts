/** Starts and ends of findings → log records, and what `flowspan top` shows of those that are active. Pure. */
import { FINDINGS } from "../generated/findings.ts";
import {
  ATTR_FLOWSPAN_FINDING_DURATION,
  ATTR_FLOWSPAN_FINDING_ENDED_BY,
  ATTR_FLOWSPAN_FINDING_ID,
  ATTR_FLOWSPAN_FINDING_INTERVALS,
  ATTR_FLOWSPAN_FINDING_STATE,
  ATTR_FLOWSPAN_FINDING_THRESHOLD,
  ATTR_FLOWSPAN_FINDING_VALUE,
} from "../generated/semconv.ts";
import type { ActiveFinding, FindingSnapshot } from "../model/active-finding.ts";
import type { Attributes } from "../model/attribute.ts";
import type { LogRecord } from "../model/log-record.ts";
import type { FindingLimits } from "./evidence.ts";
import type { FindingEvent } from "./tracker.ts";

/** @param limits by which it was judged */
export function recordOf(event: FindingEvent, limits: FindingLimits): LogRecord {
  const { name, id, state, value, intervals, timeUnixNs, subject, evidence } = event;
  const { event: eventName, meaning, cause, severity } = FINDINGS[name];
  return {
    eventName,
    timeUnixNs,
    severity: state === "start" ? severity : "info",
    body: state === "start" ? `${meaning} ${cause}` : `Over: ${meaning}`,
    attributes: {
      [ATTR_FLOWSPAN_FINDING_STATE]: state,
      [ATTR_FLOWSPAN_FINDING_ID]: id,
      [ATTR_FLOWSPAN_FINDING_VALUE]: value,
      [ATTR_FLOWSPAN_FINDING_THRESHOLD]: limits[name].threshold,
      [ATTR_FLOWSPAN_FINDING_INTERVALS]: intervals,
      ...endAttributes(event),
      ...evidence,
    },
    resource: { id: subject.id, attributes: subject.resource },
  };
}

function endAttributes({ endedBy, sinceUnixNs, lastUnixNs }: FindingEvent): Attributes {
  if (endedBy === undefined) return {};
  return {
    [ATTR_FLOWSPAN_FINDING_DURATION]: Number(lastUnixNs - sinceUnixNs) / 1e9,
    [ATTR_FLOWSPAN_FINDING_ENDED_BY]: endedBy,
  };
}

export function snapshotOfFinding({ name, id, subject, sinceUnixNs, evidence }: ActiveFinding): FindingSnapshot {
  const { meaning, cause, command, severity } = FINDINGS[name];
  const sinceUnixMs = Number(sinceUnixNs / 1_000_000n);
  return { name, id, severity, subject: subject.label, sinceUnixMs, meaning, cause, command, evidence };
}
