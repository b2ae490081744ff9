/** What detectors would say, with defaults, so that a test shows only what matters to it. */
import type { Judged } from "../../../agent/findings/detect.ts";
import type { LocalEnd } from "../../../agent/model/names.ts";

export const SECOND_NS = 1_000_000_000n;
const EPOCH_NS = 1_700_000_000n * SECOND_NS;

export function endOf(label: string): LocalEnd {
  return { id: label, resource: { "service.name": label }, label };
}

export function judgedOf(judged: Partial<Judged> = {}): Judged {
  return {
    finding: "connect_refused",
    key: "cart 80",
    subject: endOf("cart"),
    value: 23,
    holds: true,
    counts: {},
    facts: {},
    ...judged,
  };
}

/** The end of the interval with this number, `seconds` each. */
export function intervalEnd(number: number, seconds = 15n): { readonly bootNs: bigint; readonly timeUnixNs: bigint } {
  const bootNs = BigInt(number) * seconds * SECOND_NS;
  return { bootNs, timeUnixNs: EPOCH_NS + bootNs };
}
