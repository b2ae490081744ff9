/**
 * What a test needs of the machine, and what becomes of it where that is missing.
 *
 * On a developer's machine the test is skipped and says why. Where it was promised (CI=true or
 * FLOWSPAN_REQUIRE=all) it fails: a suite that quietly ran nothing would look like one that passed.
 *
 *     const test = needs("root", "btf");
 *     test("each closed connection is counted once", async () => { … });
 */
import { existsSync, readFileSync } from "node:fs";
import { test } from "vitest";
import { type Component, component } from "../components/find.ts";

export type Need =
  | "root"
  | "btf"
  | "cgroup2"
  | "iptables"
  | "build"
  | "compiler"
  | "expendable"
  | "runc"
  | "strace"
  | "image"
  | "apparmor"
  | Component;

const CHECKS: { readonly [N in Exclude<Need, Component>]: () => string | undefined } = {
  root: () => (process.getuid?.() === 0 ? undefined : "root is needed: sudo make test"),
  btf: () => (existsSync("/sys/kernel/btf/vmlinux") ? undefined : "the kernel carries no BTF (CONFIG_DEBUG_INFO_BTF)"),
  cgroup2: () =>
    / cgroup2 /.test(readFileSync("/proc/self/mounts", "utf8")) ? undefined : "no cgroup v2 hierarchy is mounted",
  iptables: () =>
    ["/usr/sbin/iptables", "/sbin/iptables", "/usr/bin/iptables"].some((path) => existsSync(path))
      ? undefined
      : "iptables is missing: scripts/setup build",
  /** Settings that no namespace has of its own may be changed for a moment. */
  expendable: () =>
    isPromised()
      ? undefined
      : "it changes a setting of the whole machine, which others notice: CI=true or FLOWSPAN_REQUIRE=all",
  runc: () => (existsSync("/usr/sbin/runc") ? undefined : "runc is missing: scripts/setup test"),
  strace: () => (existsSync("/usr/bin/strace") ? undefined : "strace is missing: scripts/setup test"),
  apparmor: () =>
    existsSync("/usr/sbin/apparmor_parser") ? undefined : "apparmor_parser is missing: scripts/setup test",
  image: () =>
    existsSync(new URL("../../build/image/index.json", import.meta.url))
      ? undefined
      : 'there are no images: make image ARCH="amd64 arm64"',
  compiler: () =>
    ["/usr/bin/clang", "/usr/bin/gcc"].every((path) => existsSync(path))
      ? undefined
      : "clang or gcc is missing: scripts/setup build",
  build: () =>
    existsSync(new URL("../../build/flowspan-probe", import.meta.url)) ? undefined : "nothing is built: make build",
};

/** Why these needs are not met, or undefined when they are. */
export function missing(...needs: readonly Need[]): string | undefined {
  for (const need of needs) {
    const reason = need in CHECKS ? CHECKS[need as keyof typeof CHECKS]() : missingComponent(need as Component);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function missingComponent(name: Component): string | undefined {
  try {
    component(name);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Whether a missing need is a failure, as it is where everything was promised. */
export function isPromised(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.CI === "true" || env.FLOWSPAN_REQUIRE === "all";
}

export type Test = (name: string, body: () => unknown, timeoutMs?: number) => void;

/** `test` where the needs are met; else one that skips, or fails where they were promised, with the reason. */
export function needs(...names: readonly Need[]): Test {
  const reason = missing(...names);
  if (reason === undefined) return (name, body, timeoutMs) => test(name, body, timeoutMs);
  return (name) =>
    test(name, ({ skip }) => {
      if (isPromised()) throw new Error(`this machine was promised to have everything, but ${reason}`);
      skip(reason);
    });
}
