/** The detector of each finding: a row of semconv/model/findings.yaml without one does not compile. Pure. */
import type { FindingName } from "../generated/findings.ts";
import type { RemoteEnd } from "../model/names.ts";
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
import type { Candidate, Detector, EdgeEvidence, Evidence, FindingLimits, Path } from "./evidence.ts";

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

/** Of one interval, in the registry's order. Findings that are switched off are left out. */
export function detect(evidence: Evidence, limits: FindingLimits): Judged[] {
  const unexplained = withoutSilentNodes(evidence, limits);
  return (Object.keys(DETECTORS) as FindingName[]).flatMap((finding) => {
    if (!limits[finding].enabled) return [];
    const judged = OF_THE_PATH.has(finding) ? unexplained : evidence;
    return detectOne(finding, judged, limits).map((candidate) => ({ finding, ...candidate }));
  });
}

/** What a node that does not answer brings about, too. */
const OF_THE_PATH: ReadonlySet<FindingName> = new Set<FindingName>([
  ...(["connect_unanswered", "retransmits", "slow_reader", "small_send_buffer", "neighbour_unresolved"] as const),
]);

/** Without what goes to nodes that are a partition, will be one if they stay silent, or recover from one. */
function withoutSilentNodes(evidence: Evidence, { partition }: FindingLimits): Evidence {
  const { silentNodes, recoveringNodes, paths } = evidence;
  const recovering = recoveringNodes.filter(({ silentMs }) => silentMs >= MS_PER_S * partition.threshold);
  const suspects = [...silentNodes, ...recovering].filter(({ peers }) => partition.enabled && peers >= partition.least);
  if (suspects.length === 0) return evidence;
  const explained = new Set(suspects.map(({ node }) => node));
  const isOfThem = (remote: RemoteEnd | undefined) => explained.has(remote?.nodeName ?? "");
  const isExplained = ({ names }: EdgeEvidence) => isOfThem(names.remote);
  const others = (of: readonly Path[]) => of.filter(({ peerNode }) => !explained.has(peerNode ?? ""));
  return {
    ...evidence,
    edges: evidence.edges.filter((edge) => !isExplained(edge)),
    neighbours: evidence.neighbours.filter(({ remote }) => !isOfThem(remote)),
    paths: paths.map(others),
  };
}

const MS_PER_S = 1000;

function detectOne<Name extends FindingName>(finding: Name, evidence: Evidence, limits: FindingLimits) {
  const detector: Detector<Name> = DETECTORS[finding];
  return detector(evidence, limits[finding]);
}
