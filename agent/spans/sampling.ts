/**
 * Sampling arithmetic of OpenTelemetry's consistent probability sampling: probabilities, 56-bit rejection
 * thresholds and what `tracestate` says of them.
 *
 * A trace is kept when its randomness, the low 56 bits of its id, is not below the threshold; the kernel
 * decides that, here is only what is written of it before and after.
 * https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
 */
import { SAMPLE_NEVER } from "../generated/layout.ts";

/** 2^56, the number of possible values; as a threshold it means never. */
const ALL = Number(SAMPLE_NEVER);
const HEX_DIGITS = 14;
/** Digits of a threshold that count, besides leading `f`: the specification's recommendation for SDKs. */
const PRECISION = 4;

/**
 * The threshold that keeps this share, rounded as the specification recommends.
 *
 * @param probability in [0, 1]; 0 is never
 */
export function thresholdOf(probability: number): bigint {
  if (probability >= 1) return 0n;
  // 2^-56 is the smallest probability there is.
  if (probability * ALL < 1) return SAMPLE_NEVER;
  const leading = Math.floor(-Math.log2(probability) / 4);
  const dropped = BigInt(4 * Math.max(0, HEX_DIGITS - PRECISION - leading));
  const exact = BigInt(Math.round((1 - probability) * ALL));
  const half = dropped === 0n ? 0n : 1n << (dropped - 1n);
  const rounded = ((exact + half) >> dropped) << dropped;
  return rounded < SAMPLE_NEVER ? rounded : SAMPLE_NEVER - 1n;
}

/** @returns the probability of keeping a trace, or undefined where it is not known */
export function probabilityOf(threshold: bigint): number | undefined {
  return threshold >= SAMPLE_NEVER ? undefined : Number(SAMPLE_NEVER - threshold) / ALL;
}

/** How many connections a span with this threshold stands for; undefined for one that stands for itself only. */
export function adjustedCount(threshold: bigint): number | undefined {
  const probability = probabilityOf(threshold);
  return probability === undefined ? undefined : 1 / probability;
}

/** Of the thresholds in use: that of the probability, and 0. */
const states = new Map<bigint, string | undefined>();
const STATES_MAX = 64;

/** `ot=th:c` for a quarter, `ot=th:0` for all; undefined where the probability is not known. */
export function traceStateOf(threshold: bigint): string | undefined {
  const known = states.get(threshold);
  if (known !== undefined) return known;
  if (states.size >= STATES_MAX) states.clear();
  const state = writtenState(threshold);
  states.set(threshold, state);
  return state;
}

function writtenState(threshold: bigint): string | undefined {
  if (threshold >= SAMPLE_NEVER) return undefined;
  const digits = threshold.toString(16).padStart(HEX_DIGITS, "0").replace(/0+$/, "");
  return `ot=th:${digits === "" ? "0" : digits}`;
}

/** The randomness of a trace: the low 56 bits of its id. @param traceId 32 hex digits */
export function randomnessOf(traceId: string): bigint {
  return BigInt(`0x${traceId.slice(-HEX_DIGITS)}`);
}
