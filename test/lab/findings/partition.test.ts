/**
 * A network that loses all between two nodes is a partition at both of them, and nothing else: both ways, one way, all links of
 * one node, and a wire without ARP. Each is found within 30 s of real time, with the shipped thresholds, and ends when the network heals.
 *
 *   node-1, node-2, node-3: on each a client and two servers; each client talks to the servers of both other nodes
 */
import { performance } from "node:perf_hooks";
import { beforeAll, expect } from "vitest";
import {
  ATTR_FLOWSPAN_PARTITION_KIND,
  ATTR_FLOWSPAN_PARTITION_NODES,
  ATTR_FLOWSPAN_PEER_K8S_NODE_NAME,
  ATTR_K8S_NODE_NAME,
} from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { FindingWatch } from "../agents/finding-watch.ts";
import { describe } from "../world/describe.ts";
import type { Fault } from "../world/faults.ts";
import { foundLab, TIMEOUT_MS } from "./found-lab.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

/** TCP's timers know no compressed time, so neither does the threshold: an agent's 10 s are 10 s here, too. */
const FOUND_WITHIN_MS = 30_000;
const PORT = 8080;
const NODES = ["node-1", "node-2", "node-3"] as const;
type Node = (typeof NODES)[number];

const lab = foundLab<string>(
  NEEDS,
  describe({
    nodes: NODES.length,
    pods: NODES.flatMap((node) => ["client", "first", "second"].map((name) => ({ key: `${name}-${node}`, node }))),
  }),
  [],
  ({ pod }) => Promise.all(NODES.flatMap(serversOf).map((key) => pod(key).serve({ listen: [{ port: PORT }] }))),
);

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  for (const node of NODES) {
    const client = lab.pod(`client-${node}`);
    const others = NODES.filter((other) => other !== node).flatMap(serversOf);
    const to = others.flatMap((key) => lab.to(key, PORT));
    client.start("send", { to, count: 0, parallel: 8, paceMs: 100, cancelMs: 3_000, upload: 2003, download: 1009 });
    client.start("hold", { to, count: 2 * to.length, everyMs: 200 });
  }
  await lab.observed.exchanges(3);
}, TIMEOUT_MS);

function serversOf(node: Node): string[] {
  return [`first-${node}`, `second-${node}`];
}

/** What an agent says of a partition. */
interface Said {
  /** Whose agent. */
  readonly by: Node;
  /** Undefined: this node is cut off from several. */
  readonly towards: Node | undefined;
  readonly kind: "unreachable" | "one_way";
  readonly nodes: number;
}

interface Case {
  readonly what: string;
  faults(): Promise<readonly Fault[]>;
  readonly said: readonly Said[];
}

async function cut(...ways: readonly (readonly [Node, Node])[]): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  for (const [from, to] of ways) faults.push(await lab.observed.lab.cut(from, to));
  return faults;
}

const CASES: readonly Case[] = [
  {
    what: "a network that is cut both ways between two of three nodes",
    faults: () => cut(["node-1", "node-2"], ["node-2", "node-1"]),
    said: [
      { by: "node-1", towards: "node-2", kind: "unreachable", nodes: 1 },
      { by: "node-2", towards: "node-1", kind: "unreachable", nodes: 1 },
    ],
  },
  {
    what: "a network that is cut one way",
    faults: () => cut(["node-1", "node-2"]),
    said: [
      { by: "node-1", towards: "node-2", kind: "one_way", nodes: 1 },
      { by: "node-2", towards: "node-1", kind: "unreachable", nodes: 1 },
    ],
  },
  {
    what: "a node of which all links are cut",
    faults: () => cut(["node-1", "node-3"], ["node-3", "node-1"], ["node-2", "node-3"], ["node-3", "node-2"]),
    said: [
      { by: "node-1", towards: "node-3", kind: "unreachable", nodes: 1 },
      { by: "node-2", towards: "node-3", kind: "unreachable", nodes: 1 },
      { by: "node-3", towards: undefined, kind: "unreachable", nodes: 2 },
    ],
  },
  {
    what: "a wire on which no ARP request is answered",
    faults: async () => [await lab.observed.lab.mute("node-1", "node-2")],
    said: [
      { by: "node-1", towards: "node-2", kind: "unreachable", nodes: 1 },
      { by: "node-2", towards: "node-1", kind: "unreachable", nodes: 1 },
    ],
  },
];

for (const { what, faults, said } of CASES) {
  test(
    `${what} is found within 30 s as a partition and no other finding, at each end as that end sees it, until it heals`,
    async () => {
      const watch = new FindingWatch(lab.observed);
      const startMs = performance.now();

      const made = await faults();
      await watch.until("all starts", () => watch.starts("partition").length >= said.length);
      const foundMs = performance.now() - startMs;
      await lab.observed.exchanges(3);
      const goesOn = watch.ends("partition").length;
      for (const fault of made) await fault.remove();
      await watch.over();

      expect(saidOf(watch)).toEqual(said);
      expect(goesOn).toBe(0);
      expect(foundMs).toBeLessThan(FOUND_WITHIN_MS);
      expect(watch.names).toEqual(["partition"]);
    },
    TIMEOUT_MS,
  );
}

/** By the agent's node. */
function saidOf(watch: FindingWatch): Said[] {
  return watch
    .starts("partition")
    .map(({ attributes, resource }) => ({
      by: resource[ATTR_K8S_NODE_NAME] as Node,
      towards: attributes[ATTR_FLOWSPAN_PEER_K8S_NODE_NAME] as Node | undefined,
      kind: attributes[ATTR_FLOWSPAN_PARTITION_KIND] as Said["kind"],
      nodes: Number(attributes[ATTR_FLOWSPAN_PARTITION_NODES]),
    }))
    .sort((a, b) => a.by.localeCompare(b.by));
}
