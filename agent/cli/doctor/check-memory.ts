/**
 * What doctor says of the probe's memory: what its settings need, beside the machine's open sockets. Pure.
 *
 * The limit itself is that of the probe's container, which doctor does not see.
 */
import { probeMemory, type SocketStorage, socketsWithin } from "../../model/probe-memory.ts";
import { type Finding, ok } from "./finding.ts";

/** The limit that the manifests give the probe's container. */
export const SHIPPED_LIMIT_BYTES = 256 << 20;
/** What a limit should carry: `ss -s` counts those of a machine. */
const SOCKETS = 100_000;

const LOST: Readonly<Record<SocketStorage, string>> = {
  "in the socket":
    "beyond its limit the kernel ends the probe again and again; what is counted waits for one that has room",
  "by address": "beyond its limit new sockets are not counted (loss storage_failed), or the kernel ends the probe",
};

export function checkMemory(edges: number, storage: SocketStorage): Finding {
  const need = Math.ceil(probeMemory(edges, SOCKETS, storage) / (1 << 20));
  const sockets = socketsWithin(SHIPPED_LIMIT_BYTES, edges, storage);
  const name = "probe memory";
  const found = `room for ${number(edges)} edges and ${number(SOCKETS)} open sockets takes ${number(need)} MiB`;
  if (sockets >= SOCKETS)
    return ok(name, `${found}; the manifests' limit of 256 MiB carries ${number(sockets)} sockets`);
  return {
    name,
    state: "warn",
    found: `${found}; the manifests' limit of 256 MiB carries ${sockets === 0 ? "not even the edges" : `${number(sockets)} sockets`}`,
    lost: LOST[storage],
    remedy: `where the probe has a limit, set resources.limits.memory of its container to ${need}Mi, or lower probe.edges`,
  };
}

const number = (value: number): string => value.toLocaleString("en-US");
