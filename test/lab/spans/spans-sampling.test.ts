/**
 * Sampling as both agents' configuration asks for it: what is kept at one end is kept at the other, and what the
 * spans say of it is enough for a reader to count all connections again.
 */
import { availableParallelism } from "node:os";
import { expect } from "vitest";
import { randomnessOf, thresholdOf } from "../../../agent/spans/sampling.ts";
import { needs } from "../../machine/needs.ts";
import type { ReceivedSpan } from "../../otlp/spans.ts";
import { inSpanLab, pairUp } from "../agents/span-lab.ts";

const test = needs("root", "btf", "cgroup2", "iptables", "build");

test("at each probability both ends keep the same connections, and the failures; re-scaled they are the whole", async () => {
  await inSpanLab({}, async (spanLab) => {
    const nobody = [{ address: spanLab.lab.pod("server").ips.v4, port: 9 }];
    const healthy = 1_009;
    const failing = 13;

    for (const probability of [1 / 2, 1 / 4, 1 / 10]) {
      await spanLab.configure({ sampling: { probability, adaptive: true, rtt: 0, retransmits: -1 }, rate: 0 });
      const before = spanLab.spans.length;
      await Promise.all([
        spanLab.lab.pod("client").play("churn", { to: spanLab.service, count: healthy, parallel: 23 }),
        spanLab.lab.pod("client").play("fail", { to: nobody, count: failing }),
      ]);
      await spanLab.closed(healthy);

      const { pairs, odd } = pairUp(spanLab.spans.slice(before));
      const threshold = thresholdOf(probability);
      const failed = odd.filter(({ attributes }) => attributes["error.type"] === "refused");
      expect({ odd: odd.length, failed: failed.length }).toEqual({ odd: failing, failed: failing });
      expect(new Set(failed.map(({ traceState }) => traceState))).toEqual(new Set(["ot=th:0"]));
      expect(pairs.filter(({ client, server }) => client.traceState !== server.traceState)).toEqual([]);
      expect(pairs.filter(({ client }) => thresholdIn(client) !== threshold)).toEqual([]);
      expect(pairs.filter(({ client }) => randomnessOf(client.traceId) < threshold)).toEqual([]);
      const estimate = [...pairs.map(({ client }) => client), ...failed].reduce(
        (sum, span) => sum + standsFor(span),
        0,
      );
      // Of a binomial, divided by the probability: one run in 1.7 million lies outside of five.
      const deviation = Math.sqrt((healthy * (1 - probability)) / probability);
      expect(Math.abs(estimate - (healthy + failing))).toBeLessThan(5 * deviation);
    }
  });
});

test("every Nth of each CPU is kept, and says that no probability tells of it", async () => {
  await inSpanLab({ spans: { sampling: { probability: 0, every: 7, adaptive: false } } }, async (spanLab) => {
    const count = 1_009;

    await spanLab.lab.pod("client").play("churn", { to: spanLab.service, count });
    await spanLab.closed(count);

    for (const end of ["client", "server"] as const) {
      const kept = spanLab.spans.filter(({ kind }) => kind === end);
      expect(Math.abs(kept.length - count / 7)).toBeLessThanOrEqual(availableParallelism());
    }
    const said = spanLab.spans.map(({ traceState, attributes }) => [
      traceState,
      attributes["flowspan.sampling.reasons"],
    ]);
    expect(new Set(said.map((each) => JSON.stringify(each)))).toEqual(new Set([JSON.stringify(["", ["every_nth"]])]));
  });
});

function thresholdIn({ traceState }: ReceivedSpan): bigint {
  const [, digits] = /^ot=th:([0-9a-f]{1,14})$/.exec(traceState) ?? [];
  if (digits === undefined) throw new Error(`a tracestate without a threshold: ${traceState}`);
  return BigInt(`0x${digits.padEnd(14, "0")}`);
}

/** 2^56 / (2^56 - T): what a reader makes of it who knows the specification and nothing else. */
function standsFor(span: ReceivedSpan): number {
  return 2 ** 56 / (2 ** 56 - Number(thresholdIn(span)));
}
