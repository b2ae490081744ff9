/**
 * The process of a SERVER span where several listen on one port: by address, by family, by SO_REUSEPORT, and through
 * MPTCP. It is the one that called listen() on the socket that the connection came to;
 * of a listener that is older than the probe, one that holds it.
 *
 *   client ── two servers on one pod, a probe and an agent on the node
 */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { ATTR_FLOWSPAN_TASK_NAME, ATTR_FLOWSPAN_TASK_PID } from "../../../agent/generated/semconv.ts";
import { needs } from "../../machine/needs.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { counted, inSpanLab, type SpanLab } from "../agents/span-lab.ts";
import type { Listener, Workload } from "../programs/workload.ts";
import { describe } from "../world/describe.ts";
import type { Lab } from "../world/lab.ts";

const test = needs("root", "btf", "cgroup2", "iptables", "build");
const PORT = 7901;
// Primes, so that one server's number cannot pass for the other's.
const FIRST = 23;
const SECOND = 7;

interface Case {
  readonly what: string;
  readonly first: Partial<Listener>;
  readonly second: Partial<Listener>;
  /** Where clients reach each. */
  readonly to: readonly [string, string];
}

const CASES: Case[] = [
  {
    what: "addresses",
    first: { address: "127.0.0.53" },
    second: { address: "127.0.0.54" },
    to: ["127.0.0.53", "127.0.0.54"],
  },
  {
    what: "families",
    first: { address: "0.0.0.0" },
    second: { address: "::", v6Only: true },
    to: ["127.0.0.1", "::1"],
  },
  {
    what: "TCP and MPTCP",
    first: { address: "127.0.0.53" },
    second: { address: "127.0.0.54", mptcp: true },
    to: ["127.0.0.53", "127.0.0.54"],
  },
  // The kernel chooses for each connection.
  {
    what: "SO_REUSEPORT",
    first: { address: "::", reusePort: true },
    second: { address: "::", reusePort: true },
    to: ["127.0.0.1", "::1"],
  },
];

for (const age of ["younger", "older"] as const)
  for (const { what, first, second, to } of CASES)
    test(`servers ${age} than the probe that share a port by ${what} are told apart`, async () => {
      const servers: Workload[] = [];
      const serve = async (lab: Lab) => {
        for (const each of [first, second])
          servers.push(await lab.pod("pod").serve({ listen: [{ port: PORT, ...each }], workers: 1 }));
      };
      const description = describe({ nodes: 1, pods: [{ key: "pod" }] });
      await inSpanLab({ description, before: age === "older" ? serve : async () => {} }, async (spanLab) => {
        if (age === "younger") await serve(spanLab.lab);

        await play(spanLab, to[0], FIRST);
        await play(spanLab, to[1], SECOND);
        await spanLab.settled(2 * (FIRST + SECOND));

        const accepted = await Promise.all(servers.map((server) => server.counts()));
        const spans = counted(ofServers(spanLab).map((span) => `server ${ownerOf(span, servers)}`));
        expect(spans).toEqual({ "server 0": accepted[0]?.opened, "server 1": accepted[1]?.opened });
        expect(accepted.map(({ opened }) => opened).reduce((a, b) => a + b)).toBe(FIRST + SECOND);
        expect(spanLab.observed.losses()).toEqual({});
      });
    });

function play(spanLab: SpanLab, address: string, count: number) {
  return spanLab.lab.pod("pod").play("send", { to: [{ address, port: PORT }], count });
}

function ofServers({ spans }: SpanLab): ReceivedSpan[] {
  return spans.filter(({ kind }) => kind === "server");
}

/** Which of the servers the span's process is, or is a worker of. */
function ownerOf({ attributes }: ReceivedSpan, servers: readonly Workload[]): number {
  const pid = Number(attributes[ATTR_FLOWSPAN_TASK_PID]);
  expect(attributes[ATTR_FLOWSPAN_TASK_NAME]).toBe("workload");
  const [, parent] = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return servers.findIndex(({ process }) => process.pid === pid || process.pid === Number(parent));
}
