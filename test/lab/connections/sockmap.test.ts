/**
 * Sockets in a BPF sockmap: what their program hands from one to the other goes around TCP and is in none of the
 * kernel's counters. It must not look like a quiet network.
 *
 *   one pod: both ends over loopback, a probe and an agent
 */
import { afterAll, beforeAll, expect } from "vitest";
import { ATTR_FLOWSPAN_TCP_SOCKMAP, ATTR_SERVER_PORT } from "../../../agent/generated/semconv.ts";
import { missing, needs } from "../../machine/needs.ts";
import { counted, SpanLab } from "../agents/span-lab.ts";
import { eventually } from "../programs/process.ts";
import { program } from "../programs/run.ts";
import { describe } from "../world/describe.ts";

const COUNT = 23;
const ROUNDS = 7;
const BYTES = 1009;
const TOTAL = COUNT * ROUNDS * BYTES;

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let spanLab: SpanLab;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  spanLab = await SpanLab.start({ description: describe({ nodes: 1, pods: [{ key: "pod" }] }) });
  await spanLab.observed.exchanges(2);
});

afterAll(() => spanLab?.close());

const WAYS = [
  ["that close within microseconds", 7981, "close"],
  ["of which one end is reset", 7982, "reset"],
] as const;

for (const [what, port, way] of WAYS)
  test(`connections ${what} are a loss by name, and their spans say so`, async () => {
    const before = lost();

    const { code } = await spanLab.lab.pod("pod").exec(sockmap(port, COUNT, way));
    await spanLab.closed(COUNT);

    // Of the end that closes first, which the kernel takes out before, only what a walk happened to find.
    const { client = 0, server } = marked(port);
    expect([code, server, lost() - before]).toEqual([0, COUNT, COUNT + client]);
    expect(client).toBeLessThan(COUNT);
    expect(bytes(port)).toEqual({ client: 0, server: 0 });
  });

test("connections that stay open are known at both ends, by a look", async () => {
  const before = lost();

  const held = spanLab.lab.pod("pod").spawn(sockmap(7983, 1, "stay"));
  await eventually("all rounds", () => held.stdout.length > 0);
  await spanLab.observed.exchanges(2);
  const seen = lost() - before;
  await held.stop();
  await spanLab.closed(1);

  expect([seen, lost() - before, marked(7983)]).toEqual([2, 2, { client: 1, server: 1 }]);
});

test("the same program in no map loses nothing, and its bytes are counted", async () => {
  const before = lost();

  await spanLab.lab.pod("pod").exec(sockmap(7984, COUNT, "plain"));
  await spanLab.closed(COUNT);

  expect([lost() - before, marked(7984)]).toEqual([0, {}]);
  expect(bytes(7984)).toEqual({ client: TOTAL, server: TOTAL });
  expect(Object.keys(spanLab.observed.losses())).toEqual(["sockmap_bypass"]);
});

function sockmap(port: number, count: number, way: string): string[] {
  return [program("sockmap"), ...[port, count, ROUNDS, BYTES].map(String), way];
}

function lost(): number {
  return spanLab.observed.losses().sockmap_bypass ?? 0;
}

/** How many spans of each end say that the socket was in a map. */
function marked(port: number): Record<string, number> {
  const spans = spanLab.spans.filter(({ attributes }) => attributes[ATTR_SERVER_PORT] === port);
  return counted(spans.filter(({ attributes }) => attributes[ATTR_FLOWSPAN_TCP_SOCKMAP]).map(({ kind }) => kind));
}

/** Sent, as the metrics have it. */
function bytes(port: number): { readonly client: number; readonly server: number } {
  const { client, server } = spanLab.observed.ends({ [ATTR_SERVER_PORT]: port });
  return { client: client.bytesSent, server: server.bytesSent };
}
