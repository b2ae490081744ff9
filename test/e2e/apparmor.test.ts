/**
 * deploy/apparmor, compiled by apparmor_parser for the features of a kernel that has all of them: no rule is one that the parser does not
 * know, and the capabilities are those of the pods' specs. The kernels of this suite do not enforce them.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { needs } from "../machine/needs.ts";
import { accesses, PROFILES, refused, rulesOf, unneeded } from "./apparmor.ts";
import { podOf } from "./manifests.ts";

const compiled = needs("apparmor");
const run = promisify(execFile);

/** Neither loads nor keeps anything. @returns the parser's warnings, without what it says of this machine */
async function compile(path: string): Promise<string> {
  const args = ["--skip-kernel-load", "--skip-cache", "--kernel-features=/etc/apparmor.d/abi/3.0", "--warn=all", path];
  const { stdout, stderr } = await run("apparmor_parser", args);
  return `${stdout}${stderr}`.replace(/^Cache read\/write disabled.*\n/gm, "");
}

describe.each(readdirSync(PROFILES))("%s", (profile) => {
  compiled("the parser takes it", async () => {
    expect(await compile(join(PROFILES, profile))).not.toMatch(/error|unknown|deprecated/i);
  });

  compiled("the parser refuses it with a rule that it does not know", async () => {
    const directory = mkdtempSync(join(tmpdir(), "flowspan-apparmor-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const text = readFileSync(join(PROFILES, profile), "utf8");
    writeFileSync(join(directory, profile), text.replace(/^}/m, "  capability everything,\n}"));

    await expect(compile(join(directory, profile))).rejects.toThrow(/capability/);
  });

  test("it has the capabilities of the pod's spec, and no more", () => {
    const text = readFileSync(join(PROFILES, profile), "utf8");
    const found = [...text.matchAll(/^ {2}capability (\w+),$/gm)].map(([, name]) => name?.toUpperCase());

    const { container } = podOf(profile === "flowspan-agent" ? "flowspan" : "flowspan-probe");
    expect(found.sort()).toEqual([...(container.securityContext.capabilities.add ?? [])].sort());
  });
});

test("an access that no rule allows, and a rule that no access needs, are seen", () => {
  const rules = rulesOf("flowspan-probe");
  const trace = [
    '7 openat(AT_FDCWD</>, "/etc/shadow", O_RDONLY) = 3</etc/shadow>',
    '7 openat(AT_FDCWD</>, "/sys/fs/cgroup/a", O_WRONLY|O_CLOEXEC) = 3</sys/fs/cgroup/a>',
    '7 openat(AT_FDCWD</>, "/proc/self/status", O_RDONLY) = 3</proc/7/status>',
    '7 openat(AT_FDCWD</>, "/secret", O_RDONLY|O_CLOEXEC|O_PATH|O_DIRECTORY) = 3</secret>',
    '7 openat(AT_FDCWD</>, "/sys/kernel/btf", O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY) = 3</sys/kernel/btf>',
    '7 openat(AT_FDCWD</>, "/etc/passwd", O_RDONLY) = -1 ENOENT (No such file or directory)',
  ].join("\n");

  expect(refused(rules, accesses(trace))).toEqual(["r /etc/shadow", "w /sys/fs/cgroup/a"]);
  expect(unneeded(rules, accesses(trace))).toContain("/sys/kernel/btf/* r");
  expect(unneeded(rules, accesses(trace)).join("\n")).not.toContain("status");
});
