/**
 * Whose records and edges are: a socket is of the group in which it was made, an accepted one of its listener's
 * (docs/telemetry.md, "Whose a server's connections are").
 */
import type { Connection } from "../../agent/model/connection-record.ts";
import type { EdgeSum } from "../lab/agents/tally.ts";
import type { Context } from "./compare-ends.ts";
import type { ExpectedEnd } from "./oracle.ts";
import type { Trace } from "./trace.ts";
import type { Uses } from "./uses.ts";

export function compareCgroup(
  name: string,
  { role, use, conversation }: ExpectedEnd,
  { key }: Connection,
  { trace, uses, said }: Context,
): void {
  const letters = use?.cgroups ?? (role === "server" ? listenersOf(uses, conversation?.server.port) : []);
  if (letters.length > 0 && !isOneOf(key.cgroup, letters, trace))
    said.add("cgroup", `${name}: it is of cgroup ${key.cgroup}, must be of ${describe(letters, trace)}`);
}

/** Edges without a record, too: listeners, and SYN-ACKs that nobody answered. */
export function compareEdgeCgroups(edges: readonly EdgeSum[], { trace, uses, said }: Context): void {
  for (const { key } of edges) {
    const { role, serverPort, cgroup } = key;
    const users = uses.uses.filter((use) => (use.role === role || use.restored > 0) && portOf(use) === serverPort);
    const letters = [
      ...users.flatMap(({ cgroups }) => cgroups),
      ...(role === "client" ? [] : listenersOf(uses, serverPort)),
    ];
    if (!isOneOf(cgroup, letters, trace))
      said.add(
        "cgroup",
        `an edge of ${role} ${serverPort} is of cgroup ${cgroup}, must be of ${describe(letters, trace)}`,
      );
  }
}

function portOf({ role, local, remote }: Uses["uses"][number]): number | undefined {
  return role === "client" ? remote.port : local?.port;
}

function listenersOf({ listening }: Uses, at: number | undefined): string[] {
  return listening.filter(({ port }) => port === at).map(({ cgroup }) => cgroup);
}

function isOneOf(cgroup: bigint, letters: readonly string[], { cgroups }: Trace): boolean {
  return letters.some((letter) => cgroups[letter] === cgroup);
}

function describe(letters: readonly string[], { cgroups }: Trace): string {
  const names = [...new Set(letters)].map((letter) => `${cgroups[letter]} (${letter})`);
  return names.join(" or ") || "none";
}
