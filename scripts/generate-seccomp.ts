/**
 * bpf/probe/confine.c and deploy/seccomp/probe-start.yaml → deploy/seccomp/flowspan-probe.json, and agent-calls.yaml →
 * flowspan-agent.json beside them: the seccomp profiles of the containers, as runc, containerd and CRI-O read them.
 *
 *   node scripts/generate-seccomp.ts           writes them
 *   node scripts/generate-seccomp.ts --check   writes nothing; exit code 1 names each file that is stale
 *
 * The list of the probe's serving stands in confine.c alone, the list of its start in probe-start.yaml alone. Its profile can
 * only be wider than the filter that the probe sets itself: arguments are left to that filter.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { writeOrCheck } from "../semconv/generate.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CONFINE = new URL("../bpf/probe/confine.c", import.meta.url);
const DIRECTORY = new URL("../deploy/seccomp/", import.meta.url);

/** Of system calls: what each is for. */
type Reasons = Readonly<Record<string, string>>;

export interface StartCalls {
  /** Each start makes them. */
  readonly start: Reasons;
  /** Calls that a start makes elsewhere, or in trouble: when. */
  readonly rarely: Reasons;
}

export interface AgentCalls {
  /** A run of agent and directory, with `doctor` and `top`, makes each. */
  readonly run: Reasons;
  /** By timing, by the machine, or in trouble. */
  readonly rarely: Reasons;
  /** The container runtime makes them once the filter is set, before Node starts. */
  readonly runtime: Reasons;
  /** What arm64 has in place of some of `run`. */
  readonly arm64: Reasons;
}

export function startCalls(): StartCalls {
  return parse(readFileSync(new URL("probe-start.yaml", DIRECTORY), "utf8")) as StartCalls;
}

export function agentCalls(): AgentCalls {
  return parse(readFileSync(new URL("agent-calls.yaml", DIRECTORY), "utf8")) as AgentCalls;
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
  return profileOf([...servingCalls(), ...Object.keys(start), ...Object.keys(rarely)], without);
}

/** @param without leaves one call out, as a test does */
export function agentProfile(without?: string) {
  return profileOf(Object.values(agentCalls()).flatMap(Object.keys), without);
}

function profileOf(calls: readonly string[], without: string | undefined) {
  const names = [...new Set(calls)].sort();
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [{ names: names.filter((name) => name !== without), action: "SCMP_ACT_ALLOW" }],
  };
}

if (import.meta.main) {
  const profiles = Object.entries({ probe: probeProfile(), agent: agentProfile() });
  const texts = profiles.map(([name, profile]) => {
    return [`deploy/seccomp/flowspan-${name}.json`, `${JSON.stringify(profile, undefined, 2)}\n`] as const;
  });
  process.exitCode = writeOrCheck(new Map(texts), process.argv.slice(2), ROOT, (line) => console.error(line));
}
