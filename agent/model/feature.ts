/** What a probe's HELLO says of its kernel: `enum feature` of bpf/contract/frames.h, a bit each. */
import { Feature } from "../generated/layout.ts";
import type { SocketStorage } from "./probe-memory.ts";

export function hasFeature(features: bigint, feature: keyof typeof Feature): boolean {
  return ((features >> BigInt(Feature[feature])) & 1n) === 1n;
}

/** @param features undefined while no probe has said; then as most kernels have it */
export function socketStorageOf(features: bigint | undefined): SocketStorage {
  const isInSocket = features === undefined || hasFeature(features, "FEATURE_WALK_STORAGES");
  return isInSocket ? "in the socket" : "by address";
}
