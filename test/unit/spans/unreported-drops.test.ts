import fc from "fast-check";
import { expect, test } from "vitest";
import { UnreportedDrops } from "../../../agent/spans/unreported-drops.ts";

test("drops are reported once a request that was collected after them is accepted, and not before", () => {
  let dropped = 5;
  const unreported = new UnreportedDrops(() => dropped);
  const refused = unreported.sending();
  dropped = 7;
  refused(false);
  const afterRefusal = unreported.count;
  const accepted = unreported.sending();
  dropped = 11;
  accepted(true);

  expect([afterRefusal, unreported.count]).toEqual([7, 4]);
});

test("in whatever order answers come, what is unreported is never negative and never less than what no answer covers", () => {
  const steps = fc.array(fc.record({ drops: fc.nat(23), answer: fc.constantFrom("accepted", "refused", "later") }));
  fc.assert(
    fc.property(steps, (all) => {
      let dropped = 0;
      let covered = 0;
      const unreported = new UnreportedDrops(() => dropped);
      const late: (() => void)[] = [];
      for (const { drops, answer } of all) {
        dropped += drops;
        const collected = dropped;
        const answered = unreported.sending();
        const accept = () => {
          answered(true);
          covered = Math.max(covered, collected);
        };
        if (answer === "accepted") accept();
        else if (answer === "refused") answered(false);
        else late.push(accept);
        expect(unreported.count).toBe(dropped - covered);
      }
      for (const accept of late.reverse()) accept();
      expect(unreported.count).toBe(dropped - covered);
    }),
  );
});
