/**
 * Random programs of socket calls (test/torture/) under a real probe and a real agent: what a Collector holds of each, spans
 * and series, must equal the program's own count, the wire and the kernel's books. `make torture THROUGH=agent` runs more.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../machine/needs.ts";
import { AgentBench } from "./agent-bench.ts";
import { type Heard, resultOf } from "./agent-result.ts";
import { AGENT_UPHEAVALS, type AgentUpheaval } from "./agent-upheavals.ts";
import { wrongPoints, wrongSpans } from "./agent-wrong.ts";
import { failuresOf } from "./judge.ts";
import { PLAIN } from "./plain.ts";
import { playSample, SEED } from "./sample.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const BATCHES = 2;
const AT_ONCE = 31;
/** Those while programs run belong to `make torture`: they need luck to be the same again. */
const UPHEAVALS = AGENT_UPHEAVALS.filter((name) => !name.endsWith("-amid"));

let bench: AgentBench;

beforeAll(async () => {
  if (missing(...NEEDS) === undefined) bench = await AgentBench.start();
});

afterAll(() => bench?.close());

test("of all that a Collector holds, nothing can be wrong unnoticed but what has no second count", async () => {
  // The first batch has one agent, whose coverage is of all that happened.
  const heard = await bench.perform([PLAIN], "none");
  expect(differ(heard)).toEqual([]);

  const unnoticed = [...wrongSpans(heard), ...wrongPoints(heard)]
    .filter(({ heard }) => differ(heard).length === 0)
    .map(({ what }) => what);

  expect(unnoticed).toEqual([]);
});

test(`${BATCHES * AT_ONCE} random programs of seed ${SEED} are at the Collector as they were`, async () => {
  const failures = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const upheaval = UPHEAVALS[(SEED + batch) % UPHEAVALS.length] as AgentUpheaval;
    failures.push(...(await playSample(bench, { from: batch * AT_ONCE, count: AT_ONCE }, upheaval, 1)));
  }

  expect(failures).toEqual([]);
});

function differ(heard: Heard) {
  return failuresOf({ ...resultOf(heard), hidden: 0 }, bench.known).flatMap(({ differences }) => differences);
}
