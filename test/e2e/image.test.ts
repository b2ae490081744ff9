/**
 * deploy/Dockerfile, as far as it can be checked without a container engine: what it copies exists, what it
 * installs is what is needed, and what the agent's image holds runs by itself.
 */

import { execFile } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { FEATURES } from "../../agent/cli/doctor/check-connected.ts";
import type { Finding } from "../../agent/cli/doctor/finding.ts";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { ObservedLab } from "../lab/agents/observed.ts";
import { twoPods } from "../lab/world/describe.ts";
import { needs } from "../machine/needs.ts";
import { manifests } from "./manifests.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);
const built = needs("build");

interface Copy {
  readonly stage: string;
  /** In the tree: what a stage made stands below build/ there as well. */
  readonly sources: readonly string[];
}

const dockerfile = readFileSync(`${ROOT}deploy/Dockerfile`, "utf8").replaceAll("\\\n", " ");
const setup = readFileSync(`${ROOT}scripts/setup`, "utf8");
const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string };

function copies(): Copy[] {
  let stage = "";
  return dockerfile.split("\n").flatMap((line) => {
    const [instruction, ...words] = line.split(/\s+/);
    if (instruction === "FROM") stage = words.at(-1) ?? "";
    if (instruction !== "COPY") return [];
    const paths = words.filter((word) => !word.startsWith("--")).slice(0, -1);
    return [{ stage, sources: paths.map((path) => path.replace(/^\/src\//, "")) }];
  });
}

/** Packages of the stage's apt-get install, sorted. */
function packages(stage: string): string[] {
  const text = dockerfile.split(/^FROM /m).find((part) => part.split("\n")[0]?.endsWith(` AS ${stage}`)) ?? "";
  const list = /apt-get install -y --no-install-recommends\s+([^&]+)/.exec(text)?.[1] ?? "";
  return list.trim().split(/\s+/).sort();
}

built("every path that an image copies is in the tree or was built", () => {
  const sources = copies().flatMap((copy) => copy.sources);

  expect(sources.length).toBeGreaterThan(5);
  expect(sources.filter((path) => !existsSync(ROOT + path))).toEqual([]);
});

test("the build's packages are those that scripts/setup installs, without the lab's", () => {
  const table = /^build_packages\(\) \{\n.*\n([\s\S]*?)^\tTABLE/m.exec(setup)?.[1] ?? "";
  const names = table.split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);

  const lab = ["iproute2", "iptables", "procps"];
  expect(packages("build")).toEqual(names.filter((name) => !lab.includes(name)).sort());
});

built("the probe's image has the libraries that the probe is linked with, and no others", async () => {
  const { stdout } = await run("ldd", [`${ROOT}build/flowspan-probe`]);
  const libraries = [...stdout.matchAll(/^\s*lib(\w+)\.so\.(\d+) =>/gm)].filter(([, name]) => name !== "c");
  // Debian's names: lib + soname's number, but for zlib.
  const names = libraries.map(([, name, number]) => (name === "z" ? "zlib1g" : `lib${name}${number}`));

  expect(packages("probe")).toEqual(names.sort());
});

test("the images' Node is the one that scripts/setup installs", () => {
  expect(/^ARG NODE_VERSION=(\S+)/m.exec(dockerfile)?.[1]).toBe(/^NODE_INSTALLED=(\S+)/m.exec(setup)?.[1]);
});

/** agent.mjs beside nothing but what else the agent's image holds. */
function agentOfImage(): string {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-image-"));
  chmodSync(directory, 0o755); // for the image's user
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const path of copies().flatMap((copy) => (copy.stage === "agent" ? copy.sources : []))) {
    cpSync(ROOT + path, join(directory, basename(path)), { recursive: true });
  }
  return join(directory, "agent.mjs");
}

built("what the agent's image holds runs without the tree", async () => {
  const agent = agentOfImage();

  const said = await run(process.execPath, [agent, "version"], { cwd: "/" });
  const help = await run(process.execPath, [agent, "agent", "--help"], { cwd: "/" });

  expect(said.stdout).toContain(`flowspan ${version}`);
  expect(help.stdout).toContain("Usage: flowspan agent");
});

const beside = needs("root", "btf", "cgroup2", "iptables", "build");

beside(
  "doctor works from just these files, as kubectl exec starts it, beside an agent whose probe it takes at its word",
  async () => {
    const agent = agentOfImage();
    const observed = await ObservedLab.start(twoPods());
    onTestFinished(() => observed.close());
    await observed.watch();
    await observed.exchanges(1);
    const { adminSocket } = observed.agent("node-1");

    const args = ["--json", "--kubernetes", "off", "--admin-socket", adminSocket];
    const user = { uid: USER_AGENT, gid: USER_AGENT, cwd: "/" };
    // Throws unless it exits with 0.
    const doctor = await run(
      process.execPath,
      [agent, "doctor", ...args, "--endpoint", observed.receiver.endpoint],
      user,
    );

    const { canRun, findings } = JSON.parse(doctor.stdout) as { canRun: boolean; findings: Finding[] };
    const found = Object.fromEntries(findings.map((finding) => [finding.name, finding]));
    expect(canRun).toBe(true);
    expect(found["probe program"]).toMatchObject({ state: "ok", found: expect.stringContaining("none here") });
    expect(found.kernel?.found).toBe(`Linux ${release()}`);
    for (const { name } of Object.values(FEATURES)) expect(found[name], name).toBeDefined();
    expect(found["hook tcp_retransmit_skb"]).toMatchObject({ state: "ok", found: "the probe has it" });
  },
);

built("program, manifests and package have one version", async () => {
  const probe = await run(`${ROOT}build/flowspan-probe`, ["--version"]);
  const images = JSON.stringify(manifests()).match(/flowspan-(probe|agent):[^"]+/g);

  expect(probe.stdout).toContain(`flowspan-probe ${version},`);
  expect(images?.sort()).toEqual([`flowspan-agent:${version}`, `flowspan-probe:${version}`]);
});
