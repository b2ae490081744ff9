/** What befalls probe, agent and Collector while the programs of a batch wait at their `. barrier`, or after it. */
import { setTimeout as pause } from "node:timers/promises";
import type { NodeAgent } from "../lab/agents/agents.ts";
import type { ReturningReceiver } from "../lab/agents/returning-receiver.ts";
import { recording } from "../lab/agents/span-lab.ts";

export interface Parts {
  readonly probe: NodeAgent;
  readonly agent: NodeAgent;
  readonly receiver: ReturningReceiver;
}

export interface Aftermath {
  /** Once the programs are done: what is away comes back. */
  readonly comeBack?: () => Promise<void>;
  /** Spans that came as their agent died, or the Collector left: nobody may have told the probe so. */
  readonly justTaken?: number;
}

export interface AgentUpheavalKind {
  /** The programs go on meanwhile. */
  readonly isAmid: boolean;
  readonly befall: (parts: Parts) => Promise<Aftermath>;
  /** Records may be lost, by name and number. */
  readonly mayLose: boolean;
  /** Agent and probe are killed, perhaps while the kernel settles: a series then is short (ARCHITECTURE.md, "The exchange"). */
  readonly mayCut: boolean;
  /** Spans may come twice. */
  readonly mayRepeat: boolean;
  /** One agent saw it all. */
  readonly isOneAgent: boolean;
}

export type AgentUpheaval = keyof typeof UPHEAVALS;

/** Longer than a batch of spans waits, shorter than the first pause between attempts can grow. */
const AWAY_MS = 700;

/** An agent tells the probe within that time what became of a record. */
const JUST_MS = 1_000;
/** While probe and agent come back together, the pauses between attempts grow. */
const RECONNECT_MS = 30_000;
/** The first one that dies ran from the start, the second took over from it, the third from one that took over itself. */
const TIMES = 3;
/** Some batches of spans go out within it (schedule_delay, 100 ms); the first pause between attempts may be longer: 250 to 500. */
const A_WHILE_MS = 300;

const NOTHING: AgentUpheavalKind = {
  isAmid: false,
  befall: async () => ({}),
  mayLose: false,
  mayCut: false,
  mayRepeat: false,
  isOneAgent: true,
};

const KILLED = { ...NOTHING, isOneAgent: false, mayLose: true };

export const UPHEAVALS = {
  none: NOTHING,
  "probe-upgrade": { ...NOTHING, befall: ({ probe }) => then(probe.startProbe()) },
  "probe-kill": { ...NOTHING, mayLose: true, befall: ({ probe }) => then(killProbe(probe)) },
  "agent-restart": { ...NOTHING, isOneAgent: false, befall: ({ agent }) => then(restart(agent)) },
  "agent-kill": { ...KILLED, befall: killAgent },
  "both-upgrade": {
    ...NOTHING,
    isOneAgent: false,
    befall: ({ probe, agent }) => then(Promise.all([probe.startProbe(), restart(agent)])),
  },
  "both-kill": {
    ...KILLED,
    mayCut: true,
    befall: async (parts) => {
      const [aftermath] = await Promise.all([killAgent(parts), killProbe(parts.probe)]);
      return aftermath;
    },
  },
  "collector-away": { ...NOTHING, mayRepeat: true, befall: leave },
  "collector-flaps": { ...NOTHING, isAmid: true, mayRepeat: true, befall: flap },
  "agent-restart-unheard": { ...NOTHING, isOneAgent: false, mayLose: true, mayRepeat: true, befall: restartUnheard },
  "agent-kill-amid": { ...KILLED, isAmid: true, befall: killAgain },
  "probe-kill-amid": { ...NOTHING, isAmid: true, mayLose: true, befall: killProbeAgain },
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
  await recording([agent], RECONNECT_MS);
}

async function killAgent({ agent, receiver }: Parts): Promise<Required<Pick<Aftermath, "justTaken">>> {
  await agent.agent.stop("SIGKILL");
  const justTaken = receiver.spansSince(performance.now() - JUST_MS);
  await agent.startAgent();
  await recording([agent], RECONNECT_MS);
  return { justTaken };
}

async function leave({ receiver }: Parts): Promise<Aftermath> {
  await receiver.leave();
  await pause(AWAY_MS);
  return { comeBack: () => receiver.comeBack() };
}

async function flap({ receiver }: Parts): Promise<Aftermath> {
  for (let i = 0; i < TIMES; i++) {
    await pause(A_WHILE_MS);
    await receiver.leave();
    await pause(A_WHILE_MS);
    await receiver.comeBack();
  }
  return {};
}

/** What the agent gives up as it ends nobody hears: the next one tells of it. */
async function restartUnheard({ agent, receiver }: Parts): Promise<Aftermath> {
  await receiver.leave();
  const justTaken = receiver.spansSince(performance.now() - JUST_MS);
  await agent.agent.stop("SIGTERM");
  await receiver.comeBack();
  await agent.startAgent();
  await recording([agent], RECONNECT_MS);
  return { justTaken };
}

async function killAgain(parts: Parts): Promise<Aftermath> {
  let justTaken = 0;
  for (let i = 0; i < TIMES; i++) {
    await pause(A_WHILE_MS);
    justTaken += (await killAgent(parts)).justTaken;
  }
  return { justTaken };
}

async function killProbeAgain({ probe }: Parts): Promise<Aftermath> {
  for (let i = 0; i < TIMES; i++) {
    await pause(A_WHILE_MS);
    await killProbe(probe);
  }
  return {};
}
