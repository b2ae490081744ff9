/**
 * In which order settings are measured, so that a machine that drifts favours none of them: each block plays all of them
 * in a random order and then the other way round.
 *
 *   on off control control off on | control off on on off control | …
 *
 * What changes evenly within a block then adds the same to each. A block gives one ratio of two settings.
 */
import { Random } from "../torture/program.ts";

/** @returns one list of turns for each block */
export function orderOfTurns<Setting>(settings: readonly Setting[], blocks: number, seed: number): Setting[][] {
  const random = new Random(seed);
  return Array.from({ length: blocks }, () => {
    const order = shuffled(settings, random);
    return [...order, ...order.toReversed()];
  });
}

/** What was measured in one turn. */
export interface Turn<Setting> {
  readonly setting: Setting;
  /** Above 0. */
  readonly value: number;
}

/** @returns of each block, how the setting's values compare with the base's */
export function ratiosOfBlocks<Setting>(
  blocks: readonly (readonly Turn<Setting>[])[],
  setting: Setting,
  base: Setting,
): number[] {
  const meanLog = (turns: readonly Turn<Setting>[], of: Setting) => {
    const logs = turns.filter((turn) => turn.setting === of).map(({ value }) => Math.log(value));
    return logs.reduce((sum, each) => sum + each, 0) / logs.length;
  };
  return blocks.map((turns) => Math.exp(meanLog(turns, setting) - meanLog(turns, base)));
}

/** Fisher and Yates. */
function shuffled<T>(list: readonly T[], random: Random): T[] {
  const order = [...list];
  for (let last = order.length - 1; last > 0; last--) {
    const other = random.between(0, last);
    [order[last], order[other]] = [order[other] as T, order[last] as T];
  }
  return order;
}
