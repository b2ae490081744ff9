/** Evidence of one interval with its names: what detectors look at. Only types live here. */
import type { EvidenceKey } from "./kernel-evidence.ts";
import type { LocalEnd, RemoteEnd } from "./names.ts";

/** What one key has counted within one interval, under its names: for detectors. */
export interface EvidenceGrowth {
  readonly key: EvidenceKey;
  /** The kernel's name of a drop's reason. */
  readonly reason: string;
  readonly device: string;
  readonly count: number;
  /** Of the local end; `forward` is resolved: whether that end sent the packet or was to receive it. */
  readonly direction: "receive" | "transmit" | undefined;
  readonly local: LocalEnd;
  /** `local` is a pod, a container or a unit, and not just this node. */
  readonly isOwned: boolean;
  readonly remote: RemoteEnd | undefined;
}
