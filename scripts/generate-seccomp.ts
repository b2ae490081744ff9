/**
 * bpf/probe/confine.c and deploy/seccomp/probe-start.yaml → deploy/seccomp/flowspan-probe.json: the seccomp profile of the
 * probe's container, as runc, containerd and CRI-O read it.
 *
 *   node scripts/generate-seccomp.ts           writes it
 *   node scripts/generate-seccomp.ts --check   fails when the tree's copy is stale
 *
 * The list of serving stands in confine.c alone, the list of starting in probe-start.yaml alone. A profile can only be
 * wider than the filter that the probe sets itself: arguments are left to that filter.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

const CONFINE = new URL("../bpf/probe/confine.c", import.meta.url);
const START = new URL("../deploy/seccomp/probe-start.yaml", import.meta.url);
const PROFILE = fileURLToPath(new URL("../deploy/seccomp/flowspan-probe.json", import.meta.url));

export interface StartCalls {
  /** What each call is for: each start makes it. */
  readonly start: Readonly<Record<string, string>>;
  /** Calls that a start makes elsewhere, or in trouble: when. */
  readonly rarely: Readonly<Record<string, string>>;
}

export function startCalls(): StartCalls {
  return parse(readFileSync(START, "utf8")) as StartCalls;
}

/** What the probe's own filter lets through, bpf() included. */
export function servingCalls(): string[] {
  const text = readFileSync(CONFINE, "utf8");
  const found = [...text.matchAll(/\.call = SYS_(\w+)/g)].map(([, name]) => name as string);
  if (found.length === 0) throw new Error("bpf/probe/confine.c has no list of system calls");
  return [...found, "bpf"];
}

/** @param without leaves one call out, as a test does */
export function probeProfile(without?: string) {
  const { start, rarely } = startCalls();
  const names = [...new Set([...servingCalls(), ...Object.keys(start), ...Object.keys(rarely)])].sort();
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [{ names: names.filter((name) => name !== without), action: "SCMP_ACT_ALLOW" }],
  };
}

if (import.meta.main) {
  const wanted = `${JSON.stringify(probeProfile(), undefined, 2)}\n`;
  if (!process.argv.includes("--check")) writeFileSync(PROFILE, wanted);
  else if (readFileSync(PROFILE, "utf8") !== wanted) {
    process.stderr.write("deploy/seccomp/flowspan-probe.json is stale: run `npm run generate`\n");
    process.exitCode = 1;
  }
}
