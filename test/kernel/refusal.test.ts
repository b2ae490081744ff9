/** A probe whose bpf(2) is refused says who refuses it, by a real seccomp filter and by capabilities that are missing. */
import { expect } from "vitest";
import { checkKernel, type ProbeCheck } from "../../agent/cli/doctor/check-kernel.ts";
import { enterArguments } from "../lab/programs/process.ts";
import { output, program, ROOT } from "../lab/programs/run.ts";
import { needs } from "../machine/needs.ts";

const test = needs("root", "btf", "build");
const PROBE = `${ROOT}build/flowspan-probe`;
/** Never made: the probe ends before. */
const NEVER = ["--stdio", "--pins", "/sys/fs/bpf/flowspan-refusal"];

test("under a seccomp filter the probe names the filter and the runtime's profile, and no walk that the kernel lacks", async () => {
  const { code, stderr } = await output([program("refuse"), PROBE, ...NEVER]);

  expect(code).toBe(1);
  const lines = stderr.trim().split("\n");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("a seccomp filter refuses bpf(2) although the capabilities are there");
  expect(lines[0]).toContain("seccompProfile");
});

test("doctor has the filter as the finding, and its remedy is a profile", async () => {
  const { stdout } = await output([program("refuse"), PROBE, "--check"]);

  const findings = checkKernel(JSON.parse(stdout) as ProbeCheck);

  const load = findings.find(({ name }) => name === "programs load");
  expect(load).toMatchObject({ state: "fail", found: expect.stringContaining("a seccomp filter refuses bpf(2)") });
  expect(load).toMatchObject({ remedy: expect.stringContaining("seccompProfile") });
  expect(findings.filter(({ found }) => found.includes("this kernel refuses it"))).toEqual([]);
});

test("without a filter the missing capabilities are named", async () => {
  const { code, stderr } = await output(enterArguments({ user: 65532 }, [PROBE, ...NEVER]));

  expect(code).toBe(1);
  expect(stderr).toContain("CAP_BPF and CAP_PERFMON are missing: run with sudo");
});
