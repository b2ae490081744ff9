/** What lies in the maps of a probe that keeps what it knows of sockets by their addresses. */
import { join } from "node:path";
import { FLOWSPAN_PROTOCOL } from "../../agent/generated/layout.ts";
import type { NodeAgent } from "../lab/agents/agents.ts";
import { run } from "../lab/programs/run.ts";

export const BY_ADDRESS = { FLOWSPAN_SOCKETS: "by-address" };
export const NOTHING_KEPT = { connections_by_address: 0, troubles_by_address: 0, interims_by_address: 0 };

/** How many lie in each map. */
export async function kept(probe: NodeAgent): Promise<Record<string, number>> {
  const counts = Object.keys(NOTHING_KEPT).map(async (name) => {
    const said = await run(["bpftool", "-j", "map", "dump", "pinned", join(probe.pins, `v${FLOWSPAN_PROTOCOL}`, name)]);
    return [name, (JSON.parse(said) as unknown[]).length] as const;
  });
  return Object.fromEntries(await Promise.all(counts));
}
