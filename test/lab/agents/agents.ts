/**
 * One probe and one agent per lab node, as a DaemonSet would run them, and the ways in which they die.
 *
 *   flowspan-probe   root, limited to the node's cgroup, pins under the lab's own name
 *        │ Unix socket
 *   flowspan agent   an unprivileged user, sends OTLP to whatever `endpoint` names
 *
 * Both live in the lab's cgroup but outside of any node: they must not count themselves. Removing the lab
 * removes their sockets, pins and processes too (leftovers.ts).
 */
import { chownSync, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { USER_AGENT } from "../../../agent/generated/layout.ts";
import { answersOn } from "../../../agent/telemetry/admin-server.ts";
import { eventually, LabProcess } from "../programs/process.ts";
import { PROBE, ROOT, run } from "../programs/run.ts";
import type { Lab } from "../world/lab.ts";
import { pinsDirectory, runDirectory } from "../world/leftovers.ts";

export const ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT";

/** The verifier takes seconds of CPU for a probe's programs, and two probes start at once. */
const START_MS = 60_000;

export interface AgentSetup {
  /** OTLP over gRPC: `http://127.0.0.1:4317`. */
  readonly endpoint: string;
  /** Names it in ENDPOINT_VARIABLE instead of by the flag, which is for metrics and spans alike. */
  readonly endpointByVariable?: boolean;
  readonly intervalMs?: number;
  /** Readable by USER_AGENT; without one, names come from the machine alone. */
  readonly kubeconfig?: string;
  /** More arguments of `flowspan agent`, the same for all or by node. */
  readonly agentArguments?: readonly string[] | ((node: string) => readonly string[]);
  readonly env?: Readonly<Record<string, string>>;
  /** More arguments of `flowspan-probe`, and variables. */
  readonly probeArguments?: readonly string[];
  readonly probeEnv?: Readonly<Record<string, string>>;
  /** Starts the probe's program, which stands behind it. */
  readonly probeEnter?: readonly string[];
  /** Programs of another version than this tree's. */
  readonly build?: Build;
}

/** Programs of one version. */
export interface Build {
  readonly probe: string;
  /** `flowspan`. */
  readonly launcher: string;
}

/** One node's probe and agent. Each of the two can be stopped, killed and started by itself. */
export class NodeAgent {
  readonly node: string;
  readonly #lab: Lab;
  readonly #setup: AgentSetup;
  /** All that ever ran, oldest first. */
  readonly probes: LabProcess[] = [];
  readonly agents: LabProcess[] = [];
  /** What is started from now on; without one, this tree's. */
  build: Build | undefined;

  constructor(lab: Lab, node: string, setup: AgentSetup) {
    this.node = node;
    this.#lab = lab;
    this.#setup = setup;
    this.build = setup.build;
    mkdirSync(this.#agentDirectory, { recursive: true, mode: 0o755 });
    chownSync(this.#agentDirectory, USER_AGENT, USER_AGENT);
  }

  get probe(): LabProcess {
    return last(this.probes, "probe");
  }

  get agent(): LabProcess {
    return last(this.agents, "agent");
  }

  /** Where `flowspan top` asks. */
  get adminSocket(): string {
    return join(this.#agentDirectory, "admin.sock");
  }

  get probeSocket(): string {
    return join(runDirectory(this.#lab.id), this.node, "probe.sock");
  }

  get pins(): string {
    return join(pinsDirectory(this.#lab.id), this.node);
  }

  get #agentDirectory(): string {
    return join(runDirectory(this.#lab.id), this.node, "agent");
  }

  /** Starts a probe; when it resolves, the probe counts. One that runs already is replaced, as in an upgrade. */
  async startProbe(): Promise<LabProcess> {
    const argv = [
      ...(this.#setup.probeEnter ?? []),
      this.build?.probe ?? PROBE,
      ...["--socket", this.probeSocket, "--socket-gid", String(USER_AGENT)],
      ...["--pins", this.pins, "--cgroup", this.#lab.nodeCgroup(this.node)],
      ...(this.#setup.probeArguments ?? []),
    ];
    const before = socketIdentity(this.probeSocket);
    const { probeEnv: env = {} } = this.#setup;
    const probe = new LabProcess({ cgroup: this.#lab.outsideCgroup }, argv, { env });
    this.probes.push(probe);
    await eventually(
      () => `a listening probe: ${probe.describe()}`,
      () => {
        if (!probe.isRunning) throw new Error(probe.describe());
        const now = socketIdentity(this.probeSocket);
        return now !== undefined && now !== before;
      },
      START_MS,
    );
    return probe;
  }

  /** Starts an agent; when it resolves, it answers on its admin socket. */
  async startAgent(): Promise<LabProcess> {
    const { endpoint, endpointByVariable, intervalMs = 1000, kubeconfig, agentArguments = [] } = this.#setup;
    const env = { ...(endpointByVariable && { [ENDPOINT_VARIABLE]: endpoint }), ...this.#setup.env };
    const argv = [
      ...(this.build === undefined ? agentProgram() : [this.build.launcher]),
      "agent",
      ...["--probe-socket", this.probeSocket, "--admin-socket", this.adminSocket],
      ...(endpointByVariable ? [] : ["--endpoint", endpoint]),
      ...["--interval", String(intervalMs), "--node", this.node],
      ...(kubeconfig === undefined ? ["--kubernetes", "off"] : ["--kubernetes", "on", "--kubeconfig", kubeconfig]),
      ...(typeof agentArguments === "function" ? agentArguments(this.node) : agentArguments),
    ];
    const before = socketIdentity(this.adminSocket);
    const agent = new LabProcess({ cgroup: this.#lab.outsideCgroup, user: USER_AGENT }, argv, { env });
    this.agents.push(agent);
    await eventually(
      () => `an agent that answers: ${agent.describe()}`,
      () => {
        if (!agent.isRunning) throw new Error(agent.describe());
        const now = socketIdentity(this.adminSocket);
        // The file is there a moment before somebody listens.
        return now !== undefined && now !== before && answersOn(this.adminSocket);
      },
      20_000,
    );
    return agent;
  }

  /** Ends what runs, the agent first, so that it can flush. */
  async stop(): Promise<void> {
    await this.agents.at(-1)?.stop();
    await this.probes.at(-1)?.stop();
  }

  /** Detaches the kernel programs and forgets what they counted. */
  async unpin(): Promise<void> {
    await run([PROBE, "--unpin", "--pins", this.pins]);
  }
}

/** A probe and an agent on every node, or on those named. */
export async function startAgents(lab: Lab, setup: AgentSetup, nodes?: readonly string[]): Promise<NodeAgent[]> {
  const agents = (nodes ?? lab.description.nodes.map(({ name }) => name)).map(
    (node) => new NodeAgent(lab, node, setup),
  );
  await Promise.all(agents.map((each) => each.startProbe()));
  await Promise.all(agents.map((each) => each.startAgent()));
  return agents;
}

/** The launcher, or the sources where nothing is built: the same program. */
function agentProgram(): string[] {
  const launcher = join(ROOT, "flowspan");
  return existsSync(launcher) ? [launcher] : [process.execPath, join(ROOT, "agent/main.ts")];
}

/** Changes with every socket that is bound there. Connecting instead would replace a probe's agent. */
function socketIdentity(path: string): string | undefined {
  const file = statSync(path, { bigint: true, throwIfNoEntry: false });
  return file && `${file.ino} ${file.ctimeNs}`;
}

function last<T>(list: readonly T[], what: string): T {
  const value = list.at(-1);
  if (!value) throw new Error(`no ${what} was started`);
  return value;
}
