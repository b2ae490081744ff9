/**
 * How often chance alone makes a finding of losses where nothing is wrong: derived, not measured. Pure.
 *
 * A healthy network loses a share of the segments, in bursts: each is one event, of so many segments, and events are independent. So
 * the events of a window of four intervals are a Poisson count. It makes a finding where it is as large as agent/findings/detect-retransmits.ts
 * asks for at least: its number of segments and of events, the evidence, the share. That two intervals must show it makes it rarer still.
 */
import { BURST, EVENTS } from "../../agent/findings/detect-retransmits.ts";
import { PATH_INTERVALS } from "../../agent/findings/judge.ts";
import { LOCALIZE } from "../../agent/findings/localize.ts";
import { FINDINGS } from "../../agent/generated/findings.ts";

export interface HealthyNetwork {
  /** Of segments that it loses. */
  readonly share: number;
  /** Segments that are lost together, at most BURST. */
  readonly burst: number;
  /** What a node's agent tells apart: pods here, peers, nodes. */
  readonly places: number;
}

const INTERVALS_A_YEAR = (365.25 * 86_400) / 15;
/** Segments through a place in an interval: about those at which chance is likeliest to look like a fault. */
const VOLUMES = [50, 100, 200, 400, 600, 800, 1000, 1300, 1600, 2000, 2500, 3000, 4000, 5000, 7000, 10_000];

/** At the volume where it is worst, and with all places at that volume: no more findings a year than this. */
export function falseAlarmsAYear({ share, burst, places }: HealthyNetwork): number {
  if (burst > BURST) throw new RangeError(`a burst of more than ${BURST} segments is more than one event`);
  const chances = VOLUMES.map((segments) => chanceOfStart(segments, share, burst));
  return Math.max(...chances) * INTERVALS_A_YEAR * places;
}

/** That an interval is the last one of a window that is a finding, and that it lost something itself. */
export function chanceOfStart(segments: number, share: number, burst: number): number {
  const mean = (PATH_INTERVALS * segments * share) / burst;
  const fewest = fewestEvents(segments, burst);
  let chance = 0;
  for (let events = fewest; events < fewest + TAIL; events++)
    chance += poisson(mean, events) * (1 - (1 - 1 / PATH_INTERVALS) ** events);
  return chance;
}

const TAIL = 60;

function fewestEvents(segments: number, burst: number): number {
  const { threshold, least, evidence } = FINDINGS.retransmits.thresholds;
  const trials = PATH_INTERVALS * segments;
  for (let events = EVENTS; ; events++) {
    const lost = events * burst;
    const rate = lost / trials - LOCALIZE.healthyRate;
    if (rate < threshold.default || rate * trials < least.default) continue;
    if (evidenceOf(lost, trials) >= evidence.default) return events;
  }
}

/** As place-model.ts has it, of one path. */
function evidenceOf(lost: number, trials: number): number {
  const { burst, unevenness, healthyRate } = LOCALIZE;
  const weight = 1 / (burst + unevenness * unevenness * lost);
  const expected = trials * healthyRate;
  return weight * (lost * Math.log(lost / expected) - (lost - expected));
}

function poisson(mean: number, events: number): number {
  let logarithm = -mean;
  for (let i = 1; i <= events; i++) logarithm += Math.log(mean / i);
  return Math.exp(logarithm);
}
