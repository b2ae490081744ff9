/**
 * deploy/manifests/uninstall, run by runc with what its manifest grants: it takes the pins of a probe away, with programs and
 * maps, also while a probe runs.
 */
import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect } from "vitest";
import { parse } from "yaml";
import { holds } from "../components/running.ts";
import { needs } from "../machine/needs.ts";
import { type ContainerSetup, RunningContainer } from "./container.ts";
import { MANIFESTS, type PodContainer, type PodSpec, podOf } from "./manifests.ts";

const test = needs("root", "btf", "build", "runc");
const run = promisify(execFile);
const PROBE = join(import.meta.dirname, "../../build/flowspan-probe");
const READY_MS = 30_000;

interface Uninstaller extends PodContainer {
  readonly args: readonly string[];
  readonly readinessProbe: { readonly exec: { readonly command: readonly string[] } };
}

const { spec } = (
  parse(readFileSync(join(MANIFESTS, "uninstall/daemon-set.yaml"), "utf8")) as {
    spec: { template: { spec: PodSpec & { readonly containers: readonly [Uninstaller] } } };
  }
).spec.template;
const [uninstaller] = spec.containers;

let node: string;
let containers: RunningContainer[];

/** A node's bpffs and the directory of the socket. */
beforeEach(async () => {
  containers = [];
  node = mkdtempSync(join(tmpdir(), "flowspan-uninstall-"));
  chmodSync(node, 0o755);
  for (const name of ["run", "bpf"]) mkdirSync(join(node, name), { mode: 0o755 });
  await run("mount", ["-t", "bpf", "-o", "mode=0700", "bpf", join(node, "bpf")]);
});
afterEach(async () => {
  for (const container of containers) await container.remove();
  await run(PROBE, ["--unpin", "--pins", pins()]);
  await run("umount", [join(node, "bpf")]);
  rmSync(node, { recursive: true });
});

const pins = () => join(node, "bpf/flowspan");

function start(setup: Omit<ContainerSetup, "files" | "env">): RunningContainer {
  const env = { PATH: "/image:/usr/bin:/bin" };
  const container = new RunningContainer({ ...setup, env, files: { "/image/flowspan-probe": PROBE } });
  containers.push(container);
  return container;
}

async function startProbe(): Promise<RunningContainer> {
  const { spec: ofProbe, container } = podOf("flowspan-probe");
  const volumes = { run: join(node, "run"), bpf: join(node, "bpf"), cgroup: "/sys/fs/cgroup" };
  const argv = ["flowspan-probe", ...(container.args ?? [])];
  const probe = start({ spec: ofProbe, container, argv, volumes });
  const listens = await holds(
    async () => existsSync(join(node, "run/probe.sock")) && existsSync(pins()),
    READY_MS,
    () => probe.hasEnded,
  );
  if (!listens) throw new Error(probe.words());
  return probe;
}

function startUninstaller(refused: readonly string[] = []): RunningContainer {
  const volumes = { bpf: join(node, "bpf") };
  return start({ spec, container: uninstaller, argv: ["flowspan-probe", ...uninstaller.args], volumes, refused });
}

/** As the kubelet asks. */
async function isReady(container: RunningContainer): Promise<boolean> {
  return (await container.execProgram(uninstaller.readinessProbe.exec.command)).code === 0;
}

/** Programs that this node's bpffs keeps attached, by their ids. */
async function attachedPrograms(): Promise<number[]> {
  const links = readdirSync(pins(), { recursive: true, encoding: "utf8" }).filter((path) => /\/links?\b/.test(path));
  const found = await Promise.all(
    links.map(async (path) => {
      const answer = await run("bpftool", ["-j", "link", "show", "pinned", join(pins(), path)]).catch(() => undefined);
      return answer === undefined ? [] : [(JSON.parse(answer.stdout) as { prog_id: number }).prog_id];
    }),
  );
  return found.flat();
}

async function stillLoaded(programs: readonly number[]): Promise<number[]> {
  const { stdout } = await run("bpftool", ["-j", "prog", "show"]);
  const loaded = new Set((JSON.parse(stdout) as { id: number }[]).map(({ id }) => id));
  return programs.filter((id) => loaded.has(id));
}

test("what a probe has left goes from the node, and again if a late probe makes it anew", async () => {
  await (await startProbe()).remove();
  containers.pop();
  const programs = await attachedPrograms();
  const loaded = await stillLoaded(programs);

  const container = startUninstaller();
  const ready = await holds(() => isReady(container), READY_MS);
  const left = await holds(async () => (await stillLoaded(programs)).length === 0, READY_MS);
  // A whole probe takes longer to start on a busy machine than the pause between two removals.
  mkdirSync(join(pins(), "late"), { recursive: true });
  const again = await holds(async () => !existsSync(pins()), READY_MS);

  expect(programs.length).toBeGreaterThan(5);
  expect(loaded).toEqual(programs);
  expect({ ready, left, again, hasEnded: container.hasEnded }).toEqual({
    ready: true,
    left: true,
    again: true,
    hasEnded: false,
  });
});

test("a probe that still runs ends by itself", async () => {
  const probe = await startProbe();
  const programs = await attachedPrograms();

  startUninstaller();
  const ended = await holds(async () => probe.hasEnded, READY_MS);
  const left = await holds(async () => (await stillLoaded(programs)).length === 0, READY_MS);

  expect({ ended, left }).toEqual({ ended: true, left: true });
});

// containerd's and Docker's profiles refuse bpf() to a container without CAP_BPF. Kernels ask it of none who opens a pin (since 5.19).
test("where a runtime refuses bpf() to it, the pins go too, but a probe that still runs goes on, and the log says so", async () => {
  const probe = await startProbe();

  const container = startUninstaller(["bpf"]);
  const ready = await holds(() => isReady(container), READY_MS);
  const ended = await holds(async () => probe.hasEnded, 5_000);

  expect(uninstaller.securityContext.capabilities.add).toEqual(["BPF"]);
  expect({ ready, ended }).toEqual({ ready: true, ended: false });
  expect(container.words()).toContain("a probe that runs on it has to be ended by hand");
});
