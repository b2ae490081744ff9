/**
 * Random programs of socket calls (test/torture/) under a real probe and a real agent: what a Collector holds of each, spans
 * and series, must equal the program's own count, the wire and the kernel's books. `make torture THROUGH=agent` runs more.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { missing, needs } from "../needs.ts";
import { AgentBench } from "../torture/agent-bench.ts";
import { type Heard, resultOf } from "../torture/agent-result.ts";
import { AGENT_UPHEAVALS, type AgentUpheaval } from "../torture/agent-upheavals.ts";
import { wrongPoints, wrongSpans } from "../torture/agent-wrong.ts";
import { generate } from "../torture/generate.ts";
import { failuresOf, judge } from "../torture/judge.ts";
import { SOUND_FEATURES } from "../torture/known.ts";
import { parseProgram, programSeed } from "../torture/program.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);
const SEED = Number(process.env.FLOWSPAN_SEED ?? Date.now() % 1_000_000);
const BATCHES = 2;
const AT_ONCE = 31;
/** Those while programs run belong to `make torture`: they need luck to be the same again. */
const UPHEAVALS = AGENT_UPHEAVALS.filter((name) => !name.endsWith("-amid"));

let bench: AgentBench;

beforeAll(async () => {
  if (missing(...NEEDS) === undefined) bench = await AgentBench.start();
});

afterAll(() => bench?.close());

/** One connection of each kind of end: in order, reset, refused, given up. */
const PLAIN = parseProgram(`
  b sock 0 4
  b bind 0 127.0.0.1 8000
  b listen 0 16
  a sock 1 4
  a connect 1 127.0.0.1 8000
  b accept 0 2
  a send 1 1009
  b recv 2 1009
  b send 2 23
  a recv 1 23
  a close 1
  b recv 2 1
  b close 2
  a sock 3 4 linger=0
  a connect 3 127.0.0.1 8000
  b accept 0 4
  a send 3 509
  a close 3
  b close 4
  a sock 5 4
  a connect 5 127.0.0.1 8001
`);

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
  console.log(`torture: FLOWSPAN_SEED=${SEED} repeats this; make torture THROUGH=agent SEED=${SEED} makes it small`);
  const failures = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    const programs = Array.from({ length: AT_ONCE }, (_, i) =>
      generate(programSeed(SEED, batch * AT_ONCE + i), SOUND_FEATURES),
    );
    const upheaval = UPHEAVALS[(SEED + batch) % UPHEAVALS.length] as AgentUpheaval;
    for (const { program, differences } of await judge(bench, programs, upheaval))
      failures.push({ upheaval, differences, program: program.join("\n") });
  }

  expect(failures).toEqual([]);
});

function differ(heard: Heard) {
  return failuresOf({ ...resultOf(heard), hidden: 0 }, bench.known).flatMap(({ differences }) => differences);
}
