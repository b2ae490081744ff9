/**
 * A probe that starts where another one counts, or has counted: of its own protocol it goes on with what is there,
 * another one's it ends and removes, so that no program counts on for nobody.
 */
import { existsSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import { FLOWSPAN_PROTOCOL } from "../../agent/generated/layout.ts";
import { NodeAgent } from "../lab/agents/agents.ts";
import type { LabProcess } from "../lab/programs/process.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "build"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let node: NodeAgent;

beforeEach(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "client" }] }));
  node = new NodeAgent(lab, "node-1", { endpoint: "" });
});

afterEach(async () => {
  await node?.stop();
  await lab?.close();
});

for (const [which, protocol] of Object.entries({ older: FLOWSPAN_PROTOCOL - 1, newer: FLOWSPAN_PROTOCOL + 1 })) {
  test(`the probe of ${which === "older" ? "an older" : "a newer"} protocol ends, and its pins and programs are gone`, async () => {
    const before = await node.startProbe();
    const other = join(node.pins, `v${protocol}`);
    renameSync(join(node.pins, `v${FLOWSPAN_PROTOCOL}`), other);
    const after = await node.startProbe();

    expect((await before.ended).code).toBe(0);
    expect(existsSync(other)).toBe(false);
    expect(readdirSync(node.pins)).toEqual([`v${FLOWSPAN_PROTOCOL}`]);
    expect(said(after, `v${protocol}: removed, a flowspan-probe's of another protocol than this one's`)).toHaveLength(
      1,
    );
    expect(said(after, `started: generation 1,`)).toHaveLength(1);
  });
}

test("--unpin ends a probe of a newer protocol, too", async () => {
  const before = await node.startProbe();
  renameSync(join(node.pins, `v${FLOWSPAN_PROTOCOL}`), join(node.pins, `v${FLOWSPAN_PROTOCOL + 1}`));

  await node.unpin();

  expect((await before.ended).code).toBe(0);
  expect(existsSync(node.pins)).toBe(false);
});

test("a probe of the same protocol takes over, and the one before it ends", async () => {
  const before = await node.startProbe();
  const after = await node.startProbe();

  expect((await before.ended).code).toBe(0);
  expect(said(after, "took over: generation 2,")).toHaveLength(1);
  const links = readdirSync(join(node.pins, `v${FLOWSPAN_PROTOCOL}`)).filter((name) => name.startsWith("links-"));
  expect(links).toEqual(["links-2"]);
});

test("a probe that is told to end without an agent ends at once", async () => {
  const probe = await node.startProbe();

  await probe.stop("SIGTERM");

  expect((await probe.ended).code).toBe(0);
  expect(said(probe, "Terminated: ending")).toHaveLength(1);
});

function said(probe: LabProcess, words: string): string[] {
  return probe.stderr.filter((line) => line.includes(words));
}
