/**
 * Whether what is new in an edge's row proves that the peer got what this end sent. Pure.
 *
 * The kernel samples a round trip only where segments of this end were acknowledged, and a handshake completes only where
 * both ways work. A reset that refuses a SYN is an answer to it.
 */
import { AT } from "./counters.ts";

const ANSWERS = [AT.opened, AT.rttUs, AT.failedRefused] as const;

/** @param fresh what is new, by EDGE_COUNTERS */
export function isAnswered(fresh: Float64Array): boolean {
  return ANSWERS.some((index) => (fresh[index] as number) > 0);
}
