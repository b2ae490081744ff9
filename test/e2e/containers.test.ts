/**
 * Both containers of deploy/manifests, run by runc with the users, groups, capabilities and namespaces that their manifests
 * give them: they work together, and what one of them, or another pod of the node, could try
 * against the others is refused.
 *
 * Each attack first succeeds on a process that is open to it, so that it could be seen to succeed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished } from "vitest";
import { USER_AGENT, USER_PROBE } from "../../agent/generated/layout.ts";
import { askAgent } from "../../agent/telemetry/admin-client.ts";
import type { Health } from "../../agent/telemetry/health.ts";
import { holds } from "../components/running.ts";
import { NODE_FLAGS } from "../components/shipped-node.ts";
import { missing, needs } from "../machine/needs.ts";
import { Receiver } from "../otlp/receiver.ts";
import { RunningContainer } from "./container.ts";
import { MANIFESTS } from "./manifests.ts";
import {
  agentSetup,
  makeVolumes,
  ofProbe,
  probeSetup,
  started,
  type Volumes,
  volumesOfTest,
} from "./node-containers.ts";

const NEEDS = ["root", "btf", "build", "runc"] as const;
const test = needs(...NEEDS);
const CAP_BPF = 1n << 39n;
/** The user of every distroless image that is not root. */
const NONROOT = 65_532;

interface Rights {
  readonly uid: number;
  readonly groups: string;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly noNewPrivileges: boolean;
}

function rightsOf(pid: number): Rights {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(\\S*)`, "m").exec(status)?.[1] ?? "";
  return {
    uid: Number(field("Uid")),
    groups: field("Groups"),
    effective: BigInt(`0x${field("CapEff")}`),
    permitted: BigInt(`0x${field("CapPrm")}`),
    noNewPrivileges: field("NoNewPrivs") === "1",
  };
}

describe("probe and agent of one node", () => {
  let volumes: Volumes;
  let receiver: Receiver;
  let probe: RunningContainer;
  let agent: RunningContainer;
  /** Of another pod: an image's usual user, with a secret in its environment. */
  let victim: { readonly pid: number; end(): Promise<void> };

  beforeAll(async () => {
    if (missing(...NEEDS) !== undefined) return;
    volumes = makeVolumes();
    receiver = await Receiver.start();
    victim = startVictim(NONROOT);
    probe = await started(probeSetup(volumes));
    const settings = ["--kubernetes", "off", "--endpoint", receiver.endpoint, "--interval", "200"];
    agent = await started(agentSetup(volumes, ["/node", ...NODE_FLAGS, "/app/agent.mjs", "agent", ...settings]));
  });
  afterAll(async () => {
    await agent?.remove();
    await probe?.remove();
    await victim?.end();
    await receiver?.close();
    if (volumes) rmSync(volumes.directory, { recursive: true });
  });

  test("the agent reaches the probe and is ready", async () => {
    const health = () => askAgent(join(volumes.own, "agent/admin.sock"), "/readyz").then(({ body }) => body as Health);

    const isReady = await holds(
      async () => (await health().catch(() => undefined))?.ok === true,
      20_000,
      () => agent.hasEnded,
    );

    expect(isReady, `${agent.words()}\n${probe.words()}`).toBe(true);
    expect(receiver.requests.length).toBeGreaterThan(0);
  });

  test("the probe keeps CAP_BPF alone, the agent nothing, and each is a user of its own that can win nothing back", () => {
    expect(rightsOf(probe.pid)).toEqual({
      ...{ uid: USER_PROBE, groups: "", effective: CAP_BPF, permitted: CAP_BPF, noNewPrivileges: true },
    });
    expect(rightsOf(agent.pid)).toEqual({
      ...{ uid: USER_AGENT, groups: String(USER_AGENT), effective: 0n, permitted: 0n, noNewPrivileges: true },
    });
    // Not told by the agent, which would if anything that it starts could win rights.
    expect(agent.words()).not.toContain("no_new_privs");
  });

  test("the socket is root's, and its group is the agent's", () => {
    const { uid, gid, mode } = statSync(join(volumes.socket, "probe.sock"));

    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 0, gid: USER_AGENT, mode: 0o660 });
  });

  test("in the agent's container there is no process but its own", async () => {
    const { output } = await agent.exec("cat /proc/[0-9]*/comm | sort -u");

    expect(output.split("\n").filter((name) => !["cat", "sh", "sort", ""].includes(name))).toEqual([
      nodeName(agent.pid),
    ]);
  });

  const TAKEN_OVER = {
    "remove the probe's socket": "rm /run/flowspan-probe/probe.sock",
    "put another socket beside it": "touch /run/flowspan-probe/probe.sock.new",
    "open the socket to all users": "chmod 666 /run/flowspan-probe/probe.sock",
  };
  for (const [what, attack] of Object.entries(TAKEN_OVER)) {
    test(`an agent that somebody has taken over cannot ${what}`, async () => {
      const { output, code } = await agent.exec(attack);

      expect(output).toMatch(/Read-only file system|Operation not permitted|Permission denied/);
      expect(code).not.toBe(0);
      expect(statSync(join(volumes.socket, "probe.sock")).mode & 0o777).toBe(0o660);
    });
  }

  /** What a process of `user` in a pod with the host's process ids, and without a capability, does to `pid`. */
  async function attack(user: number, pid: number): Promise<Record<string, string>> {
    const setup = agentSetup(volumes, ["sleep", "600"]);
    const { securityContext } = setup.container;
    const container = {
      ...setup.container,
      securityContext: { ...securityContext, runAsUser: user, runAsGroup: user },
    };
    const spec = { ...setup.spec, hostPID: true, securityContext: {} };
    const attacker = await started({ ...setup, container, spec });
    onTestFinished(() => attacker.remove());
    const tried = async (script: string) => ((await attacker.exec(script)).code === 0 ? "done" : "refused");
    return {
      environment: await tried(`grep -aq . /proc/${pid}/environ`),
      memory: await tried(`head -c 0 /proc/${pid}/mem`),
      files: await tried(`ls /proc/${pid}/fd/`),
      // Also the way into its mount namespace, and so to its tokens.
      root: await tried(`ls /proc/${pid}/root/`),
      // Without a signal: what is allowed is the same for all of them.
      signal: await tried(`kill -0 ${pid}`),
      socket: await tried("test -w /run/flowspan-probe/probe.sock"),
    };
  }

  const ALL_BUT_SOCKET = {
    ...{ environment: "done", memory: "done", files: "done", root: "done", signal: "done", socket: "refused" },
  };
  const NOTHING = Object.fromEntries(Object.keys(ALL_BUT_SOCKET).map((what) => [what, "refused"]));

  test("as a user whom others have too, a process could be read and stopped: what the next tests try does work", async () => {
    expect(await attack(NONROOT, victim.pid)).toEqual(ALL_BUT_SOCKET);
  });

  test("an agent with the host's process ids reads no other pod's environment and stops none of its processes", async () => {
    expect(await attack(USER_AGENT, victim.pid)).toEqual({ ...NOTHING, socket: "done" });
  });

  test("a probe that lost its CAP_BPF does not either, nor can it turn on the agent", async () => {
    expect(await attack(USER_PROBE, victim.pid)).toEqual(NOTHING);
    expect(await attack(USER_PROBE, agent.pid)).toEqual(NOTHING);
  });

  test("a process of the usual user with the host's process ids can do nothing to agent and probe", async () => {
    expect(await attack(NONROOT, agent.pid)).toEqual(NOTHING);
    expect(await attack(NONROOT, probe.pid)).toEqual(NOTHING);
  });

  test("another process of the probe's user may end it, which loses nothing, but not read or trace it", async () => {
    expect(await attack(USER_PROBE, probe.pid)).toEqual({ ...NOTHING, signal: "done" });
  });
});

describe("the probe's container", () => {
  test("says of itself that it can run, asked as README.md says", async () => {
    const check = new RunningContainer(probeSetup(volumesOfTest(), ["--check"]));
    onTestFinished(() => check.remove());

    const code = await check.ended;

    const { can_run, bpffs, capabilities: held } = JSON.parse(check.words());
    expect({ can_run, bpffs: bpffs.mounted, sys_admin: held.sys_admin, code }).toEqual({
      ...{ can_run: true, bpffs: true, sys_admin: false, code: 0 },
    });
    const pins = ofProbe.container.args?.find((argument) => argument.startsWith("--pins="));
    const asked = `ds/flowspan-probe -- flowspan-probe --check ${pins?.replace("=", " ")}`;
    expect(readFileSync(join(MANIFESTS, "README.md"), "utf8")).toContain(asked);
  });
});

function startVictim(user: number): { readonly pid: number; end(): Promise<void> } {
  const argv = [`--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--pdeathsig", "KILL", "sleep", "600"];
  const child = spawn("setpriv", argv, { env: { ...process.env, TOKEN: "of another pod" } });
  const ended = once(child, "exit");
  if (child.pid === undefined) throw new Error("the victim did not start");
  return {
    pid: child.pid,
    async end() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function nodeName(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}
