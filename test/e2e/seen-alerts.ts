/**
 * Which file sees which alert firing while its fault lasts, and resolved after it, on a real Prometheus from a real lab. alert-rules.test.ts
 * asks for a file for each shipped alert, and each file ends with what it has seen.
 */
import { expect } from "vitest";
import type { MonitoredLab } from "./monitored-lab.ts";

export const SEEN_ALERTS = {
  "finding-alerts.test.ts": [
    ...["FlowspanConnectRefused", "FlowspanConnectUnanswered", "FlowspanListenQueueOverflow", "FlowspanPartition"],
    ...["FlowspanRetransmits", "FlowspanSlowReader"],
  ],
  "kernel-finding-alerts.test.ts": [
    ...["FlowspanMtuBlackHole", "FlowspanNeighbourUnresolved", "FlowspanPacketsDropped", "FlowspanPortsExhausted"],
    ...["FlowspanSmallSendBuffer", "FlowspanSocketMemory", "FlowspanSynCookies"],
  ],
  "full-table-alerts.alone.test.ts": [
    ...["FlowspanConntrackFull", "FlowspanConntrackInsertFailed", "FlowspanNeighbourTableOverflow"],
  ],
  "alerts.test.ts": [
    ...["FlowspanAbsent", "FlowspanAgentDown", "FlowspanBlind", "FlowspanCoverageLow", "FlowspanDetailLost"],
    ...["FlowspanEdgeTableFull", "FlowspanExportsFailing", "FlowspanFactsLost", "FlowspanLabelsMissing"],
    ...["FlowspanMetadataStale", "FlowspanProbeDown", "FlowspanProbeTrouble", "FlowspanSpansDropped"],
  ],
  "table-alerts.test.ts": ["FlowspanCgroupTableFull", "FlowspanProbeMemoryNearLimit"],
  "directory-alerts.test.ts": [
    ...["FlowspanDirectoryAgentsMissing", "FlowspanDirectoryDown", "FlowspanDirectoryRefuses"],
    ...["FlowspanMemoryNearLimit"],
  ],
} as const;

/** For the last test of a file. */
export function expectSeen(monitored: MonitoredLab, file: keyof typeof SEEN_ALERTS): void {
  expect([...monitored.firedAndResolved].sort()).toEqual(expect.arrayContaining([...SEEN_ALERTS[file]]));
}
