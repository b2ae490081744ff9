/**
 * A probe that somebody has taken over, or is none, sends an agent as much of each kind as the agent takes: what the agent holds
 * of it is bounded, and it lives.
 */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Frame } from "../../../agent/source/frames.ts";
import { startAgent } from "../../hostile/agent-process.ts";
import { watchAnonymousMemory } from "../../hostile/anonymous-memory.ts";
import { FRAMES_OF, nextExchange, sendAll } from "../../hostile/probe-stream.ts";
import { ALLOWED_MIB } from "../../hostile/recordings.ts";
import { FakeProbe } from "../source/fake-probe.ts";

const EXCHANGES = 3n;

/** Of each kind: how many in an exchange, and whether the agent takes so many. */
const ATTACKS: readonly [string, number, "taken" | "refused", (i: number, exchange: bigint) => Frame][] = [
  ["edges of as many addresses", 65_536, "taken", FRAMES_OF.edges],
  ["edges as a HELLO of a million allows", 400_000, "refused", FRAMES_OF.edges],
  ["evidence", 65_536, "taken", FRAMES_OF.evidence],
  ["net namespaces", 16_384, "taken", FRAMES_OF.namespaces],
  ["net namespaces without end", 65_536, "refused", FRAMES_OF.namespaces],
  ["cgroups with the longest names, others each time", 8_192, "taken", FRAMES_OF.cgroups],
];

test.each(ATTACKS)(
  "%s, %i in each exchange, are %s, and the agent stays below 256 MiB",
  async (what, count, outcome, make) => {
    const probe = await new FakeProbe().listen();
    onTestFinished(() => probe.close());
    for (const path of [join(probe.path, ".."), probe.path]) chmodSync(path, 0o777);
    const agent = startAgent(["--probe-socket", probe.path, "--endpoint", "http://127.0.0.1:1", "--kubernetes", "off"]);
    const peak = watchAnonymousMemory(agent);
    let said = 0;
    let refused = false;
    const connection = await probe.welcome({ edgeCapacity: 1_000_000 });

    void connection.closed().then(() => {
      refused = true;
    });
    for (let exchange = 1n; exchange <= EXCHANGES && !refused; exchange++) {
      if ((await nextExchange(connection, () => refused)) === "closed") break;
      said = await sendAll(connection, exchange, count, make, () => refused);
    }
    if (!refused) await nextExchange(connection, () => refused);

    console.log(`${what}: ${peak()} MiB anonymous at most, ${said} sent in the last exchange`);
    expect({ refused, exit: agent.exitCode }).toEqual({ refused: outcome === "refused", exit: null });
    expect(peak()).toBeGreaterThan(20);
    expect(peak()).toBeLessThanOrEqual(ALLOWED_MIB);
  },
  120_000,
);
