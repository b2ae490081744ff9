/**
 * Five suites by what they need: nothing (unit), root and BTF (kernel), the cluster in a box (lab), settings of the whole
 * machine (alone), real components (e2e). All but the first share one kernel. What is alone is a part of the suite lab
 * (scripts/test).
 *
 * Files of the lab and of e2e mostly wait for intervals, so two run at once: each has labs, pins, cgroups and ports of its
 * own. What the machine hid from BPF meanwhile (test/machine/hidden.ts) counts for both. Files of the kernel suite run one by
 * one: the longest of them uses all cores. A file that changes what no namespace has of its own, or whose exact counts do not
 * bear other work on the cores, is named `*.alone.test.ts`.
 */
import { defineConfig } from "vitest/config";

/** As of test/lab/programs/process.ts. */
const PATIENCE = Number(process.env.FLOWSPAN_PATIENCE ?? 1);
const ALONE = "test/**/*.alone.test.ts";

const sharesTheKernel = (
  name: string,
  order: number,
  timeoutMs: number,
  atOnce: number,
  include: readonly string[],
) => ({
  extends: true as const,
  test: {
    name,
    include: [...include],
    exclude: name === "alone" ? [] : [ALONE],
    setupFiles: ["test/machine/hidden.ts"],
    maxWorkers: atOnce,
    sequence: { groupOrder: order },
    testTimeout: timeoutMs * PATIENCE,
    hookTimeout: timeoutMs * PATIENCE,
  },
});

const below = (...folders: readonly string[]) => folders.map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    pool: "forks",
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: below("unit"),
          sequence: { groupOrder: 0 },
          // Deadlines are for what hangs: a machine that does much else makes seconds of a test long.
          testTimeout: 60_000,
          expect: { poll: { timeout: 30_000 } },
        },
      },
      sharesTheKernel("kernel", 1, 60_000, 1, below("kernel")),
      sharesTheKernel("lab", 2, 120_000, 2, below("lab", "torture", "accuracy", "bench")),
      sharesTheKernel("alone", 3, 120_000, 1, [ALONE]),
      sharesTheKernel("e2e", 4, 180_000, 2, below("e2e")),
    ],
  },
});
