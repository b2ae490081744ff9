/**
 * The files of the images: what deploy/Dockerfile copies exists, what it installs is what is needed, and what the agent's image
 * holds runs by itself. images.test.ts runs the images themselves.
 */

import { execFile } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { FEATURES } from "../../agent/cli/doctor/check-connected.ts";
import type { Finding } from "../../agent/cli/doctor/finding.ts";
import { USER_AGENT } from "../../agent/generated/layout.ts";
import { stage } from "../../scripts/image/dockerfile.ts";
import { ObservedLab } from "../lab/agents/observed.ts";
import { twoPods } from "../lab/world/describe.ts";
import { needs } from "../machine/needs.ts";
import { manifests } from "./manifests.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);
const built = needs("build");

const dockerfile = readFileSync(`${ROOT}deploy/Dockerfile`, "utf8");
const setup = readFileSync(`${ROOT}scripts/setup`, "utf8");
const recipe = readFileSync(`${ROOT}scripts/image/build`, "utf8");
const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string };

/** What the build stage copies of the tree. */
function copies(): string[] {
  const lines = stage(dockerfile, "build").flatMap(([instruction, rest]) => (instruction === "COPY" ? [rest] : []));
  return lines.flatMap((rest) => rest.split(/\s+/).slice(0, -1));
}

/** Packages of the build stage's apt-get install, sorted; those for another architecture are apart. */
function packages(): string[] {
  const run = stage(dockerfile, "build").find(([instruction]) => instruction === "RUN")?.[1] ?? "";
  const list = /apt-get install -y --no-install-recommends\s+([^&]+)/.exec(run)?.[1] ?? "";
  return list.trim().split(/\s+/).sort();
}

/** Debian's packages in an image. */
function shipped(image: "PROBE" | "AGENT"): string[] {
  return (new RegExp(`^${image}_PACKAGES=\\((.*)\\)$`, "m").exec(recipe)?.[1] ?? "").split(" ");
}

/** Debian's packages of the libraries that a program is linked with. */
async function linked(program: string): Promise<string[]> {
  const { stdout } = await run("ldd", [program]);
  const paths = [...stdout.matchAll(/ => (\S+)/g)].map(([, path]) => realpathSync(path as string));
  // Packages have some of them below /lib, which is /usr/lib on the machine; dpkg fails where one of both is not there.
  const both = paths.flatMap((path) => [path, path.replace(/^\/usr/, "")]);
  const owners = await run("dpkg", ["--search", ...both]).then(
    ({ stdout: found }) => found,
    ({ stdout: found }: { stdout: string }) => found,
  );
  return [
    ...new Set(
      owners
        .trim()
        .split("\n")
        .map((line) => line.split(":")[0] as string),
    ),
  ].sort();
}

built("every path that the build copies is in the tree", () => {
  expect(copies().length).toBeGreaterThan(5);
  expect(copies().filter((path) => !existsSync(ROOT + path))).toEqual([]);
});

test("the build's packages are those that scripts/setup installs, without the lab's", () => {
  const table = /^build_packages\(\) \{\n.*\n([\s\S]*?)^\tTABLE/m.exec(setup)?.[1] ?? "";
  const names = table.split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);

  const lab = ["iproute2", "iptables", "procps"];
  expect(packages()).toEqual(names.filter((name) => !lab.includes(name)).sort());
});

built("the images have the libraries that their programs are linked with, and no others", async () => {
  const withSystem = (names: string[]) => ["base-files", ...names].sort();

  expect(shipped("PROBE")).toEqual(withSystem(await linked(`${ROOT}build/flowspan-probe`)));
  expect(shipped("AGENT")).toEqual(withSystem(await linked(process.execPath)));
});

test("the images' Node is the one that scripts/setup installs", () => {
  expect(/^ARG NODE_VERSION=(\S+)/m.exec(dockerfile)?.[1]).toBe(/^NODE_INSTALLED=(\S+)/m.exec(setup)?.[1]);
});

/** agent.mjs beside nothing but what else the agent's image holds. */
function agentOfImage(): string {
  const directory = mkdtempSync(join(tmpdir(), "flowspan-image-"));
  chmodSync(directory, 0o755); // for the image's user
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const path of ["agent.mjs", "chunks"])
    cpSync(`${ROOT}build/${path}`, join(directory, path), { recursive: true });
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
