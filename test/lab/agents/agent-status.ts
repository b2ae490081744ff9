/** What agents of a lab say on their admin sockets, and waiting for their exchanges by their own word. */
import { setTimeout as pause } from "node:timers/promises";
import type { SpanStats } from "../../../agent/spans/queue.ts";
import { askAgent } from "../../../agent/telemetry/admin-client.ts";
import { eventually } from "../programs/process.ts";
import type { NodeAgent } from "./agents.ts";

/** What an agent's status says, as far as it is read here. */
export interface AgentStatus {
  /** Null before the first exchange. */
  readonly probe: object | null;
  /** `lastExchangeMs` changes with each exchange. */
  readonly vitals: { readonly lastExchangeMs?: number };
  readonly spans: SpanStats;
  readonly losses: Readonly<Record<string, number>>;
  readonly memory: { readonly rss: number };
  readonly config: { readonly reloads: number };
}

const LOOK_MS = 25;

export async function statusOf({ adminSocket }: NodeAgent): Promise<AgentStatus> {
  return (await askAgent(adminSocket, "/status")).body as AgentStatus;
}

/**
 * Waits until the agent has completed that many exchanges that began after this call, and a Collector has what they
 * brought. One that does not answer may be starting.
 */
export async function exchangesOf(agent: NodeAgent, count: number, timeoutMs: number): Promise<void> {
  let last: number | undefined;
  // The one that is under way began before, and the first look is none.
  let left = count + 2;
  let trouble = "";
  await eventually(
    () => `${count} exchanges of the agent on ${agent.node} ${trouble}`,
    async () => {
      const status = await statusOf(agent).catch((error: Error) => error);
      if (status instanceof Error) trouble = `(${status.message})`;
      else if (status.vitals.lastExchangeMs !== last) {
        last = status.vitals.lastExchangeMs;
        left--;
      }
      if (left > 0) await pause(LOOK_MS);
      return left <= 0;
    },
    timeoutMs,
  );
}
