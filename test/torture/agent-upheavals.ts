/** What befalls probe, agent and Collector while the programs of a batch wait at their `. barrier`. */
import { setTimeout as pause } from "node:timers/promises";
import type { NodeAgent } from "../lab/agents.ts";
import type { ReturningReceiver } from "../lab/returning-receiver.ts";
import { recording, statusOf } from "../lab/span-lab.ts";

export interface Parts {
  readonly probe: NodeAgent;
  readonly agent: NodeAgent;
  readonly receiver: ReturningReceiver;
}

export interface Aftermath {
  /** Once the programs are done: what is away comes back. */
  readonly comeBack?: () => Promise<void>;
  /** Spans that came while their agent died: it may not have told the probe so. */
  readonly justTaken?: number;
}

export interface AgentUpheavalKind {
  readonly befall: (parts: Parts) => Promise<Aftermath>;
  /** Records may be lost, by name and number. */
  readonly mayLose: boolean;
  /** Spans may come twice. */
  readonly mayRepeat: boolean;
  /** One agent saw it all. */
  readonly isOneAgent: boolean;
}

export type AgentUpheaval = keyof typeof UPHEAVALS;

/** Longer than a batch of spans waits, shorter than the first pause between attempts can grow. */
const AWAY_MS = 700;

const NOTHING: AgentUpheavalKind = {
  befall: async () => ({}),
  mayLose: false,
  mayRepeat: false,
  isOneAgent: true,
};

export const UPHEAVALS = {
  none: NOTHING,
  "probe-upgrade": { ...NOTHING, befall: ({ probe }) => then(probe.startProbe()) },
  "probe-kill": { ...NOTHING, mayLose: true, befall: ({ probe }) => then(killProbe(probe)) },
  "agent-restart": { ...NOTHING, isOneAgent: false, befall: ({ agent }) => then(restart(agent)) },
  "agent-kill": { ...NOTHING, isOneAgent: false, mayLose: true, befall: killAgent },
  "both-upgrade": {
    ...NOTHING,
    isOneAgent: false,
    befall: ({ probe, agent }) => then(Promise.all([probe.startProbe(), restart(agent)])),
  },
  "both-kill": {
    ...NOTHING,
    isOneAgent: false,
    mayLose: true,
    befall: async (parts) => {
      const [aftermath] = await Promise.all([killAgent(parts), killProbe(parts.probe)]);
      return aftermath;
    },
  },
  "collector-away": { ...NOTHING, mayRepeat: true, befall: leave },
} as const satisfies Readonly<Record<string, AgentUpheavalKind>>;

export const AGENT_UPHEAVALS = Object.keys(UPHEAVALS) as AgentUpheaval[];

async function then(done: Promise<unknown>): Promise<Aftermath> {
  await done;
  return {};
}

async function killProbe(probe: NodeAgent): Promise<void> {
  await probe.probe.stop("SIGKILL");
  await probe.startProbe();
}

async function restart(agent: NodeAgent): Promise<void> {
  await agent.agent.stop("SIGTERM");
  await agent.startAgent();
  await recording([agent]);
}

async function killAgent({ agent, receiver }: Parts): Promise<Aftermath> {
  const { accepted } = (await statusOf(agent)).spans;
  await agent.agent.stop("SIGKILL");
  const justTaken = receiver.spans.length - accepted;
  await agent.startAgent();
  await recording([agent]);
  return { justTaken };
}

async function leave({ receiver }: Parts): Promise<Aftermath> {
  await receiver.leave();
  await pause(AWAY_MS);
  return { comeBack: () => receiver.comeBack() };
}
