import { describe, expect, test } from "vitest";
import { orderOfTurns, ratiosOfBlocks } from "../../bench/turns.ts";

const SETTINGS = ["off", "control", "on"];

describe("the order of turns", () => {
  test("plays every setting twice a block, the second half the other way round", () => {
    const blocks = orderOfTurns(SETTINGS, 23, 7);

    expect(blocks).toHaveLength(23);
    for (const block of blocks) {
      expect(block.slice(0, 3).sort()).toEqual([...SETTINGS].sort());
      expect(block.toReversed()).toEqual(block);
    }
  });

  test("begins with each setting in some block, and is the same again from the same seed", () => {
    const blocks = orderOfTurns(SETTINGS, 23, 7);

    expect(new Set(blocks.map(([first]) => first))).toEqual(new Set(SETTINGS));
    expect(orderOfTurns(SETTINGS, 23, 7)).toEqual(blocks);
    expect(orderOfTurns(SETTINGS, 23, 8)).not.toEqual(blocks);
  });
});

describe("the ratios of blocks", () => {
  const COST = { off: 100, control: 100, on: 103 } as const;

  /** A machine that becomes slower by a tenth with every turn. */
  function drifting() {
    let turn = 0;
    return orderOfTurns(["off", "control", "on"] as const, 9, 7).map((block) =>
      block.map((setting) => ({ setting, value: COST[setting] * 1.1 ** turn++ })),
    );
  }

  test("are those of the settings, however the machine drifts", () => {
    for (const ratio of ratiosOfBlocks(drifting(), "on", "off")) expect(ratio).toBeCloseTo(1.03, 12);
    for (const ratio of ratiosOfBlocks(drifting(), "control", "off")) expect(ratio).toBeCloseTo(1, 12);
  });
});
