/**
 * Runs beside every test file that shares the kernel: counts the state changes that this machine's kernel may
 * have hidden from BPF meanwhile, and leaves the number for scripts/test in build/results/hidden.txt.
 */
import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { missing } from "./needs.ts";
import { startWitness, type Witness } from "./witness.ts";

const RESULTS = join(import.meta.dirname, "../../build/results");

let witness: Witness | undefined;

beforeAll(() => {
  if (missing("root", "btf") === undefined && existsSync(RESULTS)) witness = startWitness();
});

afterAll(() => {
  const hidden = witness?.stop() ?? 0;
  if (hidden > 0) appendFileSync(join(RESULTS, "hidden.txt"), `${hidden} ${expect.getState().testPath}\n`);
});
