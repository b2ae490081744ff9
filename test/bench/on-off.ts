/**
 * The same burst of work again and again, with and without an agent, and a control that compares off with
 * off.
 *
 *   off on off | off on off | ...       on against the two around it; the control: the second against the first
 *
 * Clocks and neighbours of a machine change within seconds: what is compared must lie close together. `on` is
 * a probe with its hooks attached and an agent that has started and exports; `off` is neither, and no pin left.
 */
import { NodeAgent } from "../lab/agents.ts";
import type { Lab } from "../lab/lab.ts";
import { eventually } from "../lab/process.ts";
import { Receiver } from "../lab/receiver.ts";
import { median } from "./measure.ts";
import type { Verdict } from "./table.ts";

/** What one burst measured, by name; larger or smaller may be better. */
export type Burst = Readonly<Record<string, number>>;

/** Medians over all cycles. */
export interface Comparison {
  readonly off: number;
  readonly on: number;
  readonly ratio: number;
  /** Off against off. */
  readonly control: number;
}

/** An export within every burst; a production interval is many times longer. */
const INTERVAL_MS = 1000;
/** After a burst and so many exports an agent has done what it does once: reading its code, compiling it, connecting. */
const WARM_EXPORTS = 2;

/** Says in a row's `how` what judge() does. */
export const JUDGED = "where off/off strays by more than is allowed, CPU carries the verdict";

/**
 * @param play one burst, of a second or so
 * @param env of the agent
 */
export async function compare<B extends Burst>(
  lab: Lab,
  cycles: number,
  play: () => Promise<B>,
  env: Readonly<Record<string, string>> = {},
): Promise<Record<keyof B, Comparison>> {
  const receiver = await Receiver.start({ forget: true });
  const agent = new NodeAgent(lab, "node-1", { endpoint: receiver.endpoint, intervalMs: INTERVAL_MS, env });
  let exports = 0;
  receiver.onPoints(() => exports++);
  try {
    const warm = await play();
    const bursts: { before: B; on: B; after: B }[] = [];
    for (let cycle = 0; cycle < cycles; cycle++) {
      const before = await play();
      await agent.startProbe();
      await agent.startAgent();
      await play();
      const wanted = exports + WARM_EXPORTS;
      await eventually(`${WARM_EXPORTS} exports`, () => exports >= wanted, 30_000);
      const on = await play();
      await agent.stop();
      await agent.unpin();
      bursts.push({ before, on, after: await play() });
    }
    return Object.fromEntries(
      Object.keys(warm).map((name) => {
        const of = (which: "before" | "on" | "after") => bursts.map((cycle) => cycle[which][name] as number);
        const [before, on, after] = [of("before"), of("on"), of("after")];
        const off = before.map((value, i) => (value + (after[i] as number)) / 2);
        const comparison: Comparison = {
          off: median(off),
          on: median(on),
          ratio: median(on.map((value, i) => value / (off[i] as number))),
          control: median(after.map((value, i) => value / (before[i] as number))),
        };
        return [name, comparison];
      }),
    ) as Record<keyof B, Comparison>;
  } finally {
    await receiver.close();
  }
}

/**
 * Wall time says it where the control shows that wall time can be trusted. Where it cannot, CPU a
 * transaction does, which other work and a changing clock move less. Where neither can: unclear.
 *
 * @param limit the largest ratio that is allowed, above 1: of times, not of rates
 */
export function judge(wall: Comparison, cpu: Comparison, limit: number): Verdict {
  const trusted = [wall, cpu].find(({ control }) => Math.abs(control - 1) <= limit - 1);
  if (trusted === undefined) return "unclear";
  return trusted.ratio <= limit ? "ok" : "missed";
}
