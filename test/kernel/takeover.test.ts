/**
 * A probe that starts where another one counts, or has counted: of its own protocol it goes on with what is there,
 * an older one's it ends and removes, so that no program counts on for nobody.
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

test("the probe of an older protocol ends, and its pins and programs are gone", async () => {
  const before = await node.startProbe();
  const older = join(node.pins, `v${FLOWSPAN_PROTOCOL - 1}`);
  renameSync(join(node.pins, `v${FLOWSPAN_PROTOCOL}`), older);
  const after = await node.startProbe();

  expect((await before.ended).code).toBe(0);
  expect(existsSync(older)).toBe(false);
  expect(readdirSync(node.pins)).toEqual([`v${FLOWSPAN_PROTOCOL}`]);
  expect(said(after, "removed, an older flowspan-probe's")).toHaveLength(1);
  expect(said(after, `started: generation 1,`)).toHaveLength(1);
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
