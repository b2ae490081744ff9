/** The detector of each finding: a row of semconv/model/findings.yaml without one does not compile. Pure. */
import type { FindingName } from "../generated/findings.ts";
import { detectConnectRefused } from "./detect-connect-refused.ts";
import { detectConnectUnanswered } from "./detect-connect-unanswered.ts";
import { detectConntrackFull, detectConntrackInsertFailed } from "./detect-conntrack.ts";
import { detectSlowReader, detectSmallSendBuffer } from "./detect-limited-sender.ts";
import { detectListenQueue } from "./detect-listen-queue.ts";
import { detectMtuBlackHole } from "./detect-mtu-black-hole.ts";
import { detectNeighbourTable, detectNeighbourUnresolved } from "./detect-neighbours.ts";
import { detectPacketsDropped } from "./detect-packets-dropped.ts";
import { detectPartition } from "./detect-partition.ts";
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
  partition: detectPartition,
  slow_reader: detectSlowReader,
  small_send_buffer: detectSmallSendBuffer,
  retransmits: detectRetransmits,
  socket_memory: detectSocketMemory,
  neighbour_table_overflow: detectNeighbourTable,
  neighbour_unresolved: detectNeighbourUnresolved,
  packets_dropped: detectPacketsDropped,
  mtu_black_hole: detectMtuBlackHole,
  conntrack_full: detectConntrackFull,
  conntrack_insert_failed: detectConntrackInsertFailed,
};

/** What a detector said, and of which finding. */
export interface Judged extends Candidate {
  readonly finding: FindingName;
}

/** In the registry's order. */
export const FINDING_NAMES = Object.keys(DETECTORS) as FindingName[];

/** Of one interval, in the order of the names. Findings that are switched off are left out. */
export function detect(names: readonly FindingName[], evidence: Evidence, limits: FindingLimits): Judged[] {
  return names.flatMap((finding) =>
    limits[finding].enabled ? detectOne(finding, evidence, limits).map((candidate) => ({ finding, ...candidate })) : [],
  );
}

function detectOne<Name extends FindingName>(finding: Name, evidence: Evidence, limits: FindingLimits) {
  const detector: Detector<Name> = DETECTORS[finding];
  return detector(evidence, limits[finding]);
}
