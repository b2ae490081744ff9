/**
 * Another version of probe and agent takes the place of the one that runs, and goes again, as DaemonSets do it: a pod ends before the next
 * one starts, and of probe and agent one kind after the other. Within a protocol nothing is lost under traffic. Across protocols the two of
 * different versions say so and lose nothing, and what goes with a probe's pins is what nobody had exported.
 *
 * The other protocol is this tree's, raised by one. The other version of the same protocol is an older commit, or this tree's sources
 * under another number where the history is not there.
 */
import { beforeAll, describe, expect, onTestFinished } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../../agent/generated/layout.ts";
import { missing, needs } from "../../machine/needs.ts";
import type { Build, NodeAgent } from "../agents/agents.ts";
import { type EndSum, ObservedLab } from "../agents/observed.ts";
import { buildOf, editedBuild } from "../agents/other-build.ts";
import { ReturningReceiver } from "../agents/returning-receiver.ts";
import { A_WHILE, exactThrough } from "../agents/trouble.ts";
import type { LabProcess } from "../programs/process.ts";
import { eventually } from "../programs/process.ts";
import { twoPods } from "../world/describe.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build", "compiler"] as const;
const test = needs(...NEEDS);
/** Pinned maps of this protocol, in the shape that they have now: an older commit of this protocol has it, too. */
const OLDER_COMMIT = "726abb471b779da0d3403dc9283bde0bad2c459f";
const NEXT = FLOWSPAN_PROTOCOL + 1;
const BUILD_MS = 300_000;
/** Six starts of a probe, each of seconds of CPU. */
const TEST_MS = 300_000;

let older: Build;
let next: Build;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  const version = { "package.json": [[/"version": "[^"]+"/, '"version": "0.0.9"']] } as const;
  older = (await buildOf(OLDER_COMMIT)) ?? (await editedBuild("older", version));
  next = await editedBuild("next-protocol", {
    "bpf/contract/contract.h": [[/#define FLOWSPAN_PROTOCOL \d+/, `#define FLOWSPAN_PROTOCOL ${NEXT}`]],
    "agent/generated/layout.ts": [[/FLOWSPAN_PROTOCOL = \d+/, `FLOWSPAN_PROTOCOL = ${NEXT}`]],
  });
}, BUILD_MS);

/** As a DaemonSet on each node: ends the pod, then starts the other version's. */
async function roll(
  agents: readonly NodeAgent[],
  kind: "probe" | "agent",
  build: Build | undefined,
  between: () => Promise<unknown> = async () => {},
): Promise<void> {
  await Promise.all(agents.map((agent) => agent[kind].stop("SIGTERM")));
  await between();
  const start = (agent: NodeAgent) => {
    agent.build = build;
    return kind === "probe" ? agent.startProbe() : agent.startAgent();
  };
  await Promise.all(agents.map(start));
}

test(
  "sums stay exact from an older version to this one, probes before agents, and back, agents before probes",
  async () => {
    const told: LabProcess[] = [];
    await exactThrough(
      await ReturningReceiver.start(),
      async ({ agents, traffic }) => {
        const change = async (kind: "probe" | "agent", build: Build | undefined) => {
          await roll(agents, kind, build, () => traffic.more(A_WHILE));
          await traffic.more(A_WHILE);
        };
        await change("probe", undefined);
        await change("agent", undefined);
        await change("agent", older);
        await change("probe", older);
        told.push(...agents.flatMap(({ probes }) => probes));
      },
      { build: older },
    );

    const starts = told.map((probe) => /(?:started|took over): generation \d/.exec(probe.stderr.join("\n"))?.[0]);
    const each = ["started: generation 1", "took over: generation 2", "took over: generation 3"];
    expect(starts).toEqual([...each, ...each]);
  },
  TEST_MS,
);

describe("from one protocol to the next and back", () => {
  // A prime: no other count matches it by luck.
  const CONNECTIONS = 23;
  const UPLOAD = 1013;
  const DOWNLOAD = 7001;

  let observed: ObservedLab;
  let nodes: readonly NodeAgent[];

  async function start(): Promise<void> {
    observed = await ObservedLab.start(twoPods());
    onTestFinished(() => observed.close());
    await observed.watch();
    nodes = ["node-1", "node-2"].map((name) => observed.agent(name));
    await observed.lab.pod("server").serve({ listen: [{ port: 8080 }] });
  }

  /** Connections that open, move and close. */
  async function play(): Promise<void> {
    const to = [{ address: observed.lab.pod("server").ips.v4, port: 8080 }];
    await observed.lab.pod("client").play("send", { to, count: CONNECTIONS, upload: UPLOAD, download: DOWNLOAD });
  }

  /** Waits until this many turns of play() are told, and expects that no more are. */
  async function told(turns: number): Promise<void> {
    const count = turns * CONNECTIONS;
    const both = { opened: count, closed: count, open: 0, failed: 0, handshakes: count, durations: count };
    const client: EndSum = { ...both, bytesSent: count * UPLOAD, bytesReceived: count * DOWNLOAD };
    const server: EndSum = { ...both, bytesSent: client.bytesReceived, bytesReceived: client.bytesSent };
    await observed.settled(`${turns} turns`, () => {
      const ends = observed.ends();
      return ends.client.closed >= count && ends.server.closed >= count;
    });
    expect(observed.ends()).toEqual({ client, server });
  }

  /** Waits until the agent of each node has refused its probe. */
  async function refused(probe: number, agent: number, remedy: string): Promise<void> {
    const words = `the probe speaks protocol ${probe}, this agent ${agent}: upgrade ${remedy}`;
    await Promise.all(
      nodes.map((node) =>
        eventually(
          () => `"${words}" from ${node.node}: ${node.agent.describe()}`,
          () => node.agent.stderr.some((line) => line.includes(words)),
          30_000,
        ),
      ),
    );
  }

  /** What each node's probe has said of another protocol's pins. */
  const removals = () =>
    nodes.map(({ probe }) => /\/v(\d+): removed, a flowspan-probe's.*is gone/.exec(probe.stderr.join("\n"))?.[1]);

  test(
    "the probes first: agents name the versions and what to upgrade, and what is counted meanwhile arrives with the next ones",
    async () => {
      await start();
      await play();
      await told(1);

      await roll(nodes, "probe", next);
      expect(removals()).toEqual([String(FLOWSPAN_PROTOCOL), String(FLOWSPAN_PROTOCOL)]);
      await refused(NEXT, FLOWSPAN_PROTOCOL, "the flowspan agent");
      await play();
      await roll(nodes, "agent", next);
      await told(2);

      await roll(nodes, "probe", undefined);
      expect(removals()).toEqual([String(NEXT), String(NEXT)]);
      await refused(FLOWSPAN_PROTOCOL, NEXT, "flowspan-probe");
      await play();
      await roll(nodes, "agent", undefined);
      await told(3);
      expect(observed.losses()).toEqual({});
    },
    TEST_MS,
  );

  test(
    "the agents first: exactly what the former probes count meanwhile is gone, and the probes' log says so",
    async () => {
      await start();
      await play();
      await told(1);

      await roll(nodes, "agent", next);
      await refused(FLOWSPAN_PROTOCOL, NEXT, "flowspan-probe");
      await play(); // for nobody
      await roll(nodes, "probe", next);
      expect(removals()).toEqual([String(FLOWSPAN_PROTOCOL), String(FLOWSPAN_PROTOCOL)]);
      await play();
      await told(2);
    },
    TEST_MS,
  );
});
