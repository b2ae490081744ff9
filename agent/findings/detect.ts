/** The detector of each finding: a row of semconv/model/findings.yaml without one does not compile. Pure. */
import type { FindingName } from "../generated/findings.ts";
import { detectConnectRefused } from "./detect-connect-refused.ts";
import { detectConnectUnanswered } from "./detect-connect-unanswered.ts";
import { detectSlowReader, detectSmallSendBuffer } from "./detect-limited-sender.ts";
import { detectListenQueue } from "./detect-listen-queue.ts";
import { detectNeighbourTable, detectNeighbourUnresolved } from "./detect-neighbours.ts";
import { detectPortsExhausted } from "./detect-ports-exhausted.ts";
import { detectRetransmits } from "./detect-retransmits.ts";
import { detectSocketMemory } from "./detect-socket-memory.ts";
import { detectSynCookies } from "./detect-syn-cookies.ts";
import type { Candidate, Detector, Evidence, FindingLimits } from "./evidence.ts";

const DETECTORS: { readonly [Name in FindingName]: Detector<Name> } = {
  listen_queue_overflow: detectListenQueue,
  syn_cookies: detectSynCookies,
  ports_exhausted: detectPortsExhausted,
  connect_refused: detectConnectRefused,
  connect_unanswered: detectConnectUnanswered,
  slow_reader: detectSlowReader,
  small_send_buffer: detectSmallSendBuffer,
  retransmits: detectRetransmits,
  socket_memory: detectSocketMemory,
  neighbour_table_overflow: detectNeighbourTable,
  neighbour_unresolved: detectNeighbourUnresolved,
};

/** What a detector said, and of which finding. */
export interface Judged extends Candidate {
  readonly finding: FindingName;
}

/** Of one interval, in the registry's order. Findings that are switched off are left out. */
export function detect(evidence: Evidence, limits: FindingLimits): Judged[] {
  return (Object.keys(DETECTORS) as FindingName[]).flatMap((finding) => {
    if (!limits[finding].enabled) return [];
    return detectOne(finding, evidence, limits).map((candidate) => ({ finding, ...candidate }));
  });
}

function detectOne<Name extends FindingName>(finding: Name, evidence: Evidence, limits: FindingLimits) {
  const detector: Detector<Name> = DETECTORS[finding];
  return detector(evidence, limits[finding]);
}
