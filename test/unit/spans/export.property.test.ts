/** Whatever a Collector answers, every span is accepted, dropped with a reason or pending at any moment. */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import type { Naming } from "../../../agent/spans/queue.ts";
import { namesOf } from "./builders.ts";
import { add, balance, exporterWith, useFakeTimers } from "./exporting.ts";
import { ACCEPTED, type Answer, FakeTransport, failing, rejecting } from "./fake-transport.ts";

useFakeTimers();

describe("whatever the Collector does", () => {
  const outcome = fc.oneof(
    fc.constant(ACCEPTED),
    fc.nat(30).map(rejecting),
    fc.constantFrom(failing(false), failing(true)),
    fc.nat(20_000).map((ms) => failing(true, ms)),
  );
  const answer: fc.Arbitrary<Answer> = fc.oneof(
    outcome,
    fc.record({ afterMs: fc.nat(20_000), outcome }),
    fc.constant("never" as const),
  );
  const step = fc.record({
    add: fc.nat(40),
    waitMs: fc.oneof(fc.nat(3_000), fc.nat(400_000)),
    naming: fc.constantFrom("named", "pending", "unnamed"),
  });

  test("observed is accepted, dropped and pending at every step, and nothing is pending after the end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { maxLength: 20 }),
        fc.array(step, { maxLength: 12 }),
        fc.record({ queue: fc.integer({ min: 1, max: 60 }), batch: fc.integer({ min: 1, max: 25 }) }),
        async (answers, steps, limits) => {
          let naming: string = "named";
          const name = (): Naming => (naming === "named" ? namesOf() : (naming as Naming));
          const { exporter } = exporterWith(answers, { naming: () => name, limits: { ...limits, delayMs: 1_000 } });
          let observed = 0;

          for (const { add: count, waitMs, naming: next } of steps) {
            naming = next;
            add(exporter, count);
            observed += count;
            await vi.advanceTimersByTimeAsync(waitMs);
            expect([balance(exporter.stats()), exporter.stats().observed]).toEqual([0, observed]);
            expect(exporter.stats().pending).toBeLessThanOrEqual(limits.queue);
          }
          const ended = exporter.shutdown(5_000);
          await vi.advanceTimersByTimeAsync(5_000);
          await ended;

          expect([balance(exporter.stats()), exporter.stats().pending]).toEqual([0, 0]);
          await vi.advanceTimersByTimeAsync(60_000);
          expect([balance(exporter.stats()), exporter.stats().pending]).toEqual([0, 0]);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("what it says it has accepted is what the agent says, to the span", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(outcome, { maxLength: 20 }),
        fc.array(fc.nat(40), { maxLength: 12 }),
        async (outcomes, counts) => {
          let taken = 0;
          const script = [...outcomes];
          const transport = new FakeTransport();
          transport.send = async (bytes) => {
            const next = script.shift() ?? ACCEPTED;
            if (next.state === "accepted") taken += bytes.length - Math.min(next.rejectedPoints, bytes.length);
            return next;
          };
          const { exporter } = exporterWith([], { transport });

          for (const count of counts) {
            add(exporter, count);
            await vi.advanceTimersByTimeAsync(2_000);
          }

          expect(exporter.stats().accepted).toBe(taken);
        },
      ),
      { numRuns: 100 },
    );
  });
});
