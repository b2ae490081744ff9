/**
 * Where the probe keeps what it knows of sockets on this machine (ARCHITECTURE.md, "Socket storage"): the kernel says, or
 * FLOWSPAN_SOCKETS, which every probe of a test inherits.
 */
import { spawnSync } from "node:child_process";
import { PROBE } from "../lab/programs/run.ts";

/** Variables that make a probe keep it in one of the ways. */
export type StorageEnv = Readonly<Record<string, string>>;

/** Whether it lies in the sockets themselves, not by their addresses. */
export function keepsInSockets(): boolean {
  const { stdout } = spawnSync(PROBE, ["--check"], { encoding: "utf8" });
  return JSON.parse(stdout).iterators.bpf_sk_storage_map === true;
}

/** Both ways, unless the kernel refuses one or it is forced. */
export function storagesHere(): StorageEnv[] {
  const byAddress = { FLOWSPAN_SOCKETS: "by-address" };
  return keepsInSockets() ? [{}, byAddress] : [byAddress];
}
