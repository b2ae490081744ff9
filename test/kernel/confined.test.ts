/**
 * A running probe that somebody has taken over: what it asks of the kernel is refused unless serving needs it, and the probe
 * ends there. `ask-as` (test/lab/programs/) makes the very process ask; bpf/probe/confine_test.c has a longer list.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { threadFiles } from "../../agent/shared/procfs.ts";
import { eventually, LabProcess } from "../lab/programs/process.ts";
import { PROBE, program, run } from "../lab/programs/run.ts";
import { describe } from "../lab/world/describe.ts";
import { type Lab, startLab } from "../lab/world/lab.ts";
import { pinsDirectory, runDirectory } from "../lab/world/leftovers.ts";
import { missing, needs } from "../machine/needs.ts";

const NEEDS = ["root", "btf", "cgroup2", "iptables", "build"] as const;
const test = needs(...NEEDS);

let lab: Lab;
let supervisor: LabProcess;

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return;
  lab = await startLab(describe({ nodes: 1, pods: [{ key: "client" }] }));
  supervisor = new LabProcess({ cgroup: lab.outsideCgroup }, [
    ...[PROBE, "--supervise", "--socket", join(runDirectory(lab.id), "confined.sock")],
    ...["--pins", join(pinsDirectory(lab.id), "confined"), "--cgroup", lab.nodeCgroup("node-1")],
  ]);
});

afterAll(async () => {
  await supervisor?.stop();
  await lab?.close();
});

/** The probe that serves now. */
function serving(): Promise<number> {
  return eventually(
    () => `a probe that serves: ${supervisor.describe()}`,
    () => {
      const [pid] = threadFiles(supervisor.pid, "children").flatMap((pids) =>
        pids.split(" ").filter(Boolean).map(Number),
      );
      if (pid === undefined) return false;
      const isConfined = threadFiles(pid, "status").some((status) => /^Seccomp:\s*2$/m.test(status));
      return isConfined && isWaiting(pid) && pid;
    },
    60_000,
  );
}

/** In a system call, for an event. */
function isWaiting(pid: number): boolean {
  return / S /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

const said = (words: string) => supervisor.stderr.filter((line) => line.includes(words)).length;

test("what serving needs may still be asked", async () => {
  const pid = await serving();

  await run([program("ask-as"), String(pid), "madvise"]);

  await eventually("the probe goes on", () => isWaiting(pid));
  expect(said("was refused")).toBe(0);
});

for (const [index, [what, attack]] of [
  ["make a socket", "socket"],
  ["start a program", "program"],
  ["load a kernel program, for which it has the capability", "load"],
].entries()) {
  test(`a probe that was taken over cannot ${what}: it ends, says so, and another one serves`, async () => {
    const pid = await serving();

    await run([program("ask-as"), String(pid), attack ?? ""]);

    await eventually("the refusal is logged", () => said("was refused: the probe ends") === index + 1);
    await eventually("the supervisor goes on", () => said("the probe died (exit code 3)") === index + 1);
    expect(await serving()).not.toBe(pid);
  });
}
