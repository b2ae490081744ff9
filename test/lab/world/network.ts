/**
 * Builds the planned network: namespaces, links, addresses, routes and packet filters, with few processes.
 *
 * Everything is made inside namespaces of the lab's own, so that deleting those is the whole teardown
 * (leftovers.ts) and the machine's own network is never touched.
 */

import { basename } from "node:path";
import { run } from "../programs/run.ts";
import type { Description } from "./describe.ts";
import { nodeRules } from "./iptables.ts";
import { type NetworkPlan, networkPlan, nodeNamespace } from "./network-plan.ts";

export async function buildNetwork(lab: string, description: Description): Promise<NetworkPlan> {
  const plan = networkPlan(lab, description);
  await run(["ip", "-batch", "-"], lines(plan.create));
  // -e: a kernel without one of these keys has no need of it.
  await Promise.all(
    plan.namespaces.map(({ name, sysctls }) =>
      run(["ip", "netns", "exec", name, "sysctl", "-e", "-q", "-w", ...sysctls]),
    ),
  );
  await run(["ip", "-batch", "-"], lines(plan.links));
  await Promise.all([
    ...plan.namespaces.map(({ name, setUp }) => run(["ip", "-n", name, "-batch", "-"], lines(setUp))),
    ...description.nodes.flatMap(({ name }) => {
      const enter = ["ip", "netns", "exec", nodeNamespace(lab, name)];
      return [
        run([...enter, "iptables-restore", "-w"], nodeRules(description, "v4")),
        run([...enter, "ip6tables-restore", "-w"], nodeRules(description, "v6")),
      ];
    }),
  ]);
  return plan;
}

export function lines(commands: readonly string[]): string {
  return `${commands.join("\n")}\n`;
}

export function namespaceFile(name: string): string {
  return `/var/run/netns/${name}`;
}

/** Lets 198.18.0.0/24 be the place's own addresses, each an edge of its own: those of 127.0.0.0/8 are one to flowspan. */
export function ownManyAddresses({ netns }: { readonly netns: string }): Promise<string> {
  return run(["ip", "-n", basename(netns), "route", "add", "local", "198.18.0.0/24", "dev", "lo"]);
}
