/**
 * The same bursts of work again and again, with and without probe and agent.
 *
 *   a block:  on | off | control | control | off | on        a turn:  burst burst burst …, of which the median counts
 *
 * `on` is a probe with its hooks attached and an agent that has started and exports; `off` and `control` are neither, and no
 * pin left. What control against off claims is what the method itself adds. turns.ts has the order, paired-ratios.ts
 * what follows.
 */
import { NodeAgent } from "../lab/agents/agents.ts";
import { eventually } from "../lab/programs/process.ts";
import type { Lab } from "../lab/world/lab.ts";
import { Receiver } from "../otlp/receiver.ts";
import { median } from "./measure.ts";
import { type Claim, claim } from "./paired-ratios.ts";
import { orderOfTurns, ratiosOfBlocks, type Turn } from "./turns.ts";

/** What one burst measured, by name, all above 0. */
export type Burst = Readonly<Record<string, number>>;

export interface Comparison {
  /** Median of all turns without an agent, in the burst's unit. */
  readonly off: number;
  /** By the setting's name, against `off`. */
  readonly on: Readonly<Record<string, Claim>>;
  readonly control: Claim;
}

export interface Plan {
  readonly blocks: number;
  /** In each turn. */
  readonly bursts: number;
  /** What is compared with `off`: the agent's environment by a name of its own. */
  readonly settings: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** An export within every turn; a production interval is many times longer. */
const INTERVAL_MS = 1000;
const SEED = 1010;
const OFF = "off";
const CONTROL = "control";

/** For a row's `how`. */
export function methodOf({ blocks, bursts, settings }: Plan): string {
  const turns = 2 * (2 + Object.keys(settings).length);
  return (
    `${blocks} blocks of ${turns} turns in random order and back, the median of ${bursts} bursts each turn; ` +
    "Hodges-Lehmann and Wilcoxon over the blocks' ratios"
  );
}

/** @param play one burst, of some tenths of a second */
export async function compare<B extends Burst>(
  lab: Lab,
  { blocks, bursts, settings }: Plan,
  play: () => Promise<B>,
): Promise<Record<keyof B, Comparison>> {
  const receiver = await Receiver.start({ forget: true });
  const agents = new SwitchedAgent(lab, receiver);
  const turns: Measured<B>[][] = [];
  try {
    await play();
    for (const order of orderOfTurns([OFF, CONTROL, ...Object.keys(settings)], blocks, SEED)) {
      const block: Measured<B>[] = [];
      for (const setting of order) {
        await agents.switchTo(setting, settings[setting]);
        block.push({ setting, bursts: await playTurn(bursts, play) });
      }
      turns.push(block);
    }
  } finally {
    await agents.switchTo(OFF, undefined);
    await receiver.close();
  }
  const measures = Object.keys(turns[0]?.[0]?.bursts[0] ?? {}) as (keyof B & string)[];
  return Object.fromEntries(
    measures.map((name) => [
      name,
      comparisonOf(
        turns.map((block) => block.map(turnOf(name))),
        Object.keys(settings),
      ),
    ]),
  ) as Record<keyof B, Comparison>;
}

interface Measured<B extends Burst> {
  readonly setting: string;
  readonly bursts: readonly B[];
}

function turnOf(name: string): (measured: Measured<Burst>) => Turn<string> {
  return ({ setting, bursts }) => ({ setting, value: median(bursts.map((burst) => burst[name] as number)) });
}

function comparisonOf(blocks: readonly (readonly Turn<string>[])[], settings: readonly string[]): Comparison {
  const against = (setting: string) => claim(ratiosOfBlocks(blocks, setting, OFF));
  const off = blocks.flat().filter(({ setting }) => setting === OFF || setting === CONTROL);
  return {
    off: median(off.map(({ value }) => value)),
    on: Object.fromEntries(settings.map((setting) => [setting, against(setting)])),
    control: against(CONTROL),
  };
}

/** The first burst after a change fills caches. */
async function playTurn<B extends Burst>(count: number, play: () => Promise<B>): Promise<B[]> {
  await play();
  const bursts: B[] = [];
  for (let burst = 0; burst < count; burst++) bursts.push(await play());
  return bursts;
}

/** Probe and agent of the lab's only node, which run in some turns. */
class SwitchedAgent {
  readonly #lab: Lab;
  readonly #receiver: Receiver;
  #exports = 0;
  #setting = OFF;
  #agent: NodeAgent | undefined;

  constructor(lab: Lab, receiver: Receiver) {
    this.#lab = lab;
    this.#receiver = receiver;
    receiver.onPoints(() => this.#exports++);
  }

  /** @param env of the agent; undefined: none runs */
  async switchTo(setting: string, env: Readonly<Record<string, string>> | undefined): Promise<void> {
    if (setting === this.#setting) return;
    await this.#agent?.stop();
    await this.#agent?.unpin();
    this.#agent = undefined;
    this.#setting = setting;
    if (env === undefined) return;
    const { endpoint } = this.#receiver;
    const agent = new NodeAgent(this.#lab, "node-1", { endpoint, intervalMs: INTERVAL_MS, env });
    this.#agent = agent;
    await agent.startProbe();
    await agent.startAgent();
    // Then it has read its code and connected.
    const wanted = this.#exports + 1;
    await eventually("an export", () => this.#exports >= wanted, 30_000);
  }
}
