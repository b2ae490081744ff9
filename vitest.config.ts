/**
 * Four suites by what they need: nothing (unit), root and BTF (kernel), the cluster in a box (lab), real
 * components (e2e). The last three share one kernel, so their files run one after the other.
 */
import { defineConfig } from "vitest/config";

const sharesTheKernel = (name: string, order: number, timeoutMs: number, ...folders: readonly string[]) => ({
  extends: true as const,
  test: {
    name,
    include: [name, ...folders].map((folder) => `test/${folder}/**/*.test.ts`),
    setupFiles: ["test/machine/hidden.ts"],
    fileParallelism: false,
    sequence: { groupOrder: order },
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
  },
});

export default defineConfig({
  test: {
    pool: "forks",
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          sequence: { groupOrder: 0 },
          testTimeout: 20_000,
        },
      },
      sharesTheKernel("kernel", 1, 60_000),
      sharesTheKernel("lab", 2, 120_000, "torture", "bench"),
      sharesTheKernel("e2e", 3, 180_000),
    ],
  },
});
