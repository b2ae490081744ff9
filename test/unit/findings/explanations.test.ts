/** Which finding accounts for which others, where, and for how long. */
import { expect, test } from "vitest";
import type { Judged } from "../../../agent/findings/detect.ts";
import { Explanations } from "../../../agent/findings/explanations.ts";
import { judgedOf, SECOND_NS } from "./judged.ts";

const CAUSE = judgedOf({ finding: "neighbour_unresolved", accountsFor: ["to 10.0.0.2"] });
const SYMPTOM = judgedOf({ finding: "connect_unanswered", shows: [["end cart", "to 10.0.0.2"]] });

const held = (judged: readonly Judged[]) => judged.filter(({ holds }) => holds).map(({ finding }) => finding);

test("a symptom does not hold where its cause does, and keeps its counts", () => {
  const judged = new Explanations().observe([SYMPTOM, CAUSE], 0n);

  expect(judged).toEqual([{ ...SYMPTOM, holds: false }, CAUSE]);
});

test.each<[string, Judged[], string[]]>([
  [
    "at another place",
    [CAUSE, { ...SYMPTOM, shows: [["to 10.0.0.3"]] }],
    ["neighbour_unresolved", "connect_unanswered"],
  ],
  [
    "of which the cause accounts for a part",
    [CAUSE, { ...SYMPTOM, shows: [["to 10.0.0.2"], ["to 10.0.0.3"]] }],
    ["neighbour_unresolved", "connect_unanswered"],
  ],
  ["of a cause below its threshold", [{ ...CAUSE, holds: false }, SYMPTOM], ["connect_unanswered"]],
  [
    "that is no symptom of this cause",
    [CAUSE, { ...SYMPTOM, finding: "connect_refused" }],
    ["neighbour_unresolved", "connect_refused"],
  ],
])("a finding %s holds", (_, judged, expected) => {
  expect(held(new Explanations().observe(judged, 0n))).toEqual(expected);
});

test("a connect fails long after its last SYN: a cause accounts for it for 70 seconds, and not for more", () => {
  const explanations = new Explanations();
  explanations.observe([CAUSE], 0n);

  const late = [70n, 71n].map((seconds) => held(explanations.observe([SYMPTOM], seconds * SECOND_NS)));

  expect(late).toEqual([[], ["connect_unanswered"]]);
});

test("of more explanations than are kept the oldest is forgotten", () => {
  const explanations = new Explanations();
  const others = Array.from({ length: 10_000 }, (_, i) => `to 10.1.${i >> 8}.${i & 255}`);
  explanations.observe([CAUSE], 0n);

  const one = held(explanations.observe([{ ...CAUSE, accountsFor: others.slice(1) }, SYMPTOM], 1n));
  const full = held(explanations.observe([{ ...CAUSE, accountsFor: others }, SYMPTOM], 2n));

  expect([one, full]).toEqual([["neighbour_unresolved"], ["neighbour_unresolved", "connect_unanswered"]]);
});
